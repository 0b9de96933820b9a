"""Cases of our own, of kinds that no reported fault names: right answers in unusual forms, wrong ones that look right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.grading.grade import Grader

FOLDER = Path(__file__).parent / "cases"


def cases(name):
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=2) as pool:
        yield pool


def read(grader, case):
    grade = grader.grade(case["grader"], {"answer": case["gold"]}, case["response"], case.get("finish", "stop"))
    return grade.verdict, f"{case['id']} gold {case['gold']!r}, read {grade.answer!r} ({grade.how}): {grade.reason}"


def test_right_answers_in_unusual_forms_are_right(grader):
    seen = [read(grader, case) for case in cases("right")]
    assert len(seen) >= 150
    assert [why for verdict, why in seen if verdict != "correct"] == []


def test_wrong_answers_that_look_right_are_not_right(grader):
    seen = [read(grader, case) for case in cases("wrong")]
    assert len(seen) >= 150
    assert [why for verdict, why in seen if verdict not in ("wrong", "no_answer", "unfinished")] == []


def test_variants_of_reported_faults_have_the_verdict_of_a_careful_marker(grader):
    found = [(case, *read(grader, case)) for case in cases("variants")]
    assert len(found) > 150
    assert [why for case, verdict, why in found if (verdict == "correct") != (case["expected"] == "correct")] == []


def test_numbers_of_eleven_languages_are_read_as_their_readers_do(grader):
    """Digits of their scripts, groups, decimal commas, words such as lakh, units, and how each marks an answer."""
    found = [(case, *read(grader, case)) for case in cases("languages")]
    assert len({case["id"][:2] for case, _, _ in found}) == 11
    assert [why for case, verdict, why in found if verdict != case["expected"]] == []


def test_answers_in_the_manner_of_six_models_are_read_by_both_graders(grader):
    """Texts of our own as R1, QwQ, s1.1, an R1 distillation, GPT-4o and Qwen2.5 end theirs; most box nothing."""
    texts = cases("styles")
    assert len(texts) == 60
    for kind in ("number", "math"):
        seen = [
            read(grader, {**case, "grader": kind, "response": f"<think>{case['thought']}</think>{case['response']}"})
            for case in texts
        ]
        assert [why for verdict, why in seen if verdict != "correct"] == []


def test_no_answer_that_was_cut_within_its_thought_is_right(grader):
    for case in cases("styles"):
        whole = f"<think>{case['thought']} \\boxed{{{case['gold']}}}"
        for end in range(7, len(whole) + 1, 9):
            for kind in ("number", "math"):
                grade = grader.grade(kind, {"answer": case["gold"]}, whole[:end], "length")
                assert (grade.verdict, grade.how) == ("unfinished", "")
