"""Figures as numbers with their labels: histograms and curves. The renderers draw them as text, SVG, PDF or PNG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Colours that people who see colours differently can tell apart (Okabe and Ito), for light and dark pages.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8a800")
SECOND = "#c00000"


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Counts of one group by bin: those of the first kind, and (stacked upon them) of the second."""

    label: str
    counts: Sequence[int]
    second: Sequence[int] = ()
    note: str = ""

    def totals(self) -> list[int]:
        return [a + b for a, b in zip(self.counts, self.second or [0] * len(self.counts), strict=True)]


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Groups over the same bins of equal width from ``low`` to ``high``. ``kinds``: names of the stacked counts."""

    name: str
    title: str
    x: str
    y: str
    low: float
    high: float
    bars: Sequence[Bars]
    kinds: tuple[str, str] = ("", "")


def binned(values: Iterable[float], low: float, high: float, bins: int) -> list[int]:
    """How many values fall into each of ``bins`` equal parts of low to high; the last takes its upper end, too."""
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, max(0, int((value - low) * bins / ((high - low) or 1))))] += 1
    return counts


@dataclass(frozen=True, kw_only=True)
class Series:
    """Steps through points, with their 95% intervals. ``second``: another figure at the same points, drawn dotted."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    second: Sequence[float] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Shares from 0 to 1 against x."""

    name: str
    title: str
    x: str
    y: str
    series: Sequence[Series]
    second: str = ""
