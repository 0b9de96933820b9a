"""Figures of probed runs, counted by hand."""

from __future__ import annotations

import pytest

from harness.evaluation.probing import Probed
from harness.results.probes import cuts_apart, summary
from harness.results.statistics import wilson


def probed(item, right, stated=None, index=0, own="correct"):
    return Probed(
        task="t", problem_id=item, index=index, cut=False, positions=[0, 10, 20, 30, 40],
        verdicts=["correct" if each == "1" else "wrong" for each in right], answers=[""] * 5, own=own, stated=stated,
    )  # fmt: skip


def test_four_items_by_hand():
    of = summary([
        probed("a", "00111", stated=20),  # first and stable at 20 of 40; said where it is first answered
        probed("b", "01001", stated=35),  # first at 10, stable at 40; said at the last cut, three later
        probed("c", "01100", own="wrong"),  # lost
        probed("d", "11111"),  # knew it without a thought; the sampled answer was right, too
    ])  # fmt: skip
    assert of.right_at == [0.25, 0.75, 0.75, 0.5, 0.75]
    assert (of.start.value, of.end.value) == (0.25, 0.75)
    assert (of.end.low, of.end.high) == wilson(3, 4)
    assert of.first.value == pytest.approx((0.5 + 0.25 + 0.25 + 0) / 4)
    assert of.stable.value == pytest.approx((0.5 + 1 + 0) / 3)
    assert of.redundant.value == pytest.approx(1 - of.stable.value)
    assert of.redundant.n == 3
    assert of.redundant.low <= of.redundant.value <= of.redundant.high
    assert (of.lost.value, of.gained.value, of.own_agrees.value) == (0.25, 0.5, 1.0)
    assert (of.stated_within.value, of.stated_within.n, of.stated_later.value) == (0.5, 2, 0.5)


def test_samples_of_an_item_are_averaged_before_items_are():
    of = summary([probed("a", "00001"), probed("a", "00000", index=1), probed("b", "11111")])
    assert (of.n, of.samples, of.end.value) == (2, 3, 0.75)


@pytest.mark.parametrize(
    ("right", "stated", "apart"), [("00111", 20, 0), ("00111", 11, 0), ("00111", 10, 1), ("01111", 40, -3)]
)
def test_cuts_between_statement_and_answer(right, stated, apart):
    assert cuts_apart(probed("a", right, stated)) == apart


def test_nothing_right_has_no_figures_of_position():
    of = summary([probed("a", "00000", stated=20)])
    assert (of.first.value, of.redundant.n, of.stated_within.n, of.end.value) == (None, 0, 0, 0.0)
    with pytest.raises(ValueError, match="no probed samples"):
        summary([])
