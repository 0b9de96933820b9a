"""A search that is interrupted, or loses its grader or its disk, goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from harness.errors import GraderBroken, JournalBroken, SearchMismatch
from harness.search.stats import SearchYield
from harness.search.store import Store, trees
from tests.search.scripted import PROBLEMS, SETTINGS, run, served, state_of

LATENCY = "0.3"


def command(out, latency=LATENCY, *more):
    options = ["--model", "mock", "--backend", "mock", "--tasks", "mini_math", "--limit", "24", "--grammar", "embedded"]
    goals = ["--rollouts", "6", "--concurrency", "16", "--mock-latency", latency]
    return [sys.executable, "-m", "harness", "search", "run", *options, *goals, "--out", str(out), *more]


def start(arguments, **more):
    return subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True, **more
    )


def finish(out):
    done = subprocess.run(command(out, "0"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return state_of(out)


def lines(out):
    return sum(file.read_bytes().count(b"\n") for file in out.glob("*.jsonl"))


def wait_for_work(process, out, more):
    """Until the process wrote ``more`` lines, or ended."""
    before, deadline = lines(out) if out.exists() else 0, time.monotonic() + 300
    while process.poll() is None and not (out.exists() and lines(out) >= before + more):
        assert time.monotonic() < deadline, "the search does not get to work"
        time.sleep(0.01)


def children(process):
    """Processes started by ``process`` that grade."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{pid}/cmdline") as file:
                words = file.read()
        except OSError:
            continue
        if parent == process.pid and "harness.grading.worker" in words:
            found.append(int(pid))
    return found


def no_made_up_verdict(out):
    verdicts = [row.get("verdict") for stored in trees(out) for row in stored.rows]
    assert not {"grader_timeout", "infra_error"} & set(verdicts)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("undisturbed") / "out")


@pytest.mark.slow
def test_ctrl_c_writes_no_verdict_that_was_not_reached(tmp_path, undisturbed):
    out, rng = tmp_path / "out", random.Random(0)
    for _ in range(4):
        process = start(command(out, "1"))  # so slow that a busy machine, too, interrupts it long before its end
        wait_for_work(process, out, 30)
        time.sleep(rng.random())
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 130, errors
        assert "Traceback" not in errors
        no_made_up_verdict(out)
    assert finish(out) == undisturbed
    no_made_up_verdict(out)


@pytest.mark.slow
def test_a_grading_process_that_is_killed_is_replaced(tmp_path, undisturbed):
    out, killed = tmp_path / "out", 0
    process = start(command(out))
    wait_for_work(process, out, 30)
    while process.poll() is None and killed < 5:
        for pid in children(process):
            os.kill(pid, signal.SIGKILL)
            killed += 1
        time.sleep(0.4)
    process.communicate(timeout=300)
    assert killed
    assert finish(out) == undisturbed
    no_made_up_verdict(out)


def test_a_full_disk_ends_a_search_in_one_line_and_it_goes_on(tmp_path, undisturbed):
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    out = tmp_path / "out"
    process = start(command(out, "0"), preexec_fn=small)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 3, errors
    assert "journal.jsonl: File too large; make room" in errors
    assert "Traceback" not in errors
    assert "never retrieved" not in errors
    assert lines(out) > 0
    assert finish(out) == undisturbed


def test_a_grader_that_dies_ends_the_search_and_nothing_is_written_of_its_answers(tokenizer, grader, tmp_path):
    expected = run(served(tokenizer, grader), tmp_path / "whole")
    search = served(tokenizer, grader)
    verify, calls = search.verifier.verify, 0

    async def dies(*arguments):
        nonlocal calls
        calls += 1
        if calls > 20:
            raise GraderBroken("grading processes die")
        return await verify(*arguments)

    search.verifier.verify = dies
    with pytest.raises(GraderBroken):
        run(search, tmp_path / "broken")
    rows = [row for stored in trees(tmp_path / "broken") for row in stored.rows]
    assert sum("verdict" in row for row in rows) == 20
    assert all("verdict" in row for row in rows if row["node"].rpartition("/")[2].startswith("answer"))
    assert run(served(tokenizer, grader), tmp_path / "broken") == expected


def test_a_segment_that_was_cut_is_not_read_as_a_smaller_search(tokenizer, grader, tmp_path):
    run(served(tokenizer, grader), tmp_path)
    segment = tmp_path / "trees-000000.jsonl"
    segment.write_bytes(segment.read_bytes()[: int(0.6 * segment.stat().st_size)])
    with pytest.raises(JournalBroken, match=r"trees-000000.jsonl: the last line has no end"):
        SearchYield.of(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": "none"}, "ids: not list"),
        ({"text": None}, "text: not str"),
        ({"node": 3}, "node: not str"),
        ({"problem": "nobody"}, "a result of problem 'nobody', but not the problem"),
    ],
)
def test_rows_of_another_shape_are_named_by_line(tmp_path, change, message):
    with Store(tmp_path, SETTINGS) as store:
        store.begin(PROBLEMS[0], 3)
    row = {"problem": PROBLEMS[0].id, "node": "a.0", "role": "generator", "generated": 1, "text": "", "ids": [1]}
    row |= {"finish": "stop"} | change
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    with pytest.raises(JournalBroken, match=f"journal.jsonl:2: not a row of a search \\({message}"):
        list(trees(tmp_path))


def test_other_weights_under_the_same_path_are_another_search(tmp_path, student):
    import shutil

    model, out = tmp_path / "model", tmp_path / "out"
    shutil.copytree(student, model)
    arguments = [
        *["--model", str(model), "--tasks", "mini_math", "--limit", "2", "--grammar", "embedded"],
        *["--rollouts", "2", "--requests", "6", "--out", str(out)],
    ]
    base = [sys.executable, "-m", "harness", "search", "run", *arguments]
    first = subprocess.run([*base, "--all-requests", "6"], capture_output=True, text=True, timeout=300)
    assert first.returncode in (0, 3), first.stderr
    before = {file.name: file.read_bytes() for file in out.glob("*.jsonl")}
    weights = model / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-4:] = b"\0\0\0\0" if data[-4:] != b"\0\0\0\0" else b"\1\0\0\0"
    weights.write_bytes(bytes(data))
    again = subprocess.run(base, capture_output=True, text=True, timeout=300)
    assert again.returncode == SearchMismatch.code == 2
    assert "holds a search with other settings (models.critic" in again.stderr
    assert len(again.stderr.splitlines()) == 1
    assert {file.name: file.read_bytes() for file in out.glob("*.jsonl")} == before
