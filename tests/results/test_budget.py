"""Budget curves, censored lengths and scores against a base, by hand and against closed forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Grade, Sample
from harness.results import budget
from harness.results.records import Summary
from harness.results.statistics import holm, item_interval, mcnemar, pass_at_k, test_at_n, wilson
from harness.results.summary import row


def sample(length, verdict="correct", item="p", index=0, finish="stop"):
    return Sample(
        key="", task="t", problem_id=item, index=index, seed=0, prompt_ids_hash="", text="", token_ids=[1] * length,
        finish=finish, thinking_tokens=length, answer_tokens=0, grade=Grade(verdict=verdict, reason=""),
    )  # fmt: skip


def test_curve_counts_what_ended_within_the_budget():
    found = budget.curve(
        [sample(10, item="a"), sample(20, "wrong", item="b"), sample(40, "unfinished", "c", 0, "length")]
    )
    at = {point.budget: point for point in found}
    assert at[10].accuracy == pytest.approx(1 / 3)
    assert at[20].answered == pytest.approx(2 / 3)
    assert at[40].answered == pytest.approx(2 / 3)  # the cut one never answered
    assert budget.saturation(found) == 10


def test_cut_lengths_are_censored_not_averaged():
    samples = [sample(10), sample(20), *(sample(30, "unfinished", finish="length") for _ in range(2))]
    found = budget.lengths(samples)
    assert found.censored == 0.5
    assert found.finished == pytest.approx([0.25, 0.5])
    assert budget.lengths([sample(30, "unfinished", finish="length")]).median is None


def test_aes_rewards_saving_and_punishes_loss():
    assert budget.aes((0.5, 50), (0.5, 100)) == pytest.approx(0.5)
    assert budget.aes((0.6, 100), (0.5, 100)) == pytest.approx(3 * 0.2)
    assert budget.aes((0.4, 100), (0.5, 100)) == pytest.approx(-5 * 0.2)
    assert budget.aes((0.4, 100), (0.0, 100)) is None


def test_repeats_count_items_and_give_every_pass_at_k():
    samples = [
        sample(9, v, item=str(i), index=k)
        for i in range(4)
        for k, v in enumerate(["correct"] * i + ["wrong"] * (4 - i))
    ]
    found = row(samples)
    assert (found.n, found.samples) == (4, 16)
    assert found.test_at["pass"][1] == pytest.approx(found.accuracy)
    assert found.test_at["test"][4] == pytest.approx(0.75)
    assert found.tokens_per_correct == pytest.approx(16 * 9 / 6)
    assert row([sample(5, "wrong")]).tokens_per_correct is None  # missing, not zero


@given(st.integers(1, 20), st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(n, data):
    from math import comb

    right, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert pass_at_k(n, right, k) == pytest.approx(1 - comb(n - right, k) / comb(n, k))
    with pytest.raises(ValueError, match="were drawn"):
        pass_at_k(n, right, n + 1)


def test_items_with_different_numbers_of_samples_have_no_pass_at_k():
    with pytest.raises(ValueError, match="same number"):
        test_at_n([[1.0], [1.0, 0.0]])


def test_interval_narrows_only_as_far_as_repeats_tell_more():
    single = item_interval([[1.0]] * 30 + [[0.0]] * 30)
    assert single == wilson(30, 60)
    same = item_interval([[1.0] * 8] * 30 + [[0.0] * 8] * 30)  # repeats that always agree are no new evidence
    assert same == pytest.approx(single, abs=0.01)
    mixed = item_interval([[1.0, 0.0] * 4] * 60)
    assert mixed[1] - mixed[0] < (single[1] - single[0]) / 2


def test_figures_that_a_task_does_not_have_are_left_out_of_its_json():
    plain, repeated = row([sample(5)]), row([sample(5), sample(5, index=1)])
    assert "test_at" not in plain.model_dump()
    assert "prompt_strict" not in plain.model_dump()
    assert "f1" not in plain.model_dump()
    assert Summary.model_validate_json(repeated.model_dump_json()) == repeated


def test_mcnemar_needs_twelve_to_three():
    assert mcnemar(12, 3) < 0.05 < mcnemar(11, 4)
    assert mcnemar(0, 0) == 1.0
    assert holm([0.01, 0.04]) == pytest.approx([0.02, 0.04])
