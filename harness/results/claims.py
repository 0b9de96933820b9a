"""A recipe's claims against its run: one primary test each, and what that decides (docs/statistics.md).

A claim of a paper about two arms is tested once, on the mean over all tasks, trainings paired by seed; Holm's
correction runs over claims. Within a resolved claim its tasks are tested, corrected among themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal, NamedTuple, get_args

from pydantic import Field

from harness.files import published_rows
from harness.records import Record, Sample
from harness.results import crossed
from harness.results import statistics as tests
from harness.results.effects import Effect
from harness.results.records import Claim
from harness.results.statistics import Samples

Verdict = Literal["reproduced", "contradicted", "undecided", "nothing to repair", "too small to see"]
VERDICTS = get_args(Verdict)
ALPHA = 1 - tests.LEVEL
_SCORES: dict[str, tests.Measure] = {
    "accuracy": tests.scores_by_item, "no_answer": tests.no_answers, "solved": tests.solved,
}  # fmt: skip


class Finding(Record):
    """A claim on the mean over tasks (``task`` empty), or on one task. Differences are arm minus against, -1 to 1."""

    claim: str
    task: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float = Field(description="corrected over the recipe's claims; of a task over the tasks of its claim")
    p_signs: float | None = Field(description="exact sign-flip test over the trainings; None: there is one")
    smallest: float = Field(description="difference that shows in 80% of runs at the level that decides")
    level: float = Field(description="p below which this test resolves, by Holm's procedure")
    control: float = Field(description="rate of the arm that is compared against")
    seeds: int = Field(description="trainings, paired")
    items: int
    verdict: Verdict | None = Field(description="None: a task of a claim that is not resolved")


class _Test(NamedTuple):
    """A claim on some tasks. ``room``: how far the control can move in the direction claimed."""

    name: str
    claim: Claim
    task: str
    effect: Effect
    p: float
    control: float
    room: float


def findings(claims: Mapping[str, Claim], decodings: Mapping[str, Samples]) -> list[Finding]:
    """Every claim about arms that were run: its primary test, then its tasks if there are several.

    ``decodings``: by name, the main one first, the samples of each arm, a list for each training seed.
    """
    primary, secondary = [], {}
    for name, claim in claims.items():
        arms = decodings.get(claim.decoding or next(iter(decodings)), {})
        if claim.arm in arms and claim.against in arms:
            tasks = list(dict.fromkeys(sample.task for sample in arms[claim.arm][0]))
            ours, others = ([_table(claim, arms[arm], task) for task in tasks] for arm in (claim.arm, claim.against))
            primary.append(_test(name, claim, "", ours, others))
            secondary[name] = [
                _test(name, claim, *one) for one in zip(tasks, ([x] for x in ours), ([x] for x in others), strict=True)
            ]
    out: list[Finding] = []
    for finding in _decided(primary):
        parts = secondary[finding.claim]
        resolved = finding.verdict in ("reproduced", "contradicted")
        out.append(finding)
        if len(parts) > 1:
            of_tasks = _decided(parts)
            out += of_tasks if resolved else [one.model_copy(update={"verdict": None}) for one in of_tasks]
    return out


def published(claim: Claim) -> dict[str, float]:
    """Published differences by the paper's tasks, in points; empty where the claim names no rows."""
    rows = published_rows(claim.published)["rows"] if claim.published else {}
    ours, others = rows.get(claim.arm, {}), rows.get(claim.against, {})
    shared = [task for task in ours if claim.metric in ours[task] and claim.metric in others.get(task, {})]
    return {task: round(ours[task][claim.metric] - others[task][claim.metric], 2) for task in shared}


def _table(claim: Claim, trainings: Sequence[Sequence[Sample]], task: str) -> crossed.Table:
    samples = [tests.of_task(one, task) for one in trainings]
    return crossed.table([_SCORES[claim.metric](one) for one in samples], tests.clusters_of(samples[0]))


def _test(name: str, claim: Claim, task: str, ours: Sequence[crossed.Table], others: Sequence[crossed.Table]) -> _Test:
    effect = crossed.difference(ours, others)
    control = fmean(float(one.scores.mean()) for one in others)
    p, room = effect.p, {"higher": 1 - control, "lower": control, "same": 1.0}[claim.expect]
    if claim.expect == "same":
        p = tests.sameness(effect.difference, effect.error * effect.points, effect.freedom, claim.margin)
    return _Test(name, claim, task, effect, p, control, room)


def _decided(family: Sequence[_Test]) -> list[Finding]:
    """Verdicts by Holm's procedure over a family; a test with nothing to repair is none of it."""
    tested = [number for number, test in enumerate(family) if test.room >= test.claim.margin]
    corrected = dict(zip(tested, tests.holm([family[number].p for number in tested]), strict=True))
    order = sorted(tested, key=lambda number: family[number].p)
    levels = {number: ALPHA / (len(order) - rank) for rank, number in enumerate(order)}
    out = []
    for number, (name, claim, task, effect, p, control, _) in enumerate(family):
        level, p_holm = levels.get(number, ALPHA), corrected.get(number, p)
        same = claim.expect == "same"
        # To show sameness both bounds must hold: a power of 80% takes the 90% quantile.
        smallest = effect.smallest(level, 0.9 if same else 0.8)
        # Where tasks pull apart, the scales can disagree on who is ahead; then nothing is resolved.
        agree = same or effect.centre * effect.difference > 0
        verdict: Verdict = "too small to see" if smallest > claim.margin else "undecided"
        if number not in levels:
            verdict = "nothing to repair"
        elif p_holm < ALPHA and agree:
            above = effect.difference > 0
            holds = abs(effect.difference) < claim.margin if same else above == (claim.expect == "higher")
            verdict = "reproduced" if holds else "contradicted"
        low, high = effect.interval
        out.append(Finding(
            claim=name, task=task, difference=effect.difference, low=low, high=high, p=p, p_holm=p_holm,
            p_signs=effect.p_signs, smallest=smallest, level=level, control=control, seeds=len(effect.by_seed),
            items=effect.items, verdict=verdict,
        ))  # fmt: skip
    return out
