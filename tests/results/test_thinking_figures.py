"""Threshold-adjusted accuracy, levels and censored medians: by hand, against definitions and other implementations."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Grade, Sample
from harness.results.summary import row
from harness.results.thinking import auc, by_level, median_thinking


def sample(thinking, verdict="correct", item="p", level=0, state="closed", **more):
    return Sample(
        key="", task="t", problem_id=item, index=0, seed=0, prompt_ids_hash="", text="", token_ids=[], level=level,
        thinking_tokens=thinking, answer_tokens=0, grade=Grade(verdict=verdict, reason="", think_state=state),
        **{"finish": "stop", **more},
    )  # fmt: skip


def cut(thinking, **more):
    return sample(thinking, "unfinished", state="unclosed", finish="length", **more)


RUNS = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=40)


def test_auc_is_taken_per_response_not_from_averages():
    """Right at 0 tokens and wrong at 1000: 0.5 per response, 0.25 from averages (a published script's error)."""
    assert auc([sample(0, item="a"), sample(1000, "wrong", item="b")], 1000) == pytest.approx(0.5)
    assert row([sample(0, item="a"), sample(1000, "wrong", item="b")]).auc == pytest.approx(0.5)


@given(RUNS, st.integers(1, 25))
def test_auc_is_the_mean_over_thresholds_of_threshold_adjusted_accuracy(run, most):
    samples = [sample(t, "correct" if right else "wrong", item=str(i)) for i, (t, right) in enumerate(run)]
    # Thoughts are whole numbers of tokens, so that the integral is a sum over unit steps: of t in (k - 1, k].
    by_threshold = [np.mean([right and t < k for t, right in run]) for k in range(1, most + 1)]
    assert auc(samples, most) == pytest.approx(float(np.mean(by_threshold)))


def test_items_count_alike_whatever_the_number_of_their_samples():
    assert auc([sample(0, item="a"), sample(0, item="a"), sample(0, "wrong", item="b")], 10) == pytest.approx(0.5)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60))
def test_without_censoring_the_median_is_the_median(lengths):
    found = median_thinking([sample(n) for n in lengths])
    assert found == (pytest.approx(statistics.median(lengths)), False)


@given(RUNS)
def test_the_censored_median_is_that_of_statsmodels(run):
    from statsmodels.duration.survfunc import SurvfuncRight

    found = median_thinking([sample(t) if ended else cut(t) for t, ended in run])
    other = SurvfuncRight([t + 1 for t, _ in run], [int(ended) for _, ended in run])  # it takes no length of 0
    at = other.surv_prob
    half = np.flatnonzero(np.isclose(at, 0.5))
    below = np.flatnonzero(at < 0.5 - 1e-9)
    if not len(half) and len(below):
        assert found == (other.surv_times[below[0]] - 1, False)
    elif len(half) and len(below):  # level at one half: halfway to the next end, as statistics.median has it
        assert found == ((other.surv_times[half[0]] + other.surv_times[below[0]]) / 2 - 1, False)
    else:
        assert found.over


def test_cut_and_closed_thoughts_are_bounds_finished_thoughts_are_not():
    assert median_thinking([cut(10), cut(10), sample(5)]) == (10, True)
    assert median_thinking([sample(10, forced=True), sample(10, forced=True), sample(5)]) == (10, True)
    # The answer was cut, the thought had ended.
    ended = [sample(10, finish="length", state="closed")] * 2
    assert median_thinking([*ended, sample(5)]) == (10, False)
    assert row([cut(10, item="a"), sample(5, item="b")]).median_thinking_over


def test_easy_and_hard_are_below_and_above_the_middle_level():
    samples = [
        sample(20, item="a", level=1), sample(40, "wrong", item="b", level=1), sample(5, "wrong", item="c", level=2),
        sample(90, item="d", level=3), sample(90, item="e", level=3), sample(90, item="f", level=3),
        sample(90, "wrong", item="g", level=3),
    ]  # fmt: skip
    found = by_level(samples)
    easy, hard = (1 - 20 / 1000) / 2, 3 / 4
    assert found["f1"] == pytest.approx(2 * easy * hard / (easy + hard))
    assert found["f1_100"] == pytest.approx(2 * 0.4 * hard / (0.4 + hard))
    assert found["hard_to_easy"] == 90 / 30
    assert row(samples).model_dump()["hard_to_easy"] == 3


def test_levels_without_contrast_or_knowledge():
    assert by_level([sample(5), sample(5, level=2)]) == {}
    wrong = [sample(0, "wrong", item="a", level=1), sample(5, "wrong", item="b", level=2)]
    assert by_level(wrong) == {"f1": 0, "f1_100": 0, "hard_to_easy": None}
    assert by_level([sample(7, item="a", level=1), cut(9, item="b", level=2)])["hard_to_easy"] is None
