"""Two runs: paired differences on the same items, flips, token ratios, what would settle it; and their settings."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.errors import NotComparable
from harness.evaluation.plan import EvalPlan, Progress, load_samples
from harness.models.base import Plain
from harness.records import Record, Sample
from harness.results import budget
from harness.results import statistics as tests
from harness.results.records import Gap, Manifest, RunRecord, flat
from harness.results.store import Store, read_kept
from harness.results.summary import guessed
from harness.thoughts import common_prefix

# What differs between two runs of the same thing.
_PASSING = ("date", "seconds", "manifest.date", "manifest.seconds", "manifest.command", "run")


class Flip(Record):
    """One item on which the runs differ: mean scores and the reasons of their first samples."""

    problem_id: str
    ours: float
    theirs: float
    reason: str
    their_reason: str


class Ratio(Record):
    """A ratio of totals with its 95% interval."""

    ratio: float
    low: float
    high: float


class Comparison(Record):
    """Two runs on one task; all differences are ours - others."""

    task: str
    accuracy: Gap
    no_answer: Gap
    p_holm: float = Field(description="of accuracy, Holm-corrected over the tasks")
    aes: float | None = Field(description="accuracy-efficiency score (budget.aes)")
    needed: int | None = Field(description="items at which the observed difference would be seen; None: it is zero")
    guessed: tuple[float | None, float | None] = Field(
        description="share of verdicts on an answer that nothing marks, ours and others"
    )
    same_texts: float = Field(description="share of samples with equal tokens")
    token_ratio: Ratio | None = Field(description="tokens, ours over others, on what both solve; None: nothing")
    first_divergence: float | None = Field(
        description="median token at which the other samples part; None: none does, or the seeds differ"
    )
    flips: list[Flip]


def compare(ours: Sequence[Sample], others: Sequence[Sample], tasks: Sequence[str]) -> list[Comparison]:
    """Compare every task of ``tasks``; p values are Holm-corrected over them. Raises NotComparable on other items."""
    compared = [_one(task, tests.of_task(ours, task), tests.of_task(others, task)) for task in tasks]
    corrected = tests.holm([one.accuracy.p for one in compared])
    return [one.model_copy(update={"p_holm": p}) for one, p in zip(compared, corrected, strict=True)]


def _one(task: str, ours: list[Sample], others: list[Sample]) -> Comparison:
    if not ours or not others:
        raise NotComparable(f"{task}: not in {'both runs' if not ours and not others else 'one of the runs'}")
    sides = tests.scores_by_item(ours), tests.scores_by_item(others)
    if odd := sorted(set(sides[0]) ^ set(sides[1])):
        hint = "evaluate both on the same"
        raise NotComparable(f"{task}: {len(odd)} items are in one run only, for example {odd[0]}; {hint}")
    clusters = tests.clusters_of(ours)
    gap = tests.paired(*sides, clusters)
    a, b = ({item: statistics.fmean(scores) for item, scores in side.items()} for side in sides)
    reasons = {s.problem_id: s.grade.reason for s in reversed(others)}
    flips = []
    for s in ours:
        if s.index == 0 and a[item := s.problem_id] != b[item]:
            flip = {"ours": a[item], "theirs": b[item], "reason": s.grade.reason, "their_reason": reasons[item]}
            flips.append(Flip.model_validate({"problem_id": item, **flip}))
    known = {(s.problem_id, s.index): s for s in others}
    matched = [(s, known[s.problem_id, s.index]) for s in ours if (s.problem_id, s.index) in known]
    apart = [common_prefix(x.token_ids, y.token_ids) for x, y in matched if x.token_ids != y.token_ids]
    same_seeds = all(x.seed == y.seed for x, y in matched)
    tokens = [statistics.fmean(map(budget.length, side)) for side in (ours, others)]
    return Comparison(
        task=task,
        accuracy=gap,
        no_answer=tests.paired(tests.no_answers(ours), tests.no_answers(others), clusters),
        p_holm=gap.p,
        aes=budget.aes((statistics.fmean(a.values()), tokens[0]), (statistics.fmean(b.values()), tokens[1])),
        needed=tests.needed(gap.error, gap.n, gap.difference) if gap.difference else None,
        guessed=(guessed(ours), guessed(others)),
        same_texts=(len(matched) - len(apart)) / len(matched) if matched else 0.0,
        token_ratio=_token_ratio(matched),
        first_divergence=statistics.median(apart) if apart and same_seeds else None,
        flips=flips,
    )


def _token_ratio(matched: Sequence[tuple[Sample, Sample]]) -> Ratio | None:
    """Ratio of tokens over the samples that both solve, with a paired bootstrap interval over their items."""
    spent: dict[str, tuple[int, int]] = {}
    for x, y in matched:
        if x.grade.correct and y.grade.correct:
            a, b = spent.get(x.problem_id, (0, 0))
            spent[x.problem_id] = (a + budget.length(x), b + budget.length(y))
    if not spent:
        return None

    def ratio(pairs: Sequence[tuple[int, int]]) -> float:
        return sum(x for x, _ in pairs) / max(sum(y for _, y in pairs), 1)

    both = list(spent.values())
    low, high = tests.bootstrap(both, ratio, draws=2_000)
    return Ratio(ratio=ratio(both), low=low, high=high)


def setting_differences(a: Manifest, b: Manifest) -> list[str]:
    """How two runs differ beyond their verdicts. Raises NotComparable when they were graded by other graders."""
    if a.grader is not None and b.grader is not None and a.grader != b.grader:
        odd = ", ".join(sorted(n for n in a.grader | b.grader if a.grader.get(n) != b.grader.get(n)))
        raise NotComparable(f"graded by different graders ({odd}); run 'harness rescore' on the older run first")
    notes, sides = [], (a.known(), b.known())
    for name in ("model", "model_digest", "backend", "decoding", "prompting", "prompt_ids_hash", "packages", "machine"):
        if all(side.get(name) is not None for side in sides):
            x, y = (flat(side[name], name) for side in sides)
            notes += [f"{key}: {x.get(key)} against {y.get(key)}" for key in x | y if x.get(key) != y.get(key)]
    return notes


def described(store: Store, name: str) -> tuple[Path, RunRecord | Manifest]:
    """A recipe's run or an evaluation, by folder or first letters of the id. Raises NoRuns and BadFile."""
    files = ("run.json", "manifest.json")
    folder = store.named(name, ("recipes", "evals"), files, "finished recipe or evaluation")
    record = folder / "run.json"
    return folder, read_kept(record, RunRecord) if record.is_file() else read_kept(folder / "manifest.json", Manifest)


def differences(store: Store, a: str, b: str) -> list[tuple[str, Any, Any]]:
    """(key, value of a, value of b) for all that differs but dates and times. Raises NoRuns and BadFile."""
    one, other = (_comparable(described(store, name)[1]) for name in (a, b))
    keys = [k for k in one | other if k not in _PASSING and one.get(k) != other.get(k)]
    return [(k, one.get(k, "(none)"), other.get(k, "(none)")) for k in keys]


def _comparable(record: RunRecord | Manifest) -> dict[str, Any]:
    """Stages under their names, so that equal ones meet whatever their digests are."""
    if isinstance(record, Manifest):
        return flat(record.known())
    stages = {
        stage.name: {"digest": digest, **stage.model_dump(mode="json", exclude={"name", "inputs", "seconds"})}
        for digest, stage in record.manifest.stages.items()
    }
    rest = record.model_dump(mode="json", exclude_unset=True, exclude={"manifest": {"stages"}})
    return flat({**rest, "stages": stages})


class AtBudget(Record):
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
    """Search at test time against plain sampling at equal answers and at equal tokens (arXiv 2503.01461, Table 7).

    By task. ``run`` evaluates a plan into a folder. ``tokens_of_trees``: what the trees of a folder generated, by
    lm-eval's name of their task. The gap is Test@N of the trees against plain sampling at equal tokens.
    """
    budget, plain = plan.decoding.samples, replace(plan, sampler=Plain())
    run(plan, folder, progress)
    run(plain, folder / "plain", progress)
    by_tree, by_sampling = load_samples(folder), load_samples(folder / "plain")
    spent = tokens_of_trees(folder / "trees")
    affordable = {}
    for task in plan.tasks:
        total = sum(len(sample.token_ids) for sample in by_sampling if sample.task == task.name)
        affordable[task.name] = max(1, round(spent[task.lm_eval_name] / max(1, total) * budget))
    most = max(affordable.values())
    if most > budget:
        target = folder / f"plain-{most}"
        target.mkdir(exist_ok=True)
        if not (target / "generated.jsonl").exists():  # what was sampled at fewer guesses is part of this
            shutil.copy(folder / "plain" / "generated.jsonl", target)
        run(replace(plain, decoding=plain.decoding.model_copy(update={"samples": most})), target, progress)
        by_sampling = load_samples(target)
    out = {}
    for task in plan.tasks:
        a, b = ([s for s in side if s.task == task.name] for side in (by_tree, by_sampling))
        m = affordable[task.name]
        share = spent[task.lm_eval_name] / len({s.problem_id for s in a})
        rows = [_at("tree", a, budget, share), _at("plain, answers", b, budget), _at("plain, tokens", b, m)]
        out[task.name] = (rows, tests.paired(tests.solved(a, budget), tests.solved(b, m)))
    return out


def _at(name: str, samples: list[Sample], guesses: int, tokens: float | None = None) -> AtBudget:
    scores = [item[:guesses] for item in tests.scores_by_item(samples).values()]
    test = tests.test_at_n(scores)["test"]
    at = {k: test[k] for k in (*(2**i for i in range(10) if 2**i < guesses), guesses)}
    low, high = tests.wilson(at[guesses] * len(scores), len(scores))
    if tokens is None:
        tokens = sum(len(s.token_ids) for s in samples if s.index < guesses) / len(scores)
    return AtBudget(name=name, guesses=guesses, tokens=tokens, test=at[guesses], low=low, high=high, at=at)
