"""Intervals against closed forms."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results.statistics import paired, sameness, wilson


@given(st.integers(1, 2000), st.floats(0, 1))
def test_wilson_equals_the_formula(n, share):
    k = round(share * n)
    z, p = 1.959963984540054, k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = wilson(k, n)
    assert low == pytest.approx(max(0, centre - half), abs=1e-9)
    assert high == pytest.approx(min(1, centre + half), abs=1e-9)


def scores(pattern, n=500):
    return {str(i): [float(pattern(i))] for i in range(n)}


def test_paired_interval_is_near_the_normal_one_and_narrower_than_unpaired():
    found = paired(scores(lambda i: i % 10 < 6), scores(lambda i: i % 10 < 5))
    assert found.difference == pytest.approx(0.1)
    spread = 1.96 * math.sqrt(0.1 * 0.9 / 500)
    assert found.low == pytest.approx(0.1 - spread, abs=0.004)
    assert found.high == pytest.approx(0.1 + spread, abs=0.004)
    assert (found.better, found.worse, found.n) == (50, 0, 500)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(61, 300))
def test_paired_interval_of_single_samples_is_bonett_and_prices(b, c, n):
    """Bonett and Price 2012: (b - c)/(n + 2) and its Wald error from b + 1 and c + 1; here with t for z."""
    from scipy.stats import t

    found = paired(scores(lambda i: i < b, n), scores(lambda i: b <= i < b + c, n))
    p12, p21 = (b + 1) / (n + 2), (c + 1) / (n + 2)
    error = math.sqrt((p12 + p21 - (p12 - p21) ** 2) / (n + 1))
    half = t.ppf(0.975, n + 1) * error
    assert found.low == pytest.approx(max(-1, (b - c) / (n + 2) - half), abs=1e-9)
    assert found.high == pytest.approx(min(1, (b - c) / (n + 2) + half), abs=1e-9)


def test_seeds_are_averaged_within_the_item():
    found = paired({"a": [1, 0], "b": [1, 1]}, {"a": [0], "b": [1]})
    assert found.difference == pytest.approx(0.25)
    assert found.n == 2


def test_missing_items_are_an_error():
    with pytest.raises(KeyError, match="one side only"):
        paired({"a": [1]}, {"b": [1]})


def test_clusters_widen_the_interval():
    ours, theirs = scores(lambda i: i % 10 < 6, 100), scores(lambda i: i % 10 < 5, 100)
    alone = paired(ours, theirs)
    clustered = paired(ours, theirs, {str(i): str(i % 10) for i in range(100)})
    assert clustered.error > 2 * alone.error


@pytest.mark.parametrize(("truth", "most"), [(0.05, 0.056), (0.0, 1.0), (0.12, 1.0)])
def test_a_difference_of_just_the_margin_is_resolved_in_five_percent_of_runs(truth, most):
    """Normal estimates around ``truth``, margin 0.05: resolved either way at 5%, and with power away from it."""
    import numpy as np

    error = 0.012
    draws = np.random.default_rng(1).normal(truth, error, 4000)
    resolved = [(abs(d) < 0.05) for d in draws if sameness(d, error, 1e6, 0.05) < 0.05]
    if truth == 0.05:
        assert 0.044 < len(resolved) / len(draws) < most
    else:
        assert len(resolved) / len(draws) > 0.95
        assert set(resolved) == {truth < 0.05}
