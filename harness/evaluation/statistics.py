"""Intervals: Wilson for one rate, paired bootstrap over items for a difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a rate (statsmodels)."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    return float(low), float(high)


def paired_difference(
    ours: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]], draws: int = 10_000, level: float = 0.95
) -> dict[str, float | int]:
    """Mean difference over items with a percentile interval from a paired bootstrap (fixed seed).

    Values are each item's scores, one per repeat or training seed, averaged within the item first: items are the unit.
    Both sides must hold the same items; a missing item is a KeyError, never a skipped one.
    """
    import numpy as np

    if set(ours) != set(theirs):
        missing = sorted(set(ours) ^ set(theirs))
        raise KeyError(f"{len(missing)} items are on one side only, for example {missing[0]}")
    items = sorted(ours)
    gaps = np.array([np.mean(ours[item]) - np.mean(theirs[item]) for item in items])
    random = np.random.default_rng(0)
    means = np.concatenate(
        [gaps[random.integers(0, len(gaps), (500, len(gaps)))].mean(axis=1) for _ in range(draws // 500)]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return {"difference": float(gaps.mean()), "low": float(low), "high": float(high), "n": len(items)}
