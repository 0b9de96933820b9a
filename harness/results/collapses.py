"""How many trainings of an arm stopped answering: what a practitioner asks of a recipe whose mean hides it."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from harness.records import Record
from harness.results import statistics as tests
from harness.results.statistics import Samples

COLLAPSED = 0.25  # of a training's samples without an answer, mean over tasks: it has collapsed


class Collapse(Record):
    """How many of an arm's trainings collapsed, with the exact (Clopper-Pearson) 95% interval of that share."""

    decoding: str
    arm: str
    collapsed: int
    trainings: int
    low: float
    high: float


def collapses(decodings: Mapping[str, Samples]) -> list[Collapse]:
    """Of each arm how many trainings collapsed: share without an answer, mean over tasks, of at least COLLAPSED."""
    from statsmodels.stats.proportion import proportion_confint

    out = []
    for decoding, arms in decodings.items():
        for arm, trainings in arms.items():
            tasks = dict.fromkeys(sample.task for sample in trainings[0])
            shares = [
                fmean(tests.mean(tests.no_answers(tests.of_task(one, task)).values()) for task in tasks)
                for one in trainings
            ]
            count = sum(share >= COLLAPSED for share in shares)
            low, high = proportion_confint(count, len(shares), alpha=1 - tests.LEVEL, method="beta")
            out.append(
                Collapse(
                    decoding=decoding, arm=arm, collapsed=count, trainings=len(shares), low=float(low), high=float(high)
                )
            )
    return out
