"""What arms spend and what they reach: accuracy against tokens, and the arms that no other one beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from pydantic import Field

from harness.records import Record, Sample
from harness.results import crossed
from harness.results import statistics as tests
from harness.results.budget import length
from harness.results.statistics import Samples


class Spent(Record):
    """An arm: means over tasks, items weighing alike within one; the interval (95%) counts trainings and items."""

    arm: str
    tokens: float = Field(description="generated for an answer, thinking and answer; cut ones with what they got")
    accuracy: float
    low: float
    high: float
    tokens_per_correct: float | None = Field(description="tokens / accuracy; None: nothing is right")
    best: bool = Field(description="no other arm is as accurate on as few tokens and better in one of them")


def frontier(samples: Samples) -> list[Spent]:
    """Every arm, the cheapest first. Raises KeyError where a training lacks an item."""
    found = [(arm, _tokens(trainings), *crossed.rate(crossed.of_arm(trainings))) for arm, trainings in samples.items()]
    best = _unbeaten({arm: (tokens, accuracy) for arm, tokens, accuracy, _, _ in found})
    return sorted(
        (
            Spent(
                arm=arm, tokens=tokens, accuracy=accuracy, low=low, high=high, best=arm in best,
                tokens_per_correct=tokens / accuracy if accuracy else None,
            )
            for arm, tokens, accuracy, low, high in found
        ),
        key=lambda one: (one.tokens, -one.accuracy),
    )  # fmt: skip


def _tokens(trainings: Sequence[Sequence[Sample]]) -> float:
    tasks = [task for one in trainings for task in tests.by_task(one).values()]
    return fmean(tests.mean(tests.by_item(task, length).values()) for task in tasks)


def _unbeaten(arms: Mapping[str, tuple[float, float]]) -> set[str]:
    """Arms of (tokens, accuracy) of which no other has at most these tokens and at least this accuracy, and is not
    the same."""
    return {
        arm
        for arm, (tokens, right) in arms.items()
        if not any(t <= tokens and a >= right and (t, a) != (tokens, right) for t, a in arms.values())
    }
