"""Rates of arms that were trained several times, and their differences, on the arcsine scale (docs/statistics.md).

Arms are paired by training seed and by item: of every pair of arms and task there is one table, trainings by items, of
differences of mean scores, which ``results.effects`` pools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from harness.records import Sample
from harness.results.effects import Array, Effect, pooled
from harness.results.records import Gap
from harness.results.statistics import Scores, by_task, clusters_of, scores_by_item


@dataclass(frozen=True, kw_only=True)
class Table:
    """Mean scores of an arm's items on one task, trainings by items, from 0 to 1.

    ``samples``: how many of each item. ``clusters``: a number for each item, equal where items share a source.
    """

    scores: Array
    samples: int = 1
    clusters: Array | None = None


def table(trainings: Sequence[Scores], clusters: Mapping[str, str] | None = None) -> Table:
    """The scores of one arm's trainings on one task. Raises KeyError where a training lacks an item."""
    items = sorted(trainings[0])
    if odd := sorted(set().union(*(set(one) ^ set(items) for one in trainings))):
        raise KeyError(f"{len(odd)} items are not in all trainings, for example {odd[0]}")
    means = [[sum(one[item]) / len(one[item]) for item in items] for one in trainings]
    groups = [(clusters or {}).get(item, item) for item in items]
    numbers = {name: float(number) for number, name in enumerate(dict.fromkeys(groups))}
    return Table(
        scores=np.array(means, dtype=float), samples=min(len(one[item]) for one in trainings for item in items),
        clusters=np.array([numbers[name] for name in groups]) if len(numbers) < len(items) else None,
    )  # fmt: skip


def of_arm(trainings: Sequence[Sequence[Sample]]) -> list[Table]:
    """What one arm's trainings got right, one table a task. Raises KeyError where a training lacks an item."""
    parts = zip(*(by_task(one).values() for one in trainings), strict=True)
    return [table([scores_by_item(one) for one in task], clusters_of(task[0])) for task in parts]


def difference(ours: Sequence[Table], others: Sequence[Table]) -> Effect:
    """The mean over tasks of what one arm is above another. Each list has one table a task, in the same order.

    The trainings of both arms are paired in their order, those beyond the shorter list left out; an arm with a single
    one is paired with each of the other.
    """
    tables, points, raw = [], [], []
    for a, b in zip(ours, others, strict=True):
        n = min(len(x.scores) for x in (a, b)) if min(len(a.scores), len(b.scores)) > 1 else None
        x, y = np.broadcast_arrays(a.scores[:n], b.scores[:n])
        samples = min(a.samples, b.samples)
        (one, slope), (other, against) = _scaled(x, samples), _scaled(y, samples)
        tables.append((one - other, (slope + against) / 2 / samples, a.clusters))
        points.append(_points(float(x.mean()), float(y.mean()), x.shape[1] * samples))
        raw.append(float(x.mean() - y.mean()))
    effect, share, slope = pooled(tables), fmean(raw), fmean(points)
    # The interval in shares and the test agree: a unit is what brings one to the other, near the slope of the scale.
    if effect.centre and share / effect.centre > 0:
        slope = min(max(share / effect.centre, slope / 2), slope * 2)
    return replace(effect, points=slope, difference=share)


def rate(tables: Sequence[Table]) -> tuple[float, float, float]:
    """(mean, low, high) of an arm's rate over tasks, with its 95% interval, which counts trainings and items."""
    scaled = [(*_scaled(one.scores, one.samples), one) for one in tables]
    mean = fmean(float(one.scores.mean()) for one in tables)
    effect = pooled([(values, slope / one.samples, one.clusters) for values, slope, one in scaled])
    low, high = (min(max(effect.centre + sign * effect.half(), 0.0), np.pi / 2) for sign in (-1, 1))
    return mean, min(float(np.sin(low) ** 2), mean), max(float(np.sin(high) ** 2), mean)


def gap(ours: Table, others: Table) -> Gap:
    """The paired difference of two arms on one task, as the tables of results show it."""
    effect = difference([ours], [others])
    low, high = effect.interval
    items = (ours.scores.mean(0) - others.scores.mean(0)).round(12)
    return Gap(
        difference=effect.difference, low=low, high=high, n=effect.items, error=effect.error * effect.points,
        smallest=effect.smallest(), better=int((items > 0).sum()), worse=int((items < 0).sum()), p=effect.p,
    )  # fmt: skip


def _scaled(scores: Array, samples: int) -> tuple[Array, float]:
    """Scores on the arcsine scale, linear within a training so that a row's mean is that of its rate; the mean slope.

    A rate counts 3/8 of a sample on either side (Anscombe), so that none lies at the scale's ends.
    """
    n = scores.shape[1] * samples
    rates = scores.mean(axis=1, keepdims=True)
    smooth = (rates * n + 0.375) / (n + 0.75)
    slopes = 1 / (2 * np.sqrt(smooth * (1 - smooth)))
    return np.arcsin(np.sqrt(smooth)) + slopes * (scores - rates), float(slopes.mean())


def _points(ours: float, others: float, n: int) -> float:
    """What a unit of the arcsine scale is between two rates (between equal ones: at them)."""
    a, b = ((p * n + 0.375) / (n + 0.75) for p in (ours, others))
    apart = np.arcsin(np.sqrt(a)) - np.arcsin(np.sqrt(b))
    middle = (a + b) / 2
    return float((a - b) / apart) if abs(apart) > 1e-6 else float(2 * np.sqrt(middle * (1 - middle)))
