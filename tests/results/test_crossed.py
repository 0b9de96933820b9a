"""Crossed effects against other implementations (statsmodels' analysis of variance, SciPy) and by their properties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.results.crossed import Table, difference, gap, rate, table
from harness.results.statistics import wilson


def arm(seed, trainings=5, items=200, spread=0.0, shift=0.0, samples=1):
    """Scores of an arm whose trainings differ by ``spread`` (logits) and that is ``shift`` better."""
    rng = np.random.default_rng(seed)
    level = np.random.default_rng(7).normal(0, 1.5, (1, items)) + shift + spread * rng.normal(size=(trainings, 1))
    return Table(scores=rng.binomial(samples, 1 / (1 + np.exp(-level))) / samples, samples=samples)


def test_the_error_is_that_of_an_analysis_of_variance():
    """Mean squares of seeds, items and residual by statsmodels; at rates of a half the scale is almost linear."""
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    a, b = arm(1, 4, 400, spread=0.3), arm(2, 4, 400)
    gaps = a.scores - b.scores
    n, m = gaps.shape
    seeds, items = (axis.ravel().astype(str) for axis in np.indices((n, m)))
    frame = pd.DataFrame({"gap": gaps.ravel(), "seed": seeds, "item": items})
    squares = anova_lm(ols("gap ~ C(seed) + C(item)", frame).fit())["mean_sq"]
    variance = (squares["C(seed)"] + squares["C(item)"] - squares["Residual"]) / (n * m)
    effect = difference([a], [b])
    assert effect.error * effect.points == pytest.approx(variance**0.5, rel=0.03)
    assert effect.difference == pytest.approx(gaps.mean())


def test_one_training_is_a_paired_test_over_items():
    a, b = arm(1, 1, 600, shift=0.2), arm(2, 1, 600)
    effect = difference([a], [b])
    assert effect.p == pytest.approx(stats.ttest_rel(a.scores[0], b.scores[0]).pvalue, rel=0.1)
    assert effect.p_signs is None


@pytest.mark.parametrize(("right", "items"), [(150, 300), (214, 300), (290, 300), (3, 300), (700, 1000)])
def test_the_interval_of_one_training_is_about_wilsons(right, items):
    one = Table(scores=np.array([[1.0] * right + [0.0] * (items - right)]))
    assert rate([one]) == pytest.approx((right / items, *wilson(right, items)), abs=0.006)


def test_the_interval_of_a_rate_holds_the_truth_as_often_as_it_says():
    """500 arms of five trainings that scatter by half a logit: 95% are 475, and 459 to 489 would be seen in 99.9%."""
    logits = np.random.default_rng(7).normal(0, 1.5, 100_000)
    held = 0
    for k in range(500):
        rng = np.random.default_rng(k)
        level = rng.choice(logits, (1, 200)) + 0.5 * rng.normal(size=(5, 1))
        _, low, high = rate([Table(scores=rng.binomial(1, 1 / (1 + np.exp(-level))).astype(float))])
        held += low <= 0.5 <= high
    assert 459 <= held <= 489


def test_trainings_that_answer_alike_count_as_one():
    """Greedy answers of one model are the same for every seed: no spread, and the items' freedom."""
    a, b = arm(1, 1, 300), arm(2, 1, 300)
    twice = [Table(scores=x.scores.repeat(2, 0)) for x in (a, b)]
    assert rate([twice[0]]) == pytest.approx(rate([a]), abs=0.002)
    assert difference([twice[0]], [twice[1]]).interval == pytest.approx(difference([a], [b]).interval, abs=0.002)
    # Beside an arm whose trainings are alike, too, though not those of the first.
    silent = Table(scores=np.zeros((2, 300)))
    assert difference([silent], [twice[0]]).freedom > 100


def test_many_items_leave_a_t_test_over_trainings():
    a, b = arm(1, 6, 20_000, spread=0.8), arm(2, 6, 20_000)
    by_seed = np.arcsin(np.sqrt(a.scores.mean(1))) - np.arcsin(np.sqrt(b.scores.mean(1)))
    assert difference([a], [b]).p == pytest.approx(stats.ttest_1samp(by_seed, 0).pvalue, rel=0.05)


def test_signs_are_flipped_as_scipy_does():
    effect = difference([arm(1, 7, spread=0.5, shift=0.3)], [arm(2, 7, spread=0.5)])
    theirs = stats.permutation_test((effect.by_seed,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert effect.p_signs == pytest.approx(theirs.pvalue)
    clear = difference([arm(1, 5, shift=3)], [arm(2, 5)])
    assert clear.p_signs == 2 / 2**5


def test_items_that_share_a_source_count_once():
    """Each item three times, marked as one source: the error of the items alone; unmarked it is too small."""
    a, b = arm(1, 1, 150), arm(2, 1, 150)
    once = difference([a], [b])
    same = np.repeat(np.arange(150.0), 3)
    thrice = [[Table(scores=x.scores.repeat(3, 1), clusters=mark) for x in (a, b)] for mark in (same, None)]
    marked, unmarked = (difference([x], [y]) for x, y in thrice)
    assert marked.error == pytest.approx(once.error, rel=0.02)
    assert unmarked.error < 0.7 * once.error


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), trainings=st.integers(1, 6), spread=st.floats(0, 2), shift=st.floats(-4, 4),
    samples=st.integers(1, 4), tasks=st.integers(1, 3),
)  # fmt: skip
def test_intervals_and_tests_agree(seed, trainings, spread, shift, samples, tasks):
    ours = [arm(seed + 2 * k, trainings, 40, spread, shift, samples) for k in range(tasks)]
    others = [arm(seed + 2 * k + 1, trainings, 40, 0.0, 0.0, samples) for k in range(tasks)]
    effect, back = difference(ours, others), difference(others, ours)
    assert effect.p == pytest.approx(back.p)
    assert effect.difference == pytest.approx(-back.difference)
    low, high = effect.interval
    assert -1 <= low <= effect.difference <= high <= 1
    if tasks == 1:
        assert (low > 0 or high < 0) == (effect.p < 0.05)
    assert effect.smallest(0.01) > effect.smallest(0.05) > 0
    mean, least, most = rate(ours)
    assert 0 <= least <= mean <= most <= 1
    assert gap(ours[0], others[0]).n == 40


def test_equal_arms_have_no_difference_and_no_certainty():
    a = arm(1)
    effect = difference([a], [a])
    assert (effect.difference, effect.p) == (0.0, 1.0)
    assert effect.error > 0
    silent = Table(scores=np.zeros((3, 50)))
    assert 0 < rate([silent])[2] < 0.15


def test_equal_recipes_are_told_apart_as_often_as_the_level_says():
    """500 pairs of equal recipes of which one's trainings scatter: 5% are 25, and 9 to 41 would be seen in 99.9%."""
    found = [difference([arm(2 * k, 5, 100, spread=0.8)], [arm(2 * k + 1, 5, 100)]).p < 0.05 for k in range(500)]
    assert 9 <= sum(found) <= 41


def test_a_training_that_lacks_an_item_is_an_error():
    with pytest.raises(KeyError, match="1 items are not in all trainings, for example y"):
        table([{"x": [1.0], "y": [0.0]}, {"x": [1.0]}])
    both = table([{"b": [1.0, 0.0], "a": [1.0]}], {"a": "1", "b": "1"})
    assert both.scores.tolist() == [[1.0, 0.5]]
    assert both.samples == 1
    assert both.clusters.tolist() == [0.0, 0.0]
