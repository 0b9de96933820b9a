"""Figures of how long thoughts are and what they are worth: threshold-adjusted accuracy, levels, censored medians."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from harness.records import Sample
from harness.results.budget import cut
from harness.results.records import Data
from harness.results.statistics import by_item, mean, scores_by_item

# Thinking tokens at which a right answer is worth nothing: the published constant, and one for tiny models, whose
# thoughts are tens of tokens long.
PUBLISHED, TINY = 1000, 100


class Median(NamedTuple):
    """A median of lengths. ``over``: it is larger than ``value``, for half of the lengths or more are only bounds."""

    value: float
    over: bool = False


def unended(sample: Sample) -> bool:
    """Whether the thought would have been longer: it was cut before it ended, or closed from outside."""
    return sample.forced or (cut(sample) and sample.grade.think_state == "unclosed")


def median_thinking(samples: Sequence[Sample]) -> Median:
    """Kaplan-Meier median of the thinking tokens, thoughts that did not end by themselves right-censored.

    Without any such it is the plain median.
    """
    lengths = sorted((s.thinking_tokens, unended(s)) for s in samples)  # ends come before cuts of the same length
    half, left, share = 0.5 + 1e-9, len(lengths), 1.0
    middle: float | None = None  # the lower of two middle lengths
    for length, censored in lengths:
        if not censored:
            if middle is not None and length > middle:
                return Median((middle + length) / 2)
            share *= 1 - 1 / left
            if share < 1 - half:
                return Median(length)
            if share <= half and middle is None:
                middle = length
        left -= 1
    return Median(lengths[-1][0] if middle is None else middle, over=True)


def auc(samples: Sequence[Sample], most: int) -> float:
    """AUC_OAA of OptimalThinkingBench (arXiv 2508.13141) up to ``most`` thinking tokens, from 0 to 1.

    The mean over t from 0 to ``most`` of the share of answers that are right with fewer than t thinking tokens; in
    closed form the mean of c * max(0, 1 - T / most). Items count alike, whatever the number of their samples.
    """
    return mean(by_item(samples, lambda s: s.grade.correct * max(0.0, 1 - s.thinking_tokens / most)).values())


def by_level(samples: Sequence[Sample]) -> Data:
    """What easy and hard problems show (below and above the middle of the levels present); empty without both.

    ``f1`` of the same benchmark: harmonic mean of AUC_OAA on the easy and accuracy on the hard ones (0 at 0), up to
    PUBLISHED tokens and, as ``f1_100``, up to TINY. ``hard_to_easy``: ratio of the median thinking tokens.
    """
    levels = {s.level for s in samples if s.level}
    if len(levels) < 2:
        return {}
    middle = (min(levels) + max(levels)) / 2
    easy = [s for s in samples if s.level and s.level < middle]
    hard = [s for s in samples if s.level > middle]
    solved = mean(scores_by_item(hard).values())
    short, long = median_thinking(easy), median_thinking(hard)
    known = short.value and not short.over and not long.over
    return {
        "f1": _harmonic(auc(easy, PUBLISHED), solved),
        "f1_100": _harmonic(auc(easy, TINY), solved),
        "hard_to_easy": long.value / short.value if known else None,
    }


def _harmonic(a: float, b: float) -> float:
    return statistics.harmonic_mean([a, b])
