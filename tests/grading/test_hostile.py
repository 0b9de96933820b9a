"""The hostile corpus through the real workers: nothing runs, nothing crashes, every verdict comes."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hostile import CANARY, corpus

from harness.grading.grade import Grader


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=2) as pool:
        for family in ("math", "number"):
            pool.grade(family, {"answer": "1"}, "\\boxed{1}")
        pool.grade("ifeval", {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}, "x")
        yield pool


def test_no_case_runs_crashes_hangs_or_grows_the_main_process(grader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases = corpus()
    assert len(cases) >= 300
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verdicts = [grader.grade(family, gold, text) for family, gold, text in cases]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB
    assert not list(Path().rglob("*canary*"))
    assert all(v.reason for v in verdicts)
    # Limits of processor time end what is slow, never the clock on the wall; and no answer ends its worker.
    late = [v for v in verdicts if "processor time" in v.reason]
    assert {v.verdict for v in late} == {"grader_timeout"}
    assert len(late) < len(cases) / 20
    assert not [v.reason for v in verdicts if "twice" in v.reason or "ends its grader" in v.reason]


def test_statements_are_found_in_hostile_traces_or_given_up(grader):
    for family, gold, text in corpus()[::5]:
        found = grader.statements(family, gold, text)
        assert found is None or all(len(statement) == 4 for statement in found)


def test_a_right_answer_after_hostile_ones_is_still_right(grader):
    gold = {"answer": "\\frac{\\pi}{2}"}
    for _ in range(3):
        assert grader.grade("math500", gold, "\\boxed{" + "\\sqrt{" * 20 + "x" + "}" * 20 + "}").verdict != "correct"
        assert grader.grade("math500", gold, "so $\\boxed{\\pi/2}$").correct


def test_the_canary_would_be_seen(tmp_path, monkeypatch):
    """The test above can fail: what it looks for is what the payloads would leave."""
    monkeypatch.chdir(tmp_path)
    payload = next(text for family, _, text in corpus() if "compile" in text and family == "gsm8k")
    code = payload[payload.index("eval(") :]
    eval(code)
    assert (tmp_path / CANARY).exists()
