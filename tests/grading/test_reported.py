"""Faults that users of other graders reported, tried on ours: 817 cases (id, grader, gold, response, expected)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harness.grading.grade import Grader

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases" / "reported.jsonl").read_text().splitlines()]
# Cases whose verdict is another than a careful marker's, each with its reason in docs/graders.md.
FALLEN: set[str] = set()
PLANS_FALLEN = 42  # at most


@pytest.fixture(scope="module")
def verdicts(request):
    data = Path(__file__).parents[3] / "shared" / "data" / "nltk_data"
    with Grader(workers=2, nltk_data=data if data.is_dir() else None) as grader:
        return {case["id"]: verdict(grader, case) for case in CASES}


def verdict(grader, case):
    gold = {"answer": case["gold"]} if case["grader"] in ("number", "math") else case["gold"]
    return grader.grade(case["grader"], gold, case["response"], case.get("finish", "stop")).verdict


def test_every_case_has_the_verdict_of_a_careful_marker(verdicts):
    assert len(CASES) == 817
    wrong = {case["id"] for case in CASES if verdicts[case["id"]] != case["expected"] and case["grader"] != "plan"}
    assert wrong == FALLEN
    assert len(FALLEN) <= 12


def test_plans_that_were_judged_right_still_are(verdicts):
    fallen = [case for case in CASES if case["grader"] == "plan" and verdicts[case["id"]] != case["expected"]]
    assert Counter(case["seen"] for case in fallen).keys() <= {"FAULT"}
    assert len(fallen) <= PLANS_FALLEN
