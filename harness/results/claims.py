"""A recipe's claims, each with its verdict: what a paper says of two arms against what this run shows.

Every claim is tested on every task by a paired test over items, with the spread between training seeds added to its
error; p values are Holm-corrected over all of a recipe's tests. *Reproduced*: resolved, in the direction claimed.
*Contradicted*: resolved, in the other. *Undecided*: neither, with the smallest difference that the run would show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, variance
from typing import Literal, get_args

from pydantic import Field

from harness.files import published_rows
from harness.records import Record, Sample
from harness.results import statistics
from harness.results.board import samples_of
from harness.results.records import Claim, RunRecord
from harness.results.store import Store

Verdict = Literal["reproduced", "contradicted", "undecided"]
VERDICTS = get_args(Verdict)
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
    verdict: Verdict


def findings(claims: Mapping[str, Claim], arms: Mapping[str, Sequence[Sequence[Sample]]]) -> list[Finding]:
    """Every claim on every task. ``arms``: the samples of each arm, one list per training seed.

    Claims about arms that were not run are left out.
    """
    drafts = []
    for name, claim in claims.items():
        if claim.arm in arms and claim.against in arms:
            for task in dict.fromkeys(sample.task for sample in arms[claim.arm][0]):
                sides = [[statistics.of_task(one, task) for one in arms[arm]] for arm in (claim.arm, claim.against)]
                drafts.append(_if_resolved(name, claim, task, *sides))
    corrected = statistics.holm([draft.p for draft in drafts])
    return [
        draft.model_copy(update={"p_holm": p} | ({"verdict": "undecided"} if p >= 0.05 else {}))
        for draft, p in zip(drafts, corrected, strict=True)
    ]


def _if_resolved(name: str, claim: Claim, task: str, ours: list[list[Sample]], others: list[list[Sample]]) -> Finding:
    """A claim on one task, with the verdict that it has if its p value stays small among all."""
    from scipy.stats import t

    known = {"accuracy": statistics.scores_by_item, "no_answer": statistics.no_answers, "solved": _solved}
    scores = known[claim.metric]
    a, b = (scores([sample for one in side for sample in one]) for side in (ours, others))
    gaps = statistics.item_gaps(a, b)
    difference = fmean(gaps.values())
    centre, item_error, items = statistics.adjusted(gaps, statistics.clusters_of(ours[0]))
    # Training again gives another model: the arms' means differ between seeds on the same items.
    spread = sum(_seed_error(scores, side) for side in (ours, others))
    error = math.hypot(item_error, math.sqrt(spread))
    freedom = float(items)
    if spread:  # Satterthwaite
        freedom = error**4 / (item_error**4 / freedom + spread**2 / (len(ours) - 1 + len(others) - 1))
    if claim.expect == "same":
        p, holds = statistics.sameness(centre, error, freedom, claim.margin), abs(centre) < claim.margin
    else:
        p, holds = float(2 * t.sf(abs(centre) / error, freedom)), (difference > 0) == (claim.expect == "higher")
    half = float(t.ppf(0.975, freedom)) * error
    return Finding(
        claim=name, task=task, difference=difference, low=min(max(-1.0, centre - half), difference),
        high=max(min(1.0, centre + half), difference), p=p, p_holm=p,
        smallest=float(t.ppf(0.975, freedom) + t.ppf(0.8, freedom)) * error, seeds=(len(ours), len(others)),
        verdict="reproduced" if holds else "contradicted",
    )  # fmt: skip


def _solved(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """1 for each item of which at least one sample is right."""
    return {item: [max(scores)] for item, scores in statistics.scores_by_item(samples).items()}


def _seed_error(scores: _Scores, side: list[list[Sample]]) -> float:
    """Squared standard error of an arm's mean by its training seeds; 0 where there is but one."""
    means = [fmean(fmean(item) for item in scores(one).values()) for one in side]
    return variance(means) / len(means) if len(means) > 1 else 0.0


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
