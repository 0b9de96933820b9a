"""What each kind of job does: inputs and parameters in, files in its folder, figures back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.journal import write_rows
from harness.models.spec import ModelSpec
from harness.pipeline.graph import Job
from harness.pipeline.sources import loaded, problems_of

# (items done, items in all, tokens generated so far)
Report = Callable[[int, int, int], None]


def execute(job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> dict[str, Any]:
    """Run one job in ``folder``; what an interrupted run left there is used. Returns its figures."""
    from harness.pipeline import teach, training

    if job.kind == "search":
        return _search(job, folder, report)
    if job.kind == "chains":
        return _chains(job, folder, inputs)
    if job.kind == "teach":
        return teach.teach(job, folder, report)
    if job.kind == "distil":
        return teach.distil(job, folder, inputs)
    if job.kind == "eval":
        return _evaluate(job, folder, inputs, report)
    if job.kind == "pretrain":
        return _pretrain(job, folder, report)
    return {"sft": training.sft, "preference": training.preference}[job.kind](job, folder, inputs, report)


def _search(job: Job, folder: Path, report: Report) -> dict[str, Any]:
    from harness.grading.grade import shared_grader
    from harness.search.launch import Plan
    from harness.search.launch import execute as search
    from harness.search.spec import Goals, SearchSpec
    from harness.search.stats import SearchYield

    params, problems = job.params, problems_of(job, job.params["shard"])
    models = {role: ModelSpec.model_validate(model).replicas() for role, model in job.models.items()}
    # In this process, all problems of a shard at once, so that batches are full and near in length.
    window = len(problems) if models["generator"][0].backend == "hf" else 256
    spec = SearchSpec(grammar=params["grammar"], seed=params["seed"], in_flight=3, window=max(1, window))
    search(
        Plan(search=spec, goals=Goals(**params["goals"]), models=models), problems, folder / "tree", logs=folder,
        grader=shared_grader(), progress=lambda done, tokens: report(done, len(problems), tokens),
    )  # fmt: skip
    return SearchYield.of(folder / "tree").figures()


def _chains(job: Job, folder: Path, inputs: dict[str, Path]) -> dict[str, Any]:
    """Fold the searches of all shards into trees, extract the chains, and sum up what the search yielded."""
    from harness.chains.extract import chains_of_search
    from harness.models.loading import load_tokenizer
    from harness.search.stats import SearchYield
    from harness.search.store import Forest

    model = job.models["tokenizer"]
    tokenizer = load_tokenizer(str(model.get("tokenizer") or model["model"]))
    problems, total = problems_of(job), SearchYield()
    forest = Forest(*(inputs[f"shard{shard}"] / "tree" for shard in range(job.params["shards"])))
    found = chains_of_search(forest, [problem.id for problem in problems], tokenizer, total)
    write_rows(folder / "chains.jsonl", (chain.model_dump() for _, chains in found for chain in chains))
    write_rows(folder / "problems.jsonl", (problem.model_dump() for problem in problems))
    return total.figures()


def _evaluate(job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> dict[str, Any]:
    from harness.evaluation.plan import EvalPlan
    from harness.evaluation.spec import Decoding, Selection
    from harness.models.sampling import Plain
    from harness.problems.registry import select
    from harness.results.evaluating import evaluate_and_summarise
    from harness.search.decode import Trees

    params, how = job.params, job.how
    decoding = Decoding(**{key: params[key] for key in ("max_tokens", "temperature", "top_p", "seed", "samples")})
    settings = {"split": params["split"], "count": params["count"]}
    if how["data_dir"]:
        settings["data_dir"] = how["data_dir"]
    plan = EvalPlan(
        tasks=select([], params["suite"]),
        decoding=decoding,
        selection=Selection(limit=params["limit"] or None),
        settings=settings,
        sampler=Trees(budget=params["samples"], grammar=params["tree"]) if "tree" in params else Plain(),
    )
    trained = {"model": str(inputs["model"] / "model")} if "model" in inputs else job.models["model"]
    model = trained | {"backend": params["backend"], **{k: v for k, v in how.items() if k != "data_dir"}}
    if trained.get("backend", "hf") != "hf":
        model = trained  # a server of its own
    with loaded(model, folder) as (completer, tokenizer):
        rows = evaluate_and_summarise(completer, tokenizer, plan, folder, report)
        tokens = completer.generated_tokens
    return {"rows": rows, "model_digest": completer.digest, "generated_tokens": tokens}


def _pretrain(job: Job, folder: Path, report: Report) -> dict[str, Any]:
    from harness.models.loading import load_tokenizer
    from harness.models.shipped import folder as assets
    from harness.training.tiny.pretrain import SPECS, pretrain

    spec = SPECS[job.params["spec"]]
    if "steps" in job.params:
        spec = replace(spec, steps=job.params["steps"], warmup=1)
    return pretrain(spec, load_tokenizer(str(assets() / "tokenizer")), folder / "model", report)
