"""Ctrl-C at any moment, once or twice: the command ends with 130, nothing it started survives, and it goes on later."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.journal import write_rows
from harness.records import Grade, Sample
from tests.commands import here

EVAL = ["eval", "--model", "mock", "--backend", "mock", "--tasks", "letter_count", "--limit", "150"]


def survivors(session: int) -> list[str]:
    """Command lines of the living processes of a session."""
    out = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                out.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return out


def interrupt(args, times, after, gap=0.0):
    """Run a command, send SIGINT to its whole group as a terminal does; its exit code and what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *map(str, args)], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    after(process)
    for _ in range(times):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(gap)
    try:
        _, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        left = survivors(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.fail(f"still there after a minute: {left}")
    deadline = time.monotonic() + 10
    while (left := survivors(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    # A second SIGINT at the interpreter's very end kills it; a shell calls that 130, too.
    return 130 if process.returncode == -signal.SIGINT else process.returncode, errors


def grown(journal: Path, more: float):
    """Wait until a run has sampled something new, and ``more`` seconds."""
    before = journal.stat().st_size if journal.exists() else 0

    def wait(process):
        while process.poll() is None and not (journal.exists() and journal.stat().st_size > before):
            time.sleep(0.02)
        time.sleep(more)

    return wait


def many_rows(path: Path) -> Path:
    rows = [{"gold": n % 7, "response": f"it is {n} so \\boxed{{{n % 5}}} or {n * 31}"} for n in range(100_000)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(("times", "trials"), [(1, 2), (2, 2), pytest.param(1, 12, marks=pytest.mark.slow),
                                               pytest.param(2, 12, marks=pytest.mark.slow)])  # fmt: skip
def test_score_ends(tmp_path, times, trials):
    dice, rows = random.Random(times), many_rows(tmp_path / "in.jsonl")
    command = ["score", "--grader", "number", "--responses", rows, "--out", tmp_path / "out.jsonl"]
    for _ in range(trials):
        moment = 1.5 + 3 * dice.random()
        code, errors = interrupt(command, times, lambda p, m=moment: time.sleep(m), 0.6 * dice.random())
        assert code == 130, errors
        assert "Traceback" not in errors
        assert not (tmp_path / "out.jsonl").exists()


def test_rescore_ends_and_changes_nothing(tmp_path):
    """It had queued every sample, and an interrupt waited for all of them."""
    folder, number = tmp_path / "run", 20_000
    problem = {"task": "t", "id": "p", "family": "number", "prompt": "?", "gold": json.dumps({"answer": "3"})}
    write_rows(folder / "problems.jsonl", [problem])
    texts = (f"it is {n} so \\boxed{{{n}}} or {n * 31}" for n in range(number))
    samples = (
        Sample(
            key="", task="t", problem_id="p", index=n, seed=0, prompt_ids_hash="", text=text, token_ids=[],
            finish="stop", thinking_tokens=0, answer_tokens=9, grade=Grade(verdict="correct", reason=""),
        )
        for n, text in enumerate(texts)
    )  # fmt: skip
    write_rows(folder / "samples.jsonl", (sample.model_dump() for sample in samples))
    (folder / "manifest.json").write_text(json.dumps({"model": "mock", "backend": "mock"}))
    before = (folder / "samples.jsonl").read_bytes()
    for moment in (3.0, 4.5):
        code, errors = interrupt(["rescore", folder], 1, lambda process, m=moment: time.sleep(m))
        assert code == 130, errors
        assert "Traceback" not in errors
    assert (folder / "samples.jsonl").read_bytes() == before


@pytest.mark.parametrize(("times", "trials"), [(1, 2), (2, 2), pytest.param(1, 12, marks=pytest.mark.slow),
                                               pytest.param(2, 12, marks=pytest.mark.slow)])  # fmt: skip
def test_eval_ends_and_the_same_command_goes_on(tmp_path, times, trials):
    dice = random.Random(times)
    command = [*EVAL, "--out", tmp_path / "run", "--mock-latency", "1", "--concurrency", "4"]
    for _ in range(trials):
        wait = grown(tmp_path / "run" / "generated.jsonl", 1.5 * dice.random())
        code, errors = interrupt(command, times, wait, 0.8 * dice.random())
        assert code == 130, errors
        assert "Traceback" not in errors
    here(*EVAL, "--out", tmp_path / "run", code=0)
    assert (tmp_path / "run" / "samples.jsonl").read_bytes().count(b"\n") == 150


def test_a_killed_measuring_process_is_one_line_and_nothing_is_lost(tmp_path):
    command = [*EVAL, "--out", tmp_path / "run", "--mock-latency", "1", "--concurrency", "4"]

    def kill(process):
        grown(tmp_path / "run" / "generated.jsonl", 1)(process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        spawned = [int(c) for c in children if "spawn_main" in Path(f"/proc/{c}/cmdline").read_text()]
        os.kill(spawned[0], signal.SIGKILL)

    code, errors = interrupt(command, 0, kill)
    assert code == 3, errors
    assert "the process that grades died" in errors
    assert len(errors.strip().splitlines()) == 1
    kept = (tmp_path / "run" / "generated.jsonl").read_bytes().count(b"\n")
    assert 0 < kept < 150
    here(*EVAL, "--out", tmp_path / "run", code=0)
    assert (tmp_path / "run" / "samples.jsonl").read_bytes().count(b"\n") == 150
