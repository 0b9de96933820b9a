"""Who abstains where a premise is missing, and who only seems to."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.grading.abstention import abstentions
from harness.grading.grade import Grader

NUMBER = {"half": "missing", "family": "number"}
WHOLE = {"half": "complete", "family": "number", "gold": {"answer": 8}}
BLOCKS = {"init": [["red"], ["blue"]], "goal": [["red", "blue"]]}
PLAN = "pick up the red block\nstack the red block on top of the blue block"


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=1) as pool:
        yield pool


ABSTAIN = [
    "The answer cannot be determined.",
    "\\boxed{\\text{cannot be determined}}",
    "\\boxed{\\text{Not enough information}}",
    "There is not enough information to say how many apples Tom has.",
    "The problem doesn’t give us enough information. He has 3 from Ann and an unknown number at first.",
    "**It is impossible to tell** how many coins Eva has, since the start is not given.",
    "We can't determine this without knowing how many he had at first. For example, if he had 5, he would have 8.",
    "For example, if he started with 5 he would have 8. But the start is not given, so it cannot be determined.",
    "Tom buys 3 apples. The number of apples at the start is missing.",
    "Let x be the start. Then he has x + 3 apples. Please provide the starting number.",
    "The answer is 8. On second thought the question does not say what he starts with, so it cannot be determined.",
    "The question is missing a premise; therefore there is no unique answer.",
    "题目没有给出开始的数量,无法确定答案。",
    "信息不足,不能得出结果。",
    "条件不足。",
    "The result depends on the number added.",
    "No goal was given.",
    "You haven't told me how many there were.",
]
ANSWER = [
    "\\boxed{8}",
    "It can be determined: the answer is 8.",
    "It is not impossible to determine. The answer is 8.",
    "Nothing is missing, so the answer is 8.",
    "It cannot be determined, so assume 5, the answer is 5.",
    "The start is not given, so I assume 5. 5 + 3 = 8. The answer is \\boxed{8}.",
    "It cannot be determined. Let's assume he starts with 5. Therefore he has 8 apples.",
    "One might think that it cannot be determined, but the answer is 8.",
    "Can it not be determined? It can. So he has 8 apples.",
    "If the start were not given, it could not be determined. The answer is 8.",
    "He has 5 + 3 = 8 apples. Note: the starting number is not specified, I took 5. Therefore, the answer is 8.",
    "虽然没有给出开始的数量,但是答案是8。",
    "To find how many apples he has, we need to add. 5 + 3 = 8. Tom has 8 apples.",
    "The start is not given. Say he has 5. Tom has 8 apples.",
    "Saying that it cannot be determined would be wrong: the answer is 8.",
    "无法确定,假设是5,所以答案是8。",
]


@pytest.mark.parametrize("text", ABSTAIN)
def test_an_abstention_is_right_where_a_premise_is_missing_and_wrong_where_none_is(grader, text):
    grade = grader.grade("premise", NUMBER, text)
    assert (grade.verdict, grade.details["abstained"]) == ("correct", True), grade
    grade = grader.grade("premise", WHOLE, text)
    assert (grade.verdict, grade.details["abstained"]) == ("wrong", True), grade


@pytest.mark.parametrize("text", ANSWER)
def test_a_definite_answer_is_wrong_where_a_premise_is_missing(grader, text):
    grade = grader.grade("premise", NUMBER, text)
    assert (grade.verdict, grade.details["abstained"]) == ("wrong", False), grade
    assert grader.grade("premise", WHOLE, text).details["abstained"] is False


def test_the_complete_half_is_graded_as_its_own_family(grader):
    for text in ("\\boxed{8}", "\\boxed{7}", "Hm.", "So he has 8 apples."):
        ours, own = grader.grade("premise", WHOLE, text), grader.grade("number", {"answer": 8}, text)
        assert (ours.verdict, ours.answer, ours.how) == (own.verdict, own.answer, own.how)


def test_plans(grader):
    missing, whole = ({"half": half, "family": "mini_blocks", "gold": BLOCKS} for half in ("missing", "complete"))
    refusal = "Where the blue block stands is not said; no plan can be given: it cannot be determined."
    assert grader.grade("premise", whole, PLAN).verdict == "correct"
    assert grader.grade("premise", missing, PLAN).verdict == "wrong"
    assert grader.grade("premise", missing, refusal).verdict == "correct"
    assert grader.grade("premise", whole, refusal).verdict == "wrong"
    assert grader.grade("premise", missing, f"{refusal}\n\nStill:\n\n{PLAN}").verdict == "wrong"
    assert grader.grade("premise", missing, f"{PLAN}\n\n{refusal}").verdict == "correct"
    assert grader.grade("premise", missing, "Hm.").verdict == "no_answer"


def test_only_the_visible_answer_abstains_and_a_cut_one_by_a_box_alone(grader):
    refusal = "It cannot be determined."
    verdicts = {
        f"<think>{refusal}</think>The answer is 8.": "wrong",
        f"<think>{refusal}": "unfinished",
        f"<think>{refusal}</think>": "no_answer",
        f"<think>He has 8.</think>{refusal}": "correct",
    }
    assert {text: grader.grade("premise", NUMBER, text).verdict for text in verdicts} == verdicts
    assert grader.grade("premise", NUMBER, f"{refusal} ", "length").verdict == "unfinished"
    assert grader.grade("premise", NUMBER, "\\boxed{cannot be determined} ", "length").verdict == "correct"
    assert grader.grade("premise", NUMBER, "\\boxed{8} because ", "length").verdict == "wrong"


def test_a_trace_states_where_it_first_refuses(grader):
    text = "5 + 3 = 8. Wait, the start is not given. It cannot be determined."
    found = grader.statements("premise", NUMBER, text)
    assert [(each.answer, each.right) for each in found] == [("8", False), ("cannot be determined", True)]
    assert text[: found[1].end].endswith("cannot be determin")
    assert [s.right for s in grader.statements("premise", WHOLE, "5 + 3 = 8")] == [True]


@given(st.text(alphabet="abc n't not can be is the if .,?!\n*\\{}boxed8无法确定", max_size=300))
def test_any_text_is_read(text):
    assert all(0 <= each.start < each.end <= len(text) for each in abstentions(text))


@pytest.mark.parametrize(
    "piece",
    ["not enough ", "is not ", "if ", "cannot ", "\\boxed{", "no way ", "a ", "missing the ", "没有", "nothing is "],
)
def test_hostile_lengths_end_in_time(grader, piece):
    started = time.monotonic()
    grade = grader.grade("premise", NUMBER, piece * (200_000 // len(piece)))
    assert grade.verdict in ("correct", "wrong", "no_answer")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        ({}, "half is complete or missing"),
        ({"half": "missing", "family": "ifeval"}, "family is one of"),
        ({"half": "complete", "family": "number"}, "no object under gold"),
        ({"half": "missing", "family": "plan"}, "no object under gold"),
        ({"half": "complete", "family": "number", "gold": {"answer": "two"}}, "not a number"),
    ],
)
def test_gold_answers_that_cannot_grade_are_named(gold, said):
    from harness.grading.families import gold_defect

    assert said in gold_defect("premise", gold)
