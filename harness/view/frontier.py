"""Accuracy against the tokens that were spent for it, as a figure of points, one for each arm or run."""

from __future__ import annotations

from harness.results.frontier import frontier
from harness.results.statistics import Samples
from harness.view.page import Figure, Series
from harness.view.text import MISSING


def figure(title: str, samples: Samples) -> Figure:
    """The figure of some arms' samples, the cheapest first. Raises KeyError where a training lacks an item."""
    series = []
    for one in frontier(samples):
        each = MISSING if one.tokens_per_correct is None else f"{one.tokens_per_correct:,.0f}"
        series.append(Series(
            label=one.arm, x=[one.tokens], y=[one.accuracy], low=[one.low], high=[one.high],
            note=f"{each} per correct", beaten=not one.best,
        ))  # fmt: skip
    return Figure(name=f"frontier.{title}", title=title, x="tokens an answer", y="accuracy", series=series, points=True)
