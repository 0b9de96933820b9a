"""Accuracy against tokens: means over tasks by hand, the arms that none beats against the definition, the pictures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Grade, Sample
from harness.results.frontier import frontier
from harness.results.summary import row
from harness.view.frontier import figure


def sample(right, tokens, item="p", task="t", index=0):
    return Sample(
        key="", task=task, problem_id=item, index=index, seed=0, prompt_ids_hash="", text="", token_ids=[1] * tokens,
        finish="stop", thinking_tokens=1, answer_tokens=1,
        grade=Grade(verdict="correct" if right else "wrong", reason=""),
    )  # fmt: skip


def test_tasks_weigh_alike_and_items_within_them():
    one = [sample(True, 10, "a"), sample(True, 30, "a", index=1), sample(False, 60, "b")]  # 40 tokens, 1/2 right
    other = [sample(True, 100, "a", "u")]
    again = [*one[:2], sample(True, 60, "b"), *other]  # a second training, in which more is right
    [found] = frontier({"arm": [[*one, *other], again]})
    assert (found.tokens, found.accuracy) == (70, pytest.approx((0.5 + 1 + 1 + 1) / 4))
    assert found.tokens_per_correct == pytest.approx(70 / 0.875)
    assert found.low < found.accuracy < found.high


def test_of_one_task_tokens_per_correct_are_those_of_its_row():
    samples = [sample(i % 3 == 0, 5 + i, str(i)) for i in range(10)]
    assert frontier({"arm": [samples]})[0].tokens_per_correct == pytest.approx(row(samples).tokens_per_correct)


def test_where_nothing_is_right_there_are_none():
    [found] = frontier({"arm": [[sample(False, 9)]]})
    assert found.tokens_per_correct is None
    assert figure("t", {"arm": [[sample(False, 9)]]}).series[0].note == "– per correct"


ARMS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 4)), min_size=1, max_size=8)


@given(ARMS)
def test_an_arm_is_beaten_where_another_is_as_good_in_both_and_better_in_one(arms):
    samples = {
        str(i): [[sample(k < right, tokens, str(k)) for k in range(4)]] for i, (tokens, right) in enumerate(arms)
    }
    drawn = {series.label: series for series in figure("t", samples).series}
    assert [*drawn] == sorted(drawn, key=lambda i: (arms[int(i)][0], -arms[int(i)][1]))
    for i, (tokens, right) in enumerate(arms):
        beaten = any((t <= tokens and a > right) or (t < tokens and a >= right) for t, a in arms)
        assert drawn[str(i)].beaten == beaten
        assert (drawn[str(i)].x, drawn[str(i)].y) == ([tokens], [right / 4])
