"""Tree search by two models, in shards; its chains are a job of their own for each vocabulary."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from harness.grading.grade import shared_grader
from harness.models.spec import ModelSpec
from harness.pipeline.kind import Job, Kind, Params, Planner, Report, Stage, part_of
from harness.pipeline.sources import SearchScale, problem_count, problems_of, searched
from harness.search.grammar import load
from harness.search.launch import Plan, execute, shard
from harness.search.spec import Goals, SearchSpec
from harness.search.stats import SearchYield
from harness.spec import knob


class SearchStage(Stage, Goals):
    """Tree search by two models for the distinct ``correct`` and ``wrong`` chains wanted of each problem."""

    kind: Literal["search"]
    says = "search by {generator} and {critic}"
    yields = ("chains", "pairs")
    generator: str = knob("generator", "The model that thinks and answers.")
    critic: str = knob("critic", "The model that reflects.")
    correct: int = knob(6, "Distinct correct chains wanted of a problem.", ge=1)


class Search(Kind):
    name = "search"
    stage = SearchStage
    scale = SearchScale

    def jobs(self, plan: Planner, name: str, stage: Stage, seed: int, vocabulary: ModelSpec | None) -> str:
        assert isinstance(stage, SearchStage)
        scale = plan.scale(SearchScale)
        models = {"generator": plan.model(stage.generator), "critic": plan.model(stage.critic)}
        problems, how, files = searched(plan)
        params = scale.identity() | problems | {"goals": part_of(Goals, vars(stage)).identity()}
        how |= scale.model_dump(include={"window", "deterministic", "graders"})
        reads: list[str | Path] = [load(scale.grammar).model_dump_json(), *files]
        search = Job(kind=self.name, name="search", params=params, models=models, how=how, stage=name)
        shards = {}
        for i in range(scale.shards):
            part = replace(search, name=f"search {i + 1}/{scale.shards}", params={**params, "shard": i})
            shards[f"shard{i}"] = plan.add(part, reads)
        tokenizer = {"tokenizer": vocabulary or models["generator"]}
        return plan.add(replace(search, kind="chains", name="chains", inputs=shards, models=tokenizer), reads)

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        params = job.params
        problems = list(shard(problems_of(job), params["shard"], params["shards"]))
        models = {role: model.replicas() for role, model in job.models.items()}
        spec = part_of(SearchSpec, params | job.how)
        if models["generator"][0].backend == "hf":  # all at once, so that batches are full and near in length
            spec = spec.model_copy(update={"window": max(1, len(problems))})
        execute(
            Plan(search=spec, goals=Goals(**params["goals"]), models=models), problems, folder / "tree", logs=folder,
            grader=shared_grader() if spec.graders == 1 else None,
            progress=lambda done, tokens: report(done, len(problems), tokens),
        )  # fmt: skip
        return SearchYield.of(folder / "tree").figures()

    def summary(self, figures: Params) -> str:
        tokens = sum(figures["tokens"].values())
        return f"{figures['problems']} problems, {tokens:,} tokens, {figures['rollouts']:,} rollouts"

    def spent(self, figures: Params) -> tuple[int, int]:
        return sum(figures["tokens"].values()), figures["problems"]

    def items(self, job: Job, inputs: Mapping[str, int | None]) -> int | None:
        return -(-problem_count(job) // int(job.params["shards"]))
