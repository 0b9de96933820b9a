"""Runs that fail and runs that are killed end in the same file as runs that nothing happened to."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.commands import here

EVAL = ["eval", "--model", "mock", "--backend", "mock", "--tasks", "letter_count"]


def run(folder, *more, code=0):
    return here(*EVAL, "--out", folder, *more, code=code)


def test_a_fifth_of_all_calls_failing_changes_nothing(tmp_path):
    """5xx, resets, timeouts and JSON cut short, each on a call's own dice; every sample is there once."""
    run(tmp_path / "calm", "--samples", "2")
    run(tmp_path / "storm", "--samples", "2", "--mock-faults", "0.2")
    calm, storm = ((tmp_path / name / "samples.jsonl").read_bytes() for name in ("calm", "storm"))
    assert storm == calm
    rows = [json.loads(line) for line in storm.splitlines()]
    assert len(rows) == len({(row["problem_id"], row["index"]) for row in rows}) == 400
    assert {row["grade"]["verdict"] for row in rows} == {"correct", "wrong", "no_answer", "unfinished"}


def test_calls_that_fail_for_good_cost_only_themselves(tmp_path):
    """At nine failures in ten some calls use up their retries: exit 3, the rest is kept, the next run asks for it."""
    done = run(tmp_path, "--limit", "60", "--mock-faults", "0.9", code=3)
    assert "failed for good" in done.stderr
    assert "Traceback" not in done.stderr
    assert 0 < (tmp_path / "generated.jsonl").read_text().count("\n") < 60
    run(tmp_path, "--limit", "60")
    assert (tmp_path / "samples.jsonl").read_text().count("\n") == 60


@pytest.mark.slow
def test_killed_twenty_times_the_results_are_the_same_file(tmp_path):
    run(tmp_path / "whole")
    rng = random.Random(0)
    journal = tmp_path / "killed" / "generated.jsonl"
    slow = [
        sys.executable, "-m", "harness", *EVAL, "--out", str(tmp_path / "killed"), "--mock-latency", "0.4",
        "--concurrency", "4", "--mock-faults", "0.2",
    ]  # fmt: skip
    kills = 0
    while kills < 20:
        before = journal.read_bytes().count(b"\n") if journal.exists() else 0
        process = subprocess.Popen(slow, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if journal.exists() and journal.read_bytes().count(b"\n") > before:
                break
            time.sleep(0.02)
        time.sleep(rng.random() * 0.6)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        assert process.returncode in (0, -9)
        if process.returncode == 0:
            break
    assert kills == 20
    run(tmp_path / "killed", "--concurrency", "4")
    assert (tmp_path / "killed" / "samples.jsonl").read_bytes() == (tmp_path / "whole" / "samples.jsonl").read_bytes()
