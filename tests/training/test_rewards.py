"""What answers earn: by hand, by another formula on any input, and through real graders."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.grading.grade import Grader
from harness.training.rewards import rewards, verdict_reward

GROUPS = st.lists(st.tuples(st.sampled_from([True, False, None]), st.integers(1, 4000)), min_size=1, max_size=12)


def test_the_term_of_length_by_hand():
    assert rewards([True, False, None, True], [3, 9, 9, 700], 0.0) == [1.0, 0.0, None, 1.0]
    # Of 10, 20 and 30 tokens the mean is 20, the deviation sqrt(200 / 3) = 8.165, so z is -1.2247, 0, 1.2247.
    assert rewards([True, True, False, True], [10, 20, 5, 30], 0.5) == pytest.approx(
        [0.88644, 0.75, 0.0, 0.61356], abs=1e-5
    )
    assert rewards([True, True, False], [7, 7, 9], 0.4) == [0.8, 0.8, 0.0]  # of one length


@given(GROUPS, st.floats(0, 0.99))
def test_the_term_of_length_is_the_papers_and_orders_as_it_should(group, weight):
    correct, lengths = [each for each, _ in group], [length for _, length in group]
    earned = rewards(correct, lengths, weight)
    of_right = np.array([length for is_right, length in group if is_right], dtype=np.float64)
    for is_right, length, got in zip(correct, lengths, earned, strict=True):
        if is_right:
            z = 0.0 if of_right.std() == 0 else (length - of_right.mean()) / of_right.std()
            assert got == pytest.approx(1 - weight * 0.5 * (1 + np.tanh(z / 2)), abs=1e-9)
            assert got > 0  # a right answer, however long, is worth more than a wrong one
        else:
            assert got == (None if is_right is None else 0.0)
    right = sorted((length, got) for is_right, length, got in zip(correct, lengths, earned, strict=True) if is_right)
    assert [got for _, got in right] == sorted((got for _, got in right), reverse=True)


@pytest.fixture(scope="module")
def grader():
    with Grader(2) as grader:
        yield grader


HANGS = {"instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": ["(a+)+$"]}]}


def test_verdicts_of_real_graders_and_what_hangs_one_costs_its_limit(grader, tokenizer):
    """The answer that hangs its grader earns nothing; those after it are judged."""
    end, logged = tokenizer.eos_token_id, {}
    reward = verdict_reward(grader, 2, tokenizer, {end}, answers=2, weight=0.0)
    asked = [
        ("number", {"answer": 4}, "\\boxed{4}"), ("number", {"answer": 4}, "\\boxed{5}"),
        ("mini_rules", HANGS, "a" * 40 + "b"), ("math", {"answer": "2"}, "\\boxed{9**9**9**9}"),
        ("number", {"answer": 7}, "<think>7"), ("math", {"answer": "\\frac{1}{2}"}, "\\boxed{0.5}"),
    ]  # fmt: skip
    ids = [[*tokenizer.encode(text, add_special_tokens=False), end] for *_, text in asked]
    families, golds = [family for family, *_ in asked], [json.dumps(gold) for _, gold, _ in asked]
    prompts = [tokenizer.encode("x", add_special_tokens=False)] * len(asked)
    earned = reward(
        prompts=prompts,
        completion_ids=ids,
        family=families,
        gold=golds,
        log_metric=logged.__setitem__,
        trainer_state=None,
    )
    assert earned == [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert logged == {"correct": 2 / 6, "undecided": 1 / 6}


def test_a_cut_answer_is_told_from_a_whole_one(grader, tokenizer):
    """Both texts are the same; only one of them ends."""
    text = tokenizer.encode("7 \\boxed{4", add_special_tokens=False)
    asked = {"prompts": [[1], [1]], "family": ["number"] * 2, "gold": [json.dumps({"answer": 7})] * 2}
    seen = []

    class Seen:
        def grade(self, family, gold, response, finish, prefilled, tags):
            seen.append((response, finish, prefilled))
            return grader.grade(family, gold, response, finish, prefilled, tags)

    reward = verdict_reward(Seen(), 1, tokenizer, {tokenizer.eos_token_id}, answers=2, weight=0.0)
    reward(completion_ids=[text, [*text, tokenizer.eos_token_id]], log_metric=lambda *_: None, **asked)
    assert seen == [("7 \\boxed{4", "length", False), ("7 \\boxed{4", "stop", False)]
