"""Intervals against closed forms."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evaluation.statistics import paired_difference, wilson


@given(st.integers(1, 2000), st.floats(0, 1))
def test_wilson_equals_the_formula(n, share):
    k = round(share * n)
    z, p = 1.959963984540054, k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = wilson(k, n)
    assert low == pytest.approx(max(0, centre - half), abs=1e-9)
    assert high == pytest.approx(min(1, centre + half), abs=1e-9)


def test_paired_interval_is_near_the_normal_one_and_narrower_than_unpaired():
    ours = {str(i): [float(i % 10 < 6)] for i in range(500)}
    theirs = {str(i): [float(i % 10 < 5)] for i in range(500)}
    found = paired_difference(ours, theirs)
    assert found["difference"] == pytest.approx(0.1)
    spread = 1.96 * math.sqrt(0.1 * 0.9 / 500)
    assert found["low"] == pytest.approx(0.1 - spread, abs=0.004)
    assert found["high"] == pytest.approx(0.1 + spread, abs=0.004)
    assert paired_difference(ours, theirs) == found


def test_seeds_are_averaged_within_the_item():
    found = paired_difference({"a": [1, 0], "b": [1, 1]}, {"a": [0], "b": [1]})
    assert found["difference"] == pytest.approx(0.25)
    assert found["n"] == 2


def test_missing_items_are_an_error():
    with pytest.raises(KeyError, match="one side only"):
        paired_difference({"a": [1]}, {"b": [1]})
