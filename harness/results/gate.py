"""The regression gate: is a run no worse than a baseline, by margins set in advance?

Per task three paired tests: accuracy, no-answer rate, tokens. *Pass*: each lower bound of a 95% interval is within its
margin. *Regression*: a loss beyond doubt (Holm over all tests). Else *inconclusive*, with the items that would settle
it. Error rates: docs/statistics.md, ``benchmarks/gate_calibration.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from harness.errors import NotComparable
from harness.files import read_record
from harness.records import Record, Sample
from harness.results import budget, statistics
from harness.results.records import AskedProblem, Manifest

LEVEL, PASS_LEVEL = 0.05, 0.025
Outcome = Literal["pass", "regression", "inconclusive"]
EXIT_CODES: dict[Outcome, int] = {"pass": 0, "regression": 1, "inconclusive": 4}


class Margins(Record):
    """The largest losses that count as none: points of accuracy and of no-answer rate, share of more tokens."""

    accuracy: float = 0.03
    no_answer: float = 0.03
    tokens: float = 0.10


class Check(Record):
    """One test of one task. ``change``: loss is negative, gain positive; ``low``: lower end of its 95% interval."""

    task: str
    metric: str
    change: float
    low: float
    margin: float
    p: float
    n: int
    needed: int | None = Field(description="items that would settle it; None: no number would")
    outcome: Outcome


class Verdict(Record):
    outcome: Outcome
    checks: list[Check]


Values = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=1)]


class ItemScores(Record):
    """One item's samples in a baseline: scores and missing answers as 0 or 1, tokens."""

    correct: Values
    no_answer: Values
    tokens: Values


# By metric: its values in ``ItemScores``, and how they are taken from samples.
_TESTED: dict[str, tuple[str, statistics.Measure]] = {
    "accuracy": ("correct", statistics.scores_by_item),
    "no_answer": ("no_answer", statistics.no_answers),
    "tokens": ("tokens", partial(statistics.by_item, value=budget.length)),
}


class Baseline(Record):
    """A baseline file: by task and item what a run scored, and by task a digest of its problems."""

    harness_baseline: Literal[1] = Field(description="the file's form")
    manifest: Manifest = Manifest()
    problems: dict[str, str] = {}
    tasks: dict[str, dict[str, ItemScores]]

    def text(self) -> str:
        data = {**self.model_dump(), "manifest": self.manifest.known()}
        return json.dumps(data, separators=(",", ":")) + "\n"


def read_baseline(file: Path) -> Baseline:
    """Raises NotComparable and BadFile."""
    if not file.exists():
        raise NotComparable(f"{file}: no such file; write it with --update")
    return read_record(file, Baseline, "write a baseline with 'harness gate RUN --baseline FILE --update'")


def baseline(samples: Sequence[Sample], manifest: Manifest, problems: Iterable[AskedProblem] = ()) -> Baseline:
    """What a baseline file keeps of a run."""
    tasks = {}
    for task in dict.fromkeys(s.task for s in samples):
        ours = statistics.of_task(samples, task)
        scores = {kept: of(ours) for kept, of in _TESTED.values()}
        items = scores["correct"]
        tasks[task] = {i: ItemScores.model_validate({kept: each[i] for kept, each in scores.items()}) for i in items}
    names = {"run", "model", "model_digest", "backend", "decoding", "prompting", "grader", "packages", "date"}
    kept = Manifest.model_validate(manifest.model_dump(mode="json", exclude_unset=True, include=names))
    return Baseline(harness_baseline=1, manifest=kept, problems=digests(problems), tasks=tasks)


def digests(problems: Iterable[AskedProblem]) -> dict[str, str]:
    """By task, a digest of what its problems say and of their gold answers."""
    texts = defaultdict[str, list[str]](list)
    for problem in problems:
        texts[problem.task].append(json.dumps([problem.id, problem.prompt, problem.gold], sort_keys=True))
    return {t: hashlib.sha256("\n".join(sorted(each)).encode()).hexdigest()[:16] for t, each in texts.items()}


def notes(against: Baseline, manifest: Manifest, problems: Iterable[AskedProblem]) -> list[str]:
    """In what the baseline's run may and does differ: sampling, graders. Raises NotComparable for other problems."""
    for task, current in digests(problems).items():
        if against.problems.get(task, current) != current:
            raise NotComparable(f"{task}: the baseline's problems say something else; write a new one with --update")
    before, out = against.manifest, []
    if "decoding" in before.model_fields_set & manifest.model_fields_set:
        for name in ("max_tokens", "temperature", "top_p", "samples"):
            x, y = getattr(before.decoding, name), getattr(manifest.decoding, name)
            out += [f"the baseline was sampled with {name} {x}, the run with {y}"] if x != y else []
    if before.grader and manifest.grader and before.grader != manifest.grader:
        out.append("the baseline was graded by another version of the graders")
    return out


def gate(samples: Sequence[Sample], against: Baseline, margins: Margins, tasks: Sequence[str] = ()) -> Verdict:
    """The verdict on a run. Raises NotComparable when the baseline holds other tasks or items."""
    named = list(dict.fromkeys(tasks or against.tasks))
    if not named:
        raise NotComparable("the baseline holds no tasks; write one with 'harness gate RUN --baseline FILE --update'")
    drafts = []
    for task in named:
        items, ours = against.tasks.get(task), statistics.of_task(samples, task)
        if not items or not ours:
            side = "run" if items else "baseline"
            raise NotComparable(f"{task}: not in the {side}; a missing task is no pass")
        drafts += _tests(task, ours, items, margins)
    corrected = statistics.holm([draft.p for draft in drafts])
    checks = []
    for draft, p in zip(drafts, corrected, strict=True):
        outcome = draft.outcome if draft.outcome == "pass" or p < LEVEL else "inconclusive"
        checks.append(draft.model_copy(update={"p": p, "outcome": outcome}))
    outcomes = {check.outcome for check in checks}
    whole: Outcome = "regression" if "regression" in outcomes else "pass" if outcomes == {"pass"} else "inconclusive"
    return Verdict(outcome=whole, checks=checks)


def _tests(task: str, ours: list[Sample], items: Mapping[str, ItemScores], margins: Margins) -> list[Check]:
    """The three tests of a task; a regression if its p value stays small among all."""
    from scipy.stats import t

    if odd := sorted({s.problem_id for s in ours} ^ set(items)):
        hint = "evaluate the baseline's problems"
        raise NotComparable(f"{task}: {len(odd)} items are on one side only, for example {odd[0]}; {hint}")
    clusters = statistics.clusters_of(ours)
    mean = sum(sum(item.tokens) / len(item.tokens) for item in items.values()) / len(items)
    out = []
    for metric, (kept, of) in _TESTED.items():
        margin: float = getattr(margins, metric)
        run, before = of(ours), {name: getattr(item, kept) for name, item in items.items()}
        sign = 1.0 if metric == "accuracy" else -1.0
        # Tokens as a share of the baseline's mean; their largest gap is what is added on either side.
        scale = max(mean, 1.0) if metric == "tokens" else 1.0
        gaps = {name: sign * gap / scale for name, gap in statistics.item_gaps(run, before).items()}
        bound = 1.0 if metric != "tokens" else max((abs(g) for g in gaps.values()), default=0.0) or 1e-9
        n, change = len(gaps), sum(gaps.values()) / len(gaps)
        centre, error, freedom = statistics.adjusted(gaps, clusters, bound)
        # A run that is really this much off would pass at ``needed`` items in 80% of runs.
        room = margin + min(change, 0.0)
        low = min(centre - float(t.ppf(1 - PASS_LEVEL, freedom)) * error, change)
        out.append(Check(
            task=task, metric=metric, change=change, low=low, margin=margin,
            p=float(t.cdf(centre / error, freedom)) if change < 0 else 1.0, n=n,
            needed=statistics.needed(error, n, room) if room > 0 else None,
            outcome="pass" if low > -margin else "regression",
        ))  # fmt: skip
    return out
