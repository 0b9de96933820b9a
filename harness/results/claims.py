"""A recipe's claims, each with its verdict: what a paper says of two arms against what this run shows.

Every claim is tested on every task by a paired test over items, with the spread between training seeds added to its
error; p values are Holm-corrected over all of a recipe's tests. *Reproduced*: resolved, in the direction claimed.
*Contradicted*: resolved, in the other. *Undecided*: neither, with the smallest difference that the run would show.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from harness.records import Record, Sample
from harness.results.board import samples_of
from harness.results.compare import clusters_of, no_answers
from harness.results.records import Claim, RunRecord
from harness.results.statistics import adjusted, holm, item_gaps, sameness
from harness.results.store import Store
from harness.results.summary import scores_by_item
from harness.shipped import published_rows

VERDICTS = ("reproduced", "contradicted", "undecided")
_Scores = Callable[[Sequence[Sample]], dict[str, list[float]]]


class Finding(Record):
    """A claim on one task. Differences are arm minus against, from -1 to 1; ``smallest`` would show in 80% of runs."""

    claim: str
    task: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    smallest: float
    seeds: tuple[int, int] = Field(description="trainings of either arm")
    verdict: Literal["reproduced", "contradicted", "undecided"]


def findings(claims: Mapping[str, Claim], arms: Mapping[str, Sequence[Sequence[Sample]]]) -> list[Finding]:
    """Every claim on every task. ``arms``: the samples of each arm, one list per training seed.

    Claims about arms that were not run are left out.
    """
    measured = []
    for name, claim in claims.items():
        if claim.arm not in arms or claim.against not in arms:
            continue
        for task in dict.fromkeys(sample.task for sample in arms[claim.arm][0]):
            sides = [[[s for s in one if s.task == task] for one in arms[arm]] for arm in (claim.arm, claim.against)]
            measured.append((name, claim, task, _measure(claim, *sides)))
    corrected = holm([m.p for *_, m in measured])
    return [_finding(*each, p) for each, p in zip(measured, corrected, strict=True)]


@dataclass(frozen=True, kw_only=True)
class _Measured:
    difference: float
    centre: float
    error: float
    freedom: float
    p: float
    seeds: tuple[int, int]


def _measure(claim: Claim, ours: list[list[Sample]], others: list[list[Sample]]) -> _Measured:
    from scipy.stats import t

    scores = {"accuracy": scores_by_item, "no_answer": no_answers, "solved": _solved}[claim.metric]
    a, b = (scores([sample for one in side for sample in one]) for side in (ours, others))
    gaps = item_gaps(a, b)
    centre, error, items = adjusted(gaps, clusters_of(ours[0]))
    # Training again gives another model: the arms' means differ between seeds on the same items.
    spread = sum(_seed_error(scores, side) for side in (ours, others))
    whole = math.hypot(error, math.sqrt(spread))
    runs = max(len(ours) - 1, 0) + max(len(others) - 1, 0)
    freedom = float(items)
    if spread:  # Satterthwaite
        freedom = whole**4 / (error**4 / freedom + spread**2 / runs)
    if claim.expect == "same":
        p = sameness(centre, whole, freedom, claim.margin)
    else:
        p = float(2 * t.sf(abs(centre) / whole, freedom))
    return _Measured(
        difference=statistics.fmean(gaps.values()), centre=centre, error=whole, freedom=freedom, p=p,
        seeds=(len(ours), len(others)),
    )  # fmt: skip


def _solved(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """1 for each item of which at least one sample is right."""
    return {item: [max(scores)] for item, scores in scores_by_item(samples).items()}


def _seed_error(scores: _Scores, side: list[list[Sample]]) -> float:
    """Squared standard error of an arm's mean by its training seeds; 0 where there is but one."""
    means = [statistics.fmean(statistics.fmean(item) for item in scores(one).values()) for one in side]
    return statistics.variance(means) / len(means) if len(means) > 1 else 0.0


def _finding(name: str, claim: Claim, task: str, m: _Measured, p_holm: float) -> Finding:
    from scipy.stats import t

    half = float(t.ppf(0.975, m.freedom)) * m.error
    low, high = max(-1.0, m.centre - half), min(1.0, m.centre + half)
    verdict: Literal["reproduced", "contradicted", "undecided"]
    if p_holm >= 0.05:
        verdict = "undecided"
    elif claim.expect == "same":
        verdict = "reproduced" if abs(m.centre) < claim.margin else "contradicted"
    else:
        verdict = "reproduced" if (m.difference > 0) == (claim.expect == "higher") else "contradicted"
    smallest = float(t.ppf(0.975, m.freedom) + t.ppf(0.8, m.freedom)) * m.error
    return Finding(
        claim=name,
        task=task,
        difference=m.difference,
        low=min(low, m.difference),
        high=max(high, m.difference),
        p=m.p,
        p_holm=p_holm,
        smallest=smallest,
        seeds=m.seeds,
        verdict=verdict,
    )


def of_record(record: RunRecord, store: Store, claims: Mapping[str, Claim]) -> list[Finding]:
    """What a recorded run says of these claims. Raises NoRuns where samples are gone."""
    return findings(claims, samples_of(store, record.arms))


def published(claim: Claim) -> dict[str, float]:
    """Published differences by the paper's tasks, in points; empty where the claim names no rows."""
    if not claim.published:
        return {}
    rows = published_rows(claim.published)["rows"]
    ours, others = rows.get(claim.arm, {}), rows.get(claim.against, {})
    shared = [task for task in ours if claim.metric in ours[task] and claim.metric in others.get(task, {})]
    return {task: round(ours[task][claim.metric] - others[task][claim.metric], 2) for task in shared}
