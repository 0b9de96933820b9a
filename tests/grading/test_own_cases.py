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
