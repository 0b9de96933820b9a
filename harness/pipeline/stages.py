"""What each kind of job does: inputs and parameters in, files in its folder, figures back."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.journal import read, write_rows
from harness.pipeline.graph import Job
from harness.records import Chain, Problem

# (items done, items in all, tokens generated so far)
Report = Callable[[int, int, int], None]


def execute(job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> dict[str, Any]:
    """Run one job in ``folder``; what an interrupted run left there is used. Returns its figures."""
    return _KINDS[job.kind](job, folder, inputs, report)


def _problems(params: dict[str, Any], shard: int | None) -> list[Problem]:
    """Search problems of all families, or one shard of them: every ``shards``-th problem."""
    from harness.problems.embedded import problems

    out = [p for family in params["families"] for p in problems(family, "search", params["problems"], params["seed"])]
    return out if shard is None else out[shard :: params["shards"]]


def _search_settings(job: Job) -> Any:
    from harness.models.hf import model_digest
    from harness.search.grammar import load
    from harness.search.nodes import Goals
    from harness.search.store import Settings

    names = {role: model_digest(path) for role, path in job.models.items()}
    params = job.params
    return Settings(load(params["grammar"]), Goals(**params["goals"]), seed=params["seed"], in_flight=3, models=names)


def _search(job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> dict[str, Any]:
    from harness.grading.grade import shared_grader
    from harness.models.hf import HFCompleter
    from harness.search.driver import Search
    from harness.search.roles import Role
    from harness.search.stats import Stats
    from harness.search.store import Store
    from harness.search.verify import GraderVerifier

    completers = {role: HFCompleter(path, threads=1) for role, path in job.models.items()}
    roles = {role: Role([completer], completer.tokenizer) for role, completer in completers.items()}
    problems = _problems(job.params, job.params["shard"])
    # All problems of a shard at once, so that batches stay full.
    search = Search(
        _search_settings(job), roles, GraderVerifier(shared_grader()), window=len(problems),
        progress=lambda done, tokens: report(done, len(problems), tokens),
    )  # fmt: skip
    with Store(folder / "tree", search.settings) as store:
        search.run(problems, store)
    return Stats.of(folder / "tree").figures()


def _chains(job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> dict[str, Any]:
    """Fold the searches of all shards into trees, extract the chains, and sum up what the search yielded."""
    from harness.chains.extract import chains_of
    from harness.models.hf import load_tokenizer
    from harness.models.prompts import prompt_ids
    from harness.search.stats import Stats
    from harness.search.store import folded

    tokenizer = load_tokenizer(job.models["generator"])
    chains: dict[str, list[Chain]] = {}
    stats = Stats()
    for shard in range(job.params["shards"]):
        for stored, tree, _ in folded(inputs[f"shard{shard}"] / "tree"):
            problem = stored.problem
            chains[problem.id] = chains_of(tree, problem, prompt_ids(tokenizer, problem.prompt), tokenizer)
            stats.add(problem, tree, stored.rows, stored.why)
    problems = _problems(job.params, None)
    write_rows(folder / "chains.jsonl", (chain.model_dump() for p in problems for chain in chains[p.id]))
    write_rows(folder / "problems.jsonl", (problem.model_dump() for problem in problems))
    return stats.figures()


def _sft(job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> dict[str, Any]:
    from harness.chains.select import sft_chains
    from harness.models.hf import load_tokenizer
    from harness.training.train import sft

    model = _model_path(job, inputs)
    chains = _load_chains(inputs)
    chosen = sft_chains(chains, job.params["rule"], job.params["per_problem"], job.params["seed"])
    rows = [(c.prompt_ids, c.token_ids) for c in chosen]
    if job.params["padding"]:
        problems = {p.id: p for p in map(Problem.model_validate, read(inputs["chains"] / "problems.jsonl"))}
        rows = _padded(chosen, problems, load_tokenizer(model), job)
    write_rows(folder / "rows.jsonl", ({"prompt_ids": p, "completion_ids": c} for p, c in rows))
    figures = sft(
        model, rows, _dose(job), job.params["seed"], folder / "model", lambda i, n: report(i, n, 0), about=_about(job)
    )
    return figures | {"mean_tokens": round(sum(len(c) for _, c in rows) / len(rows), 1)}


def _padded(
    chains: list[Chain], problems: dict[str, Problem], tokenizer: Any, job: Job
) -> list[tuple[list[int], list[int]]]:
    """Each chain with formalistic re-checks before its answer: the long CoT of arXiv 2503.01461, section 2."""
    from harness.problems.embedded import worked
    from harness.thoughts import THINK_CLOSE

    rng = random.Random(f"padding/{job.params['seed']}")
    rows = []
    for chain in chains:
        spans = worked.padding(problems[chain.problem_id], rng, job.params["padding"])
        extra = "".join(span.opening + span.text + span.closing for span in spans)
        head, _, tail = chain.text.rpartition(THINK_CLOSE)
        text = head + extra + THINK_CLOSE + tail + tokenizer.eos_token
        rows.append((chain.prompt_ids, list(tokenizer.encode(text, add_special_tokens=False))))
    return rows


def _preference(job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> dict[str, Any]:
    from harness.chains.select import pairs
    from harness.training.objective import Objective
    from harness.training.train import How, preference

    found = pairs(
        _load_chains(inputs), job.params["chosen"], job.params["prefix"], job.params["per_problem"], job.params["seed"]
    )
    write_rows(folder / "pairs.jsonl", (pair.model_dump() for pair in found))
    switches = dict(job.params["objective"])
    objective = Objective(beta=switches.pop("beta") or job.params["dose"]["beta"], **switches)
    rows = [(p.prompt_ids, p.chosen_ids, p.rejected_ids) for p in found]
    # Arms over the same pairs differ in the objective alone: the first one's reference serves the others.
    how = How(reference=folder.parent.parent / "reference")
    figures = preference(
        _model_path(job, inputs), rows, objective, _dose(job), job.params["seed"], folder / "model",
        lambda i, n: report(i, n, 0), how, _about(job),
    )  # fmt: skip
    means = {
        "chosen_tokens": sum(len(p.chosen_ids) for p in found),
        "rejected_tokens": sum(len(p.rejected_ids) for p in found),
        "shared_tokens": sum(p.fork for p in found),
    }
    return figures | {name: round(total / len(found), 1) for name, total in means.items()}


def _evaluate(job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> dict[str, Any]:
    from harness.evaluation.evaluate import evaluate
    from harness.evaluation.plan import Decoding, EvalPlan
    from harness.models.hf import HFCompleter
    from harness.problems.registry import select

    params = job.params
    completer = HFCompleter(_model_path(job, inputs), threads=1)
    decoding = Decoding(params["max_tokens"], params["temperature"], seed=params["seed"])
    settings = {"split": params["split"], "count": params["count"]}
    plan = EvalPlan(select([], params["suite"]), decoding, settings=settings)
    rows = evaluate(completer, completer.tokenizer, plan, folder, report)
    return {"rows": rows, "model_digest": completer.digest, "generated_tokens": completer.generated_tokens}


def _pretrain(job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> dict[str, Any]:
    from harness.models.hf import load_tokenizer
    from harness.models.shipped import folder as assets
    from harness.training.tiny.pretrain import SPECS, pretrain

    spec = SPECS[job.params["spec"]]
    return pretrain(spec, load_tokenizer(str(assets() / "tokenizer")), folder / "model", report)


def _about(job: Job) -> dict[str, Any]:
    """What a model card says of where the model comes from."""
    return {"stage": job.name, "digest of the stage and all before it": job.digest, "data": job.params}


def _model_path(job: Job, inputs: dict[str, Path]) -> str:
    return str(inputs["model"] / "model") if "model" in inputs else job.models["model"]


def _load_chains(inputs: dict[str, Path]) -> list[Chain]:
    return [Chain.model_validate(row) for row in read(inputs["chains"] / "chains.jsonl")]


def _dose(job: Job) -> Any:
    from harness.training.train import Dose

    return Dose(**{key: value for key, value in job.params["dose"].items() if key != "beta"})


_KINDS: dict[str, Callable[[Job, Path, dict[str, Path], Report], dict[str, Any]]] = {
    "search": _search,
    "chains": _chains,
    "sft": _sft,
    "preference": _preference,
    "eval": _evaluate,
    "pretrain": _pretrain,
}
