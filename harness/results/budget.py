"""Accuracy against a token budget, from stored samples: one counts at a budget when it ended by itself within it.

What a cut sample would have done is unknown, so no figure looks past the cap; lengths are Kaplan-Meier estimates.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from harness.records import Record, Sample
from harness.results.statistics import by_item, item_interval


def length(sample: Sample) -> int:
    """Tokens that a sample spent, thinking and answer."""
    return len(sample.token_ids) or sample.thinking_tokens + sample.answer_tokens


def cut(sample: Sample) -> bool:
    """Whether the limit of tokens or the context's end cut it."""
    return sample.finish in ("length", "context")


class Point(Record):
    """What the samples that end within ``budget`` tokens reach, as shares of all; ``low`` and ``high``: 95%."""

    budget: int
    accuracy: float
    low: float
    high: float
    answered: float
    accuracy_answered: float | None = Field(description="of the answered alone; None: there are none")


class Lengths(Record):
    """Lengths of responses in tokens, where those of cut samples are only known to be longer."""

    censored: float = Field(description="share of samples that were cut")
    median: float | None = Field(description="Kaplan-Meier; None: over half are cut")
    times: list[int]
    finished: list[float] = Field(description="at each of ``times``, the share that has ended by itself")


def curve(samples: Sequence[Sample], points: int = 24) -> list[Point]:
    """Accuracy and answer rate at budgets up to the longest sample: quantiles of the lengths, near every step."""
    lengths = sorted(length(s) for s in samples)
    budgets = sorted({lengths[i * len(lengths) // points] for i in range(points)} | {lengths[-1]})
    out = []
    for budget in budgets:
        in_time = [s for s in samples if length(s) <= budget and s.grade.verdict in ("correct", "wrong")]
        right = sum(s.grade.correct for s in in_time)
        scores = by_item(samples, lambda s, most=budget: length(s) <= most and s.grade.correct)  # type: ignore[misc]
        low, high = item_interval(list(scores.values()))
        out.append(Point(
            budget=budget, accuracy=right / len(samples), low=low, high=high, answered=len(in_time) / len(samples),
            accuracy_answered=right / len(in_time) if in_time else None,
        ))  # fmt: skip
    return out


def saturation(points: Sequence[Point], share: float = 0.95) -> int | None:
    """The smallest budget that reaches ``share`` of the full accuracy (arXiv 2607.21433); None at accuracy 0."""
    full = points[-1].accuracy
    return next(p.budget for p in points if p.accuracy >= share * full) if full else None


def lengths(samples: Sequence[Sample]) -> Lengths:
    """Kaplan-Meier estimate of the lengths of responses, those that were cut right-censored."""
    from statsmodels.duration.survfunc import SurvfuncRight

    ends = [int(not cut(s)) for s in samples]
    censored = 1 - sum(ends) / len(ends)
    if not any(ends):
        return Lengths(censored=censored, median=None, times=[], finished=[])
    fit = SurvfuncRight([max(length(s), 1) for s in samples], ends)
    median = fit.quantile(0.5)
    return Lengths(
        censored=censored,
        median=None if median != median else float(median),
        times=[int(t) for t in fit.surv_times],
        finished=[float(1 - p) for p in fit.surv_prob],
    )


def aes(ours: tuple[float, float], base: tuple[float, float], gain: float = 3.0, loss: float = 5.0) -> float | None:
    """Accuracy-efficiency score of (accuracy, mean tokens) against a base run; None: it is never right.

    Share of tokens saved, plus ``gain`` times the relative gain in accuracy or minus ``loss`` times the relative loss
    (arXiv 2501.12570).
    """
    if base[0] <= 0 or base[1] <= 0:
        return None
    saved, better = (base[1] - ours[1]) / base[1], (ours[0] - base[0]) / base[0]
    return saved + (gain if better >= 0 else loss) * better
