"""Where a thought lies among its tokens, where it is cut, and what the forced answers say, worked out by hand."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evaluation.probing import Probed, Probing, probe, thought_of
from harness.grading.grade import Grader
from harness.models.base import seed_of
from harness.models.prompts import prompt_ids
from harness.models.spec import Prompting
from harness.records import Grade, Problem, ResponseMetrics, Sample
from harness.thoughts import THINK_TAGS
from tests.replies import MockCompleter

PROBLEM = Problem(id="p", family="mini_math", prompt="What is 3 + 4?", gold={"answer": "7"})


def sample_of(tokenizer, text, *, problem=PROBLEM, prompt="", **more):
    return Sample(
        key="k", task="mini_math", problem_id=problem.id, index=0, seed=0,
        prompt_ids_hash=f"{seed_of(prompt_ids(tokenizer, prompt or problem.prompt)):012x}", text=text,
        token_ids=tokenizer.encode(text, add_special_tokens=False), finish="stop", thinking_tokens=0, answer_tokens=0,
        grade=Grade(verdict="correct", reason="as it was"),
        metrics=ResponseMetrics(first_correct=more.pop("first_correct", None)), **more,
    )  # fmt: skip


def probed(*right, positions=None, stated=None):
    verdicts = ["correct" if each else "wrong" for each in right]
    return Probed(
        task="t", problem_id="p", index=0, cut=False, positions=positions or [10 * i for i in range(len(right))],
        verdicts=verdicts, answers=[""] * len(right), own="correct", stated=stated,
    )  # fmt: skip


@pytest.fixture(scope="module")
def grader():
    with Grader(1) as opened:
        yield opened


@pytest.mark.parametrize(
    ("right", "first", "stable", "redundant"),
    [
        ((0, 0, 1, 1, 1), 2, 2, 0.5),
        ((0, 1, 0, 0, 1), 1, 4, 0.0),
        ((1, 1, 1, 1, 1), 0, 0, 1.0),
        ((0, 1, 1, 1, 0), 1, None, None),
        ((0, 0, 0, 0, 0), None, None, None),
    ],
)
def test_first_right_and_right_from_here_on(right, first, stable, redundant):
    one = probed(*right)
    assert (one.first, one.stable, one.redundant) == (first, stable, redundant)


@given(st.lists(st.booleans(), min_size=2, max_size=12))
def test_from_the_stable_cut_on_all_is_right_and_just_before_it_is_not(right):
    one = probed(*right)
    if one.stable is None:
        assert not right[-1]
    else:
        assert all(right[one.stable :])
        assert one.stable == 0 or not right[one.stable - 1]
        assert one.first is not None
        assert one.first <= one.stable


@pytest.mark.parametrize(
    ("text", "thinking", "prefilled", "cut"),
    [
        ("<think>3 + 4 = 7.</think>The answer is 7.", "3 + 4 = 7.", False, False),
        ("3 + 4 = 7.</think>The answer is 7.", "3 + 4 = 7.", True, False),
        ("3 + 4 = 7.</think>The answer is 7.", "3 + 4 = 7.", False, False),
        ("<think>3 + 4 = 7. Let me check", "3 + 4 = 7. Let me check", False, True),
    ],
)
def test_the_tokens_of_a_thought_are_those_between_its_tags(tokenizer, text, thinking, prefilled, cut):
    found = thought_of(sample_of(tokenizer, text, prefilled=prefilled), tokenizer, THINK_TAGS)
    assert tokenizer.decode(found.ids[found.before :]) == thinking
    assert found.cut is cut
    places = found.positions(10)
    assert len(places) == 11
    assert places[0] == 0
    assert places[-1] == len(found.ids) - found.before
    assert places == sorted(places)


@pytest.mark.parametrize("text", ["The answer is 7.", "<think></think>The answer is 7.", "<think>"])
def test_without_a_thought_there_is_nothing_to_cut(tokenizer, text):
    assert thought_of(sample_of(tokenizer, text), tokenizer, THINK_TAGS) is None


def test_a_model_that_knows_once_it_has_read_it_is_right_from_there_on(tokenizer, grader, tmp_path):
    """It answers with the last number of the thought: 3 or 4 before the sum, 7 behind it, 8 at the end."""
    text = "<think>3 + 4 = 7. So it is 7. No, it is 8.</think>The answer is 8."

    def last_number(prompt):
        numbers = re.findall(r"\d+", prompt.split("<think>")[-1])
        return f"The answer is \\boxed{{{numbers[-1] if numbers else 0}}}."

    model = MockCompleter(tokenizer, last_number)
    ids = tokenizer.encode(text.split("</think>")[0], add_special_tokens=False)[1:]
    how = Probing(tags=THINK_TAGS, prompting=Prompting(), cuts=len(ids))  # a cut at every token
    sample = sample_of(tokenizer, text, first_correct=6)
    known = {("mini_math", "p"): PROBLEM}
    (one,), left = probe(model, tokenizer, [sample], known, how, grader, tmp_path / "forced.jsonl")
    told = [re.findall(r"\d+", tokenizer.decode(ids[:n])) for n in range(len(ids) + 1)]
    assert one.right == [bool(numbers) and numbers[-1] == "7" for numbers in told]
    assert any(one.right)
    assert not one.right[-1]
    assert not one.right[0]
    assert (one.stable, not left, one.stated) == (None, True, 6)
    calls = model.calls
    again, _ = probe(model, tokenizer, [sample], known, how, grader, tmp_path / "forced.jsonl")
    assert again == [one]
    assert model.calls == calls


def test_what_cannot_be_probed_is_counted_by_its_reason(tokenizer, grader, tmp_path):
    thought = "<think>3 + 4 = 7.</think>7"
    good = sample_of(tokenizer, thought)
    samples = [
        good,
        sample_of(tokenizer, "7"),
        good.model_copy(update={"token_ids": []}),
        good.model_copy(update={"finish": "error"}),
        sample_of(tokenizer, thought, prompt="Another question?"),
        good.model_copy(update={"problem_id": "unknown"}),
    ]
    how = Probing(tags=THINK_TAGS, prompting=Prompting(), cuts=2)
    model = MockCompleter(tokenizer, lambda prompt: "The answer is \\boxed{7}.")
    done, left = probe(model, tokenizer, samples, {("mini_math", "p"): PROBLEM}, how, grader, tmp_path / "f.jsonl")
    assert len(done) == 1
    assert done[0].verdicts == ["correct"] * 3
    assert left == {"no thought": 1, "no token ids": 1, "failed": 1, "another prompt": 1, "no grader": 1}


def test_a_model_that_goes_on_thinking_has_not_answered(tokenizer, grader, tmp_path):
    how = Probing(tags=THINK_TAGS, prompting=Prompting(), cuts=1)
    model = MockCompleter(tokenizer, lambda prompt: "<think>Wait, 7")
    (one,), _ = probe(
        model, tokenizer, [sample_of(tokenizer, "<think>3 + 4</think>7")], {("mini_math", "p"): PROBLEM}, how, grader,
        tmp_path / "f.jsonl",
    )  # fmt: skip
    assert one.verdicts == ["unfinished", "unfinished"]
