"""A mean over trainings and items, both drawn at random: its error, tests and interval (docs/statistics.md).

In a table of trainings by items, rows vary because training again gives another model, columns because other items
would have been answered otherwise. Both are estimated by moments of the two-way layout with one entry a cell, so that
what is left (the residual) counts once (Cameron, Gelbach and Miller 2011 for the same sum).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from harness.results.statistics import LEVEL

Array = np.ndarray[Any, np.dtype[np.float64]]
# A seed effect that is at least this clear (F test) leaves no more degrees of freedom than there are trainings but one.
_CLEAR = 0.1
_NOTHING = 1e-20  # a squared error that is rounding alone
_EXACT = 14  # trainings up to which all assignments of signs are enumerated


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A mean over tasks, on the scale of arcsine of the square root, where a rate's error hardly depends on it.

    ``by_seed``: that of each training. ``points``: what a unit of the scale is as a share; 1 where it stays a unit.
    ``difference``: the plain difference of rates, as a share.
    """

    centre: float
    error: float
    freedom: float
    by_seed: Array
    items: int
    points: float = 1.0
    difference: float = 0.0

    @property
    def p(self) -> float:
        """Two-sided p value of no difference (Student's t)."""
        from scipy.stats import t

        return float(2 * t.sf(abs(self.centre) / self.error, self.freedom))

    @property
    def p_signs(self) -> float | None:
        """Exact sign-flip p value over the trainings, which assumes no distribution; never below 2 / 2^trainings.

        None: a single training, or more than can be enumerated.
        """
        n = len(self.by_seed)
        if not 2 <= n <= _EXACT:
            return None
        flips = np.array(list(product((1.0, -1.0), repeat=n - 1)))  # the other half mirrors these
        sums = np.abs(self.by_seed[0] + flips @ self.by_seed[1:])
        return float(np.mean(sums >= abs(self.by_seed.sum()) - 1e-12))

    def half(self, alpha: float = 1 - LEVEL) -> float:
        """Half the interval at ``alpha``, times ``points``."""
        from scipy.stats import t

        return float(t.ppf(1 - alpha / 2, self.freedom)) * self.error * self.points

    def smallest(self, alpha: float = 1 - LEVEL, power: float = 0.8) -> float:
        """The true difference, as a share, that a test at ``alpha`` would show in so many runs."""
        from scipy.stats import t

        return self.half(alpha) + float(t.ppf(power, self.freedom)) * self.error * self.points

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the difference, as shares; of one task it holds 0 just where ``p`` is above 5%."""
        return max(-1.0, self.difference - self.half()), min(1.0, self.difference + self.half())


def pooled(tables: Sequence[tuple[Array, float, Array | None]]) -> Effect:
    """The mean of tables (values, one sample's weight, clusters of items) of tasks, which count alike."""
    tasks, n = len(tables), len(tables[0][0])
    by_seed = np.mean([values.mean(axis=1) for values, _, _ in tables], axis=0)
    centre = float(by_seed.mean())
    parts: list[tuple[float, float]] = []  # squared error of the mean with its sign, and degrees of freedom
    left = 0.0
    for values, weight, clusters in tables:
        # One sample more on either side: no difference is known for certain because no item showed any.
        once = np.full((n, 1), weight / n)
        values = _clustered(np.hstack([values, centre + once, centre - once]), clusters)
        m = values.shape[1]
        rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
        parts.append((float(columns.var(ddof=1)) / m / tasks**2, m - 1))
        if n > 1:
            residual = float(((values - rows - columns + values.mean()) ** 2).sum()) / ((n - 1) * (m - 1))
            parts.append((-residual / (n * m) / tasks**2, (n - 1) * (m - 1)))
            left += residual / (n * m) / tasks**2
    between = float(by_seed.var(ddof=1)) / n if n > 1 else 0.0
    if n > 1:
        parts.append((between, n - 1))
    # Below the spread between trainings alone the sum can only fall by chance.
    variance = max(sum(value for value, _ in parts), between, 1e-12)
    freedom = variance**2 / sum(value**2 / degrees for value, degrees in parts)
    if n > 1 and _is_clear(between, left, n, sum(values.shape[1] - 1 for values, _, _ in tables)):
        freedom = min(freedom, n - 1)
    return Effect(
        centre=centre, error=float(np.sqrt(variance)), freedom=max(freedom, 1.0), by_seed=by_seed,
        items=sum(values.shape[1] for values, _, _ in tables),
    )  # fmt: skip


def _is_clear(between: float, left: float, n: int, items: int) -> bool:
    from scipy.stats import f

    if between <= _NOTHING:  # trainings that answer alike, as greedy answers of one model do
        return False
    return left <= _NOTHING or bool(f.sf(between / left, n - 1, (n - 1) * items) < _CLEAR)


def _clustered(values: Array, clusters: Array | None) -> Array:
    """Sums of clusters in place of items, scaled so that a row's mean stays what it was."""
    if clusters is None:
        return values
    count = int(clusters.max()) + 1
    numbers = np.concatenate([clusters, [count, count + 1]]).astype(int)
    rows = values.mean(axis=1, keepdims=True)
    members: Array = (numbers[:, None] == np.arange(count + 2)).astype(float)
    sums: Array = (values - rows) @ members
    out: Array = rows + sums * ((count + 2) / values.shape[1])
    return out
