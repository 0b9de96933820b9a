"""Samples by item, intervals, tests (docs/statistics.md). Items are the unit: repeats are averaged within one first."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

from harness.records import Sample
from harness.results.records import Gap

LEVEL = 0.95  # of all intervals
Scores = Mapping[str, Sequence[float]]  # of each item, the scores of its samples
Measure = Callable[[Sequence[Sample]], dict[str, list[float]]]  # takes a score of every sample, by item
Samples = Mapping[str, Sequence[Sequence[Sample]]]  # of each arm, one list for each training seed
_Item = TypeVar("_Item")


def of_task(samples: Sequence[Sample], task: str) -> list[Sample]:
    return [sample for sample in samples if sample.task == task]


def by_task(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """The samples of each task, in the order in which tasks first occur."""
    return {task: of_task(samples, task) for task in dict.fromkeys(sample.task for sample in samples)}


def by_item(samples: Sequence[Sample], value: Callable[[Sample], float]) -> dict[str, list[float]]:
    """A value of each item's samples, in the order of their numbers."""
    out: dict[str, list[float]] = {}
    for sample in sorted(samples, key=lambda s: s.index):
        out.setdefault(sample.problem_id, []).append(float(value(sample)))
    return out


def scores_by_item(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Each item's samples: 1 where right, else 0."""
    return by_item(samples, lambda s: s.grade.correct)


def no_answers(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Each item's samples: 1 where without an answer, else 0."""
    return by_item(samples, lambda s: s.grade.verdict not in ("correct", "wrong"))


def mean(items: Collection[Sequence[float]]) -> float:
    """The mean over items of their mean scores."""
    return fmean(map(fmean, items))


def solved(samples: Sequence[Sample], first: int | None = None) -> dict[str, list[float]]:
    """1 for each item of which at least one sample (of the ``first`` so many) is right, else 0."""
    return {item: [float(any(scores[:first]))] for item, scores in scores_by_item(samples).items()}


def clusters_of(samples: Sequence[Sample]) -> dict[str, str]:
    """Items that share a source: turns and languages of one Multi-IF base prompt (``1019:16:en#2``: 1019)."""
    shared = [s.problem_id for s in samples if s.task.startswith("multi_if") and ":" in s.problem_id]
    return {name: name.split(":")[0] for name in shared}


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Wilson score interval of a rate, 95% (statsmodels)."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, n, alpha=1 - LEVEL, method="wilson")
    return float(low), float(high)


def item_interval(items: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Wilson interval of a mean score over items, at the effective number of trials, p(1-p) / Var(mean).

    That is never fewer than the items and never more than the samples.
    """
    means = [sum(item) / len(item) for item in items]
    n, p = len(means), sum(means) / len(means)
    if n > 1 and any(len(item) > 1 for item in items):
        variance = sum((m - p) ** 2 for m in means) / (n - 1) / n
        trials = sum(len(item) for item in items)
        effective = p * (1 - p) / variance if variance > 0 else trials if 0 < p < 1 else n
        effective = min(max(effective, n), trials)
        return wilson(p * effective, effective)
    return wilson(p * n, n)


def pass_at_k(drawn: int, right: int, k: int) -> float:
    """Unbiased pass@k of one item, 1 - C(n-c, k) / C(n, k) (arXiv 2107.03374). ValueError for k above ``drawn``."""
    if not 1 <= k <= drawn:
        raise ValueError(f"pass@{k} needs at least {k} samples an item; {drawn} were drawn")
    return 1.0 - math.prod(1.0 - k / j for j in range(drawn - right + 1, drawn + 1)) if drawn - right >= k else 1.0


def test_at_n(items: Sequence[Sequence[float]]) -> dict[str, dict[int, float]]:
    """pass@k for every k up to the samples drawn, and the paper's Test@N. Raises ValueError for unequal numbers."""
    sizes = {len(item) for item in items}
    if len(sizes) != 1:
        raise ValueError(f"items have {min(sizes)} to {max(sizes)} samples; pass@k needs the same number for each")
    n = sizes.pop()
    ks = range(1, n + 1)
    return {
        "pass": {k: sum(pass_at_k(n, round(sum(item)), k) for item in items) / len(items) for k in ks},
        "test": {k: sum(any(item[:k]) for item in items) / len(items) for k in ks},
    }


test_at_n.__test__ = False  # type: ignore[attr-defined]  # pytest collects what is named so


def mcnemar(better: int, worse: int) -> float:
    """Two-sided mid-p McNemar test of the discordant pairs; 1 when there are none."""
    from scipy.stats import binom

    n, least = better + worse, min(better, worse)
    return min(1.0, 2 * float(binom.cdf(least, n, 0.5)) - float(binom.pmf(least, n, 0.5))) if n else 1.0


def holm(ps: Sequence[float]) -> list[float]:
    """Holm-adjusted p values (statsmodels)."""
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(ps, method="holm")[1]] if ps else []


def paired(ours: Scores, others: Scores, clusters: Mapping[str, str] | None = None) -> Gap:
    """Paired difference over the same items. A missing item is a KeyError, never a skipped one.

    The interval is Student's t over item (or cluster) differences with one sample more on either side (for single 0/1
    scores Bonett and Price's). p is McNemar's mid-p for single 0/1 samples without clusters, else that of the same t.
    """
    from scipy.stats import norm, t

    gaps, groups = item_gaps(ours, others), clusters or {}
    n, difference = len(gaps), sum(gaps.values()) / len(gaps)
    # What is added is one sample: an item that was answered several times can change by that much without a reason.
    once = 1 / min(len(side[item]) for side in (ours, others) for item in gaps)
    centre, error, freedom = adjusted(gaps, groups, once)
    half = float(t.ppf(0.5 + LEVEL / 2, freedom)) * error
    better, worse = sum(g > 0 for g in gaps.values()), sum(g < 0 for g in gaps.values())
    binary = not groups and all(len(side[item]) == 1 for side in (ours, others) for item in gaps)
    p = mcnemar(better, worse) if binary else float(2 * t.sf(abs(centre) / error, freedom))
    smallest = float(norm.ppf(0.975) + norm.ppf(0.8)) * error
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return Gap(
        difference=difference, low=min(low, difference), high=max(high, difference), n=n, error=error,
        smallest=smallest, better=better, worse=worse, p=p,
    )  # fmt: skip


def item_gaps(ours: Scores, others: Scores) -> dict[str, float]:
    """Each item's difference of mean scores."""
    if odd := sorted(set(ours) ^ set(others)):
        raise KeyError(f"{len(odd)} items are on one side only, for example {odd[0]}")
    return {item: sum(ours[item]) / len(ours[item]) - sum(others[item]) / len(others[item]) for item in ours}


def adjusted(gaps: Mapping[str, float], clusters: Mapping[str, str], bound: float = 1.0) -> tuple[float, float, int]:
    """(centre, standard error, degrees of freedom) of the mean with one item of ``bound`` added on either side."""
    values = [*gaps.values(), bound, -bound]
    n, centre = len(values), sum(values) / len(values)
    sums: dict[str, float] = {}
    for name, value in [*gaps.items(), ("\0+", bound), ("\0-", -bound)]:
        sums[clusters.get(name, name)] = sums.get(clusters.get(name, name), 0.0) + value - centre
    groups = len(sums)
    return centre, math.sqrt(groups / (groups - 1) * sum(s * s for s in sums.values())) / n, groups - 1


def sameness(centre: float, error: float, freedom: float, margin: float) -> float:
    """Two-sided p value of "the true difference is just ``margin``, either way".

    Small where it is shown to be smaller (two one-sided tests, both of which must hold) or larger.
    """
    from scipy.stats import t

    inside = max(float(t.sf((margin + centre) / error, freedom)), float(t.sf((margin - centre) / error, freedom)))
    outside = float(t.sf((abs(centre) - margin) / error, freedom))
    return min(1.0, 2 * min(inside, outside))


def needed(error: float, n: int, effect: float) -> int:
    """Items at which a true difference of ``effect`` would be seen at 5% in 80% of runs, given the error at ``n``."""
    from scipy.stats import norm

    return math.ceil(n * (float(norm.ppf(0.975) + norm.ppf(0.8)) * error / abs(effect)) ** 2) if effect else 0


def bootstrap(items: Sequence[_Item], statistic: Callable[[list[_Item]], float], draws: int) -> tuple[float, float]:
    """95% percentile interval of ``statistic(items)``, for figures without a closed form (fixed seed)."""
    import numpy as np

    random = np.random.default_rng(0)
    picks = [random.integers(0, len(items), len(items)) for _ in range(draws)]
    values = np.array([statistic([items[i] for i in pick]) for pick in picks], dtype=float)
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
