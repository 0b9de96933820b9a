"""arXiv 2503.01461, Table 7: search at test time against plain sampling, at equal answers and at equal tokens."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.evaluation.plan import EvalPlan, Progress, load_samples
from harness.models.base import Plain
from harness.records import Sample
from harness.results.records import Gap
from harness.results.statistics import paired, scores_by_item, test_at_n, wilson


@dataclass(frozen=True, kw_only=True)
class AtBudget:
    """One decoding on one task: Test@N at its last N with a 95% interval, tokens a problem, and Test@k below it."""

    name: str
    guesses: int
    tokens: float
    test: float
    low: float
    high: float
    at: dict[int, float]


def compare_decodings(
    plan: EvalPlan, run: Callable[[EvalPlan, Path, Progress], object], folder: Path, progress: Progress,
    tokens_of_trees: Callable[[Path], Mapping[str, int]],
) -> dict[str, tuple[list[AtBudget], Gap]]:  # fmt: skip
    """Evaluate ``plan``, whose sampler grows trees, and plain sampling, at equal answers and equal tokens; by task.

    ``run`` evaluates a plan into a folder. ``tokens_of_trees``: what the trees of a folder generated, by lm-eval's name
    of their task. The gap is Test@N of the trees against plain sampling at equal tokens.
    """
    budget = plan.decoding.samples
    searched, plain = plan, replace(plan, sampler=Plain())
    run(searched, folder, progress)
    run(plain, folder / "plain", progress)
    by_tree, by_sampling = load_samples(folder), load_samples(folder / "plain")
    spent = tokens_of_trees(folder / "trees")
    affordable = {}
    for task in plan.tasks:
        total = sum(len(sample.token_ids) for sample in by_sampling if sample.task == task.name)
        affordable[task.name] = max(1, round(spent[task.lm_eval_name] / max(1, total) * budget))
    most = max(affordable.values())
    if most > budget:
        more = replace(plain, decoding=plain.decoding.model_copy(update={"samples": most}))
        target = folder / f"plain-{most}"
        target.mkdir(exist_ok=True)
        if not (target / "generated.jsonl").exists():  # what was sampled at fewer guesses is part of this
            shutil.copy(folder / "plain" / "generated.jsonl", target / "generated.jsonl")
        run(more, target, progress)
        by_sampling = load_samples(target)
    out = {}
    for task in plan.tasks:
        a, b = ([s for s in side if s.task == task.name] for side in (by_tree, by_sampling))
        m = affordable[task.name]
        share = spent[task.lm_eval_name] / len({s.problem_id for s in a})
        rows = [_at("tree", a, budget, share), _at("plain, answers", b, budget), _at("plain, tokens", b, m)]
        out[task.name] = (rows, paired(_solved(a, budget), _solved(b, m)))
    return out


def _at(name: str, samples: list[Sample], guesses: int, tokens: float | None = None) -> AtBudget:
    scores = [item[:guesses] for item in scores_by_item(samples).values()]
    test = test_at_n(scores)["test"]
    at = {k: test[k] for k in dict.fromkeys((*(2**i for i in range(10) if 2**i < guesses), guesses))}
    low, high = wilson(at[guesses] * len(scores), len(scores))
    if tokens is None:
        tokens = sum(len(s.token_ids) for s in samples if s.index < guesses) / len(scores)
    return AtBudget(name=name, guesses=guesses, tokens=tokens, test=at[guesses], low=low, high=high, at=at)


def _solved(samples: list[Sample], guesses: int) -> dict[str, list[float]]:
    return {item: [float(any(scores[:guesses]))] for item, scores in scores_by_item(samples).items()}
