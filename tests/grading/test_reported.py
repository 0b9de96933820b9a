"""Faults that users of other graders reported, tried on ours: 817 cases (id, grader, gold, response, expected)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.grading.grade import Grader

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases" / "reported.jsonl").read_text().splitlines()]
# Cases whose verdict is another than a careful marker's, each with its reason in docs/graders.md.
FALLEN: set[str] = set()


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
    wrong = {case["id"] for case in CASES if verdicts[case["id"]] != case["expected"]}
    assert wrong == FALLEN
    assert len(FALLEN) <= 12
