"""The hostile corpus through the real workers: nothing runs, nothing crashes, every verdict comes in time."""

from __future__ import annotations

import resource
import statistics
import time
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
    spent, verdicts = [], []
    for family, gold, text in cases:
        started = time.monotonic()
        verdicts.append(grader.grade(family, gold, text))
        spent.append(time.monotonic() - started)
    assert max(spent) < 3.0
    assert statistics.fmean(spent) < 0.25  # 30 ms on a quiet machine (benchmarks/grading.py); this machine may be busy
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB
    assert not list(Path().rglob("*canary*"))
    assert all(v.reason for v in verdicts)
    # A limit is never told as a wrong answer by the clock: those say so themselves.
    assert {v.verdict for v in verdicts if "within" in v.reason} == {"grader_timeout"}


def test_statements_are_found_in_hostile_traces_or_given_up(grader):
    for family, gold, text in corpus()[::5]:
        started = time.monotonic()
        found = grader.statements(family, gold, text)
        assert time.monotonic() - started < 3.0
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
