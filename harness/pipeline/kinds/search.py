"""Tree search by two models, in shards; its chains are a job of their own for each vocabulary."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.pipeline.kind import Kind, Planner, Profiled, Spent, Stage
from harness.pipeline.sources import SearchScale, problem_count, problems_of, searched
from harness.search.spec import Goals
from harness.spec import knob

if TYPE_CHECKING:
    from harness.models.spec import ModelSpec
    from harness.pipeline.job import Graph, Job, Params, Report


class SearchStage(Stage, Goals):
    """Tree search by two models for the distinct ``correct`` and ``wrong`` chains wanted of each problem."""

    kind: Literal["search"]
    yields: ClassVar[tuple[str, ...]] = ("chains", "pairs")
    generator: str = knob("generator", "The model that thinks and answers.")
    critic: str = knob("critic", "The model that reflects.")
    correct: int = knob(6, "Distinct correct chains wanted of a problem.", ge=1)

    def line(self, plan: Profiled) -> str:
        return f"search by {self.generator} and {self.critic}"


class Search(Kind):
    name = "search"
    stage = SearchStage
    scale = SearchScale
    asks = "generator"

    def jobs(self, plan: Planner, name: str, stage: Stage, seed: int, vocabulary: ModelSpec | None) -> str:
        from harness.search.grammar.load import load

        assert isinstance(stage, SearchStage)
        scale = plan.scale(SearchScale)
        models = {"generator": plan.model(stage.generator), "critic": plan.model(stage.critic)}
        problems = searched(plan)
        goals = Goals(**{field: getattr(stage, field) for field in Goals.model_fields})
        params = problems.params | scale.identity() | {"goals": goals.identity(), "sources": problems.params["sources"]}
        how = problems.how | scale.model_dump(include={"window", "deterministic", "graders"})
        reads = [load(scale.grammar).digest_source, *problems.files]
        shards = {}
        for i in range(scale.shards):
            shards[f"shard{i}"] = plan.add(
                self.name, f"search {i + 1}/{scale.shards}", params={**params, "shard": i}, models=models, how=how,
                reads=reads, stage=name,
            )  # fmt: skip
        return plan.add(
            "chains", "chains", params=params, inputs=shards, models={"tokenizer": vocabulary or models["generator"]},
            how=how, reads=reads, stage=name,
        )  # fmt: skip

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        from harness.grading.grade import shared_grader
        from harness.models.backends import opened
        from harness.models.digests import model_digest
        from harness.search.grammar.load import load
        from harness.search.run.driver import Search as Run
        from harness.search.run.roles import Role
        from harness.search.run.verify import GraderVerifier
        from harness.search.stats import Stats
        from harness.search.store import Settings, Store
        from harness.search.tree.nodes import Goals as TreeGoals

        params, problems = job.params, problems_of(job)[job.params["shard"] :: job.params["shards"]]
        names = {role: model_digest(job.path(role)) for role in job.models}
        settings = Settings(
            load(params["grammar"]), TreeGoals(**params["goals"]), seed=params["seed"], in_flight=params["in_flight"],
            models=names,
        )  # fmt: skip
        with ExitStack() as stack:
            roles = {}
            for role, model in job.models.items():
                both: list[Any] = []
                for number, spec in enumerate(model.replicas()):
                    place = folder / f"{role}-{number}"
                    place.mkdir(exist_ok=True)
                    both.append(stack.enter_context(opened(spec, place)))
                roles[role] = Role([completer for completer, _ in both], both[0][1], model.concurrency)
            # In this process, all problems of a shard at once, so that batches are full and near in length.
            window = len(problems) if roles["generator"].lockstep else 256
            search = Run(
                settings, roles, GraderVerifier(shared_grader()), window=max(1, window),
                chunk=job.models["generator"].concurrency,
                progress=lambda done, tokens: report(done, len(problems), tokens),
            )  # fmt: skip
            search.run(problems, stack.enter_context(Store(folder / "tree", search.settings)))
        return Stats.of(folder / "tree").figures()

    def summary(self, figures: Params) -> str:
        tokens = sum(figures["tokens"].values())
        return f"{figures['problems']} problems, {tokens:,} tokens, {figures['rollouts']:,} rollouts"

    def spent(self, figures: Params) -> Spent:
        return Spent(sum(figures["tokens"].values()), figures["problems"])

    def items(self, graph: Graph, job: Job) -> int | None:
        return -(-problem_count(job) // int(job.params["shards"]))


KIND = Search()
