"""Dose and response: arms that a recipe trained at several doses, against the control arm, on the mean over tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from pydantic import Field

from harness.records import Record, Sample
from harness.results import crossed
from harness.results import statistics as tests
from harness.results.statistics import Samples
from harness.results.thinking import median_thinking

AT = "@"  # between the name of an arm (or stage) and that of its dose


class Response(Record):
    """An arm at one dose. Rates are means over tasks, from 0 to 1; intervals are 95%, of trainings and items."""

    decoding: str
    arm: str
    dose: str = Field(description="empty: the control arm")
    trainings: int
    accuracy: float
    low: float
    high: float
    no_answer: float
    thinking_tokens: float = Field(description="median over all samples, thoughts that were cut right-censored")
    thinking_over: bool = Field(description="the median is larger")
    difference: float | None = Field(description="of accuracy, to the control; None: the control itself")
    difference_low: float | None
    difference_high: float | None


def split(arm: str) -> tuple[str, str]:
    """(name, dose) of an arm that was spread over doses; of another one the dose is empty."""
    name, _, dose = arm.rpartition(AT)
    return (name, dose) if name else (arm, "")


def families(arms: Iterable[str]) -> dict[str, dict[str, str]]:
    """Names of arms by their name without the dose, and by dose; an arm of a single dose is left out."""
    out: dict[str, dict[str, str]] = {}
    for arm in arms:
        name, dose = split(arm)
        if dose:
            out.setdefault(name, {})[dose] = arm
    return {name: doses for name, doses in out.items() if len(doses) > 1}


def responses(control: str, decodings: Mapping[str, Samples]) -> list[Response]:
    """Every arm at every dose under every decoding, the control first; empty for a recipe without doses."""
    out = []
    for decoding, samples in decodings.items():
        spread = families(samples)
        if not spread or control not in samples:
            continue
        of_control = crossed.of_arm(samples[control])
        out.append(_response(decoding, control, "", samples[control], None))
        for name, doses in spread.items():
            out += [_response(decoding, name, dose, samples[arm], of_control) for dose, arm in doses.items()]
    return out


def _response(
    decoding: str, name: str, dose: str, trainings: Sequence[Sequence[Sample]], control: list[crossed.Table] | None
) -> Response:
    tables, every = crossed.of_arm(trainings), [sample for one in trainings for sample in one]
    typical = median_thinking(every)
    accuracy, low, high = crossed.rate(tables)
    effect = crossed.difference(tables, control) if control else None
    apart = effect.interval if effect else (None, None)
    unanswered = (
        fmean(tests.mean(tests.no_answers(part).values()) for part in tests.by_task(one).values()) for one in trainings
    )
    return Response(
        decoding=decoding, arm=name, dose=dose, trainings=len(trainings), accuracy=accuracy, low=low, high=high,
        no_answer=fmean(unanswered), thinking_tokens=typical.value, thinking_over=typical.over,
        difference=effect.difference if effect else None, difference_low=apart[0], difference_high=apart[1],
    )  # fmt: skip
