"""The regression gate: is a run no worse than a baseline, by margins set in advance?

Per task three paired tests: accuracy, no-answer rate, tokens. *Pass* needs every lower bound within its margin, an
intersection-union test of two-sided 95% intervals, as is the rule for non-inferiority: a true loss of one margin
anywhere passes in about 2.5% of runs. *Regression* is a loss that is there beyond doubt: Holm over all tests, so that
equal models are called a regression in at most 5% of runs.
Everything else is *inconclusive*, with the number of items that would settle it. Calibration:
``benchmarks/gate_calibration.py``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from harness.errors import NotComparable
from harness.records import Sample
from harness.results import budget
from harness.results.compare import clusters_of, no_answers
from harness.results.statistics import adjusted, holm, item_gaps
from harness.results.summary import scores_by_item

LEVEL, PASS_LEVEL = 0.05, 0.025
Outcome = Literal["pass", "regression", "inconclusive"]
EXIT_CODES: dict[Outcome, int] = {"pass": 0, "regression": 1, "inconclusive": 4}


@dataclass(frozen=True)
class Margins:
    """The largest losses that count as none: points of accuracy and of no-answer rate, share of more tokens."""

    accuracy: float = 0.03
    no_answer: float = 0.03
    tokens: float = 0.10


@dataclass(frozen=True)
class Check:
    """One test of one task. ``change``: loss is negative, gain positive; ``low``: lower end of its 95% interval."""

    task: str
    metric: str
    change: float
    low: float
    margin: float
    p: float
    n: int
    needed: int | None
    outcome: Outcome


@dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    checks: list[Check]

    def as_dict(self) -> dict[str, Any]:
        return {"outcome": self.outcome, "checks": [asdict(check) for check in self.checks]}


def baseline(
    samples: Sequence[Sample], manifest: Mapping[str, Any], problems: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """What a baseline file keeps of a run: by task and item its scores, missing answers and tokens.

    ``problems``: rows with task, id, prompt and gold, of which a digest for each task is kept.
    """
    tasks: dict[str, dict[str, dict[str, list[float]]]] = {}
    for task in dict.fromkeys(s.task for s in samples):
        mine = [s for s in samples if s.task == task]
        scores, missing, spent = scores_by_item(mine), no_answers(mine), _tokens(mine)
        tasks[task] = {i: {"correct": scores[i], "no_answer": missing[i], "tokens": spent[i]} for i in scores}
    kept = ("run", "model", "model_digest", "backend", "decoding", "prompting", "grader", "packages", "date")
    told = {k: manifest[k] for k in kept if k in manifest}
    return {"harness_baseline": 1, "manifest": told, "problems": digests(problems), "tasks": tasks}


def digests(problems: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """By task, a digest of what its problems say and of their gold answers."""
    said: dict[str, list[str]] = {}
    for row in problems:
        parts = json.dumps([row["id"], row["prompt"], row["gold"]], sort_keys=True)
        said.setdefault(row["task"], []).append(parts)
    return {t: hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()[:16] for t, rows in said.items()}


def notes(against: Mapping[str, Any], manifest: Mapping[str, Any], problems: Iterable[Mapping[str, Any]]) -> list[str]:
    """How the baseline's run differs from this one in what may differ: sampling and graders.

    Raises NotComparable for problems that say something else under the same ids.
    """
    said, now = against.get("problems") or {}, digests(problems)
    for task in said.keys() & now.keys():
        if said[task] != now[task]:
            raise NotComparable(
                f"{task}: the baseline's problems say something else; write a new baseline with --update"
            )
    before = against.get("manifest") or {}
    theirs, ours = (told.get("decoding") or {} for told in (before, manifest))
    found = [
        f"the baseline was sampled with {name} {theirs[name]}, the run with {ours[name]}"
        for name in ("max_tokens", "temperature", "top_p", "samples")
        if name in theirs and name in ours and theirs[name] != ours[name]
    ]
    if before.get("grader") and manifest.get("grader") and before["grader"] != manifest["grader"]:
        found.append("the baseline was graded by another version of the graders")
    return found


def gate(
    samples: Sequence[Sample], against: Mapping[str, Any], margins: Margins = Margins(), tasks: Sequence[str] = ()
) -> Verdict:
    """The verdict on a run. Raises NotComparable when the baseline holds other tasks or items."""
    if against.get("harness_baseline") != 1 or not isinstance(against.get("tasks"), dict):
        raise NotComparable("not a baseline file; write one with 'harness gate RUN --baseline FILE --update'")
    named = list(dict.fromkeys(tasks or against["tasks"]))
    if not named:
        raise NotComparable("the baseline holds no tasks; write one with 'harness gate RUN --baseline FILE --update'")
    drafts = []
    for task in named:
        theirs = against["tasks"].get(task)
        mine = [s for s in samples if s.task == task]
        if theirs is None or not mine:
            side = "baseline" if theirs is None else "run"
            raise NotComparable(f"{task}: not in the {side}; a missing task is no pass")
        try:
            drafts += _tests(task, mine, theirs, margins)
        except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise NotComparable(f"{task}: the baseline's rows are not in the written form ({error!r})") from None
    adjusted_p = holm([draft.p for draft in drafts])
    checks = [_decided(draft, p) for draft, p in zip(drafts, adjusted_p, strict=True)]
    outcomes = {check.outcome for check in checks}
    whole: Outcome = "regression" if "regression" in outcomes else "pass" if outcomes == {"pass"} else "inconclusive"
    return Verdict(whole, checks)


def _tokens(samples: Sequence[Sample]) -> dict[str, list[float]]:
    out: dict[str, list[float]] = {}
    for sample in samples:
        out.setdefault(sample.problem_id, []).append(float(budget.length(sample)))
    return out


def _tests(task: str, mine: list[Sample], theirs: Mapping[str, Any], margins: Margins) -> list[Check]:
    clusters = clusters_of(mine)
    sides = {
        "accuracy": (scores_by_item(mine), {i: row["correct"] for i, row in theirs.items()}),
        "no_answer": (no_answers(mine), {i: row["no_answer"] for i, row in theirs.items()}),
        "tokens": (_tokens(mine), {i: row["tokens"] for i, row in theirs.items()}),
    }
    if set(sides["accuracy"][0]) != set(theirs):
        odd = sorted(set(sides["accuracy"][0]) ^ set(theirs))
        raise NotComparable(
            f"{task}: {len(odd)} items are on one side only, for example {odd[0]}; evaluate the baseline's problems"
        )
    mean = sum(sum(v) / len(v) for v in sides["tokens"][1].values()) / len(theirs)
    out = []
    for metric, (ours, others) in sides.items():
        gaps = item_gaps(ours, others)
        sign = 1.0 if metric == "accuracy" else -1.0
        # Tokens as a share of the baseline's mean; their largest gap is what is added on either side.
        scale = max(mean, 1.0) if metric == "tokens" else 1.0
        gaps = {item: sign * gap / scale for item, gap in gaps.items()}
        bound = 1.0 if metric != "tokens" else max((abs(g) for g in gaps.values()), default=0.0) or 1e-9
        out.append(_test(task, metric, gaps, clusters, getattr(margins, metric), bound))
    return out


def _test(
    task: str, metric: str, gaps: Mapping[str, float], clusters: Mapping[str, str], margin: float, bound: float
) -> Check:
    from scipy.stats import t

    n, change = len(gaps), sum(gaps.values()) / len(gaps)
    centre, error, freedom = adjusted(gaps, clusters, bound)
    low = centre - float(t.ppf(1 - PASS_LEVEL, freedom)) * error
    p = float(t.cdf(centre / error, freedom)) if change < 0 else 1.0
    return Check(
        task, metric, change, min(low, change), margin, p, n, _needed(change, error, n, margin), "inconclusive"
    )


def _needed(change: float, error: float, n: int, margin: float) -> int | None:
    """Items at which a run that is really this much off would pass in 80% of runs; None if it is past the margin."""
    from scipy.stats import norm

    room = margin + min(change, 0.0)
    if room <= 0:
        return None
    z = float(norm.ppf(1 - PASS_LEVEL) + norm.ppf(0.8))
    return math.ceil(n * (z * error / room) ** 2)


def _decided(draft: Check, p: float) -> Check:
    outcome: Outcome = "inconclusive"
    if draft.low > -draft.margin:
        outcome = "pass"
    elif p < LEVEL:
        outcome = "regression"
    return Check(**{**asdict(draft), "p": p, "outcome": outcome})
