"""The grading processes: what is not the answer's fault is no verdict on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import GraderBroken
from harness.grading import pool as pools
from harness.grading.grade import Grader
from harness.grading.messages import Question
from harness.grading.pool import Pool

RIGHT = Question(kind="number", gold={"answer": 4}, answer="\\boxed{4}")


def slow(first=0):
    """Some tenths of a second of processor time: a set of forty entries, in another order."""
    entries = [str(first + n) for n in range(40)]
    gold, answer = ("\\{" + ", ".join(order) + "\\}" for order in (entries, entries[::-1]))
    return Question(kind="math", gold={"answer": gold}, answer=f"\\boxed{{{answer}}}")


def hang(pattern="(a+)+$"):
    """Exponential backtracking in a checker's pattern."""
    gold = {"instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": [pattern]}]}
    return Question(kind="instructions", gold=gold, answer="a" * 40 + "b")


def workers_of(pid):
    """Grading workers whose parent is ``pid``."""
    out = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"harness.grading.worker" in (folder / "cmdline").read_bytes():
                out.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return out


def test_a_killed_worker_is_replaced_and_the_answer_judged():
    with Grader() as grader:
        for number in range(5):
            assert grader.grade("number", {"answer": number}, f"\\boxed{{{number}}}").correct
            for pid in workers_of(os.getpid()):
                os.kill(pid, signal.SIGKILL)


def test_workers_that_die_again_and_again_are_an_error_and_no_verdict():
    pool, stop = Pool(), threading.Event()

    def killer():
        while not stop.is_set():
            for pid in workers_of(os.getpid()):
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        with pytest.raises(GraderBroken, match="grading processes die"):
            pool.ask(slow())
    finally:
        stop.set()
        thread.join()
    assert pool.ask(RIGHT).judgement.verdict == "correct"
    pool.close()


def test_closing_the_pool_gives_no_verdict():
    pool = Pool()
    pool.preload("math")
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(pool.ask, slow(n)) for n in range(4)]
        while not workers_of(os.getpid()):
            time.sleep(0.01)
        pool.close()
        for each in asked:
            with pytest.raises(GraderBroken, match="stopped"):
                each.result()
    with pytest.raises(GraderBroken, match="stopped"):
        pool.ask(RIGHT)
    assert not workers_of(os.getpid())


def test_processor_time_ends_what_exceptions_cannot():
    pool = Pool()
    first, again = pool.ask(hang()), pool.ask(hang())
    assert first.judgement.verdict == "grader_timeout"
    assert "processor time" in first.judgement.reason
    assert again.seconds > 0.5  # asked anew: a timeout is not remembered
    pool.close()


def test_a_blocked_worker_is_replaced():
    pool = Pool(limit=0.5)
    assert pool.ask(RIGHT).judgement.verdict == "correct"
    (blocked,) = workers_of(os.getpid())
    os.kill(blocked, signal.SIGSTOP)
    other = Question(kind="number", gold={"answer": 5}, answer="\\boxed{5}")
    assert pool.ask(other).judgement.verdict == "correct"
    assert blocked not in workers_of(os.getpid())
    pool.close()


def test_verdicts_are_the_same_on_a_busy_machine():
    """Many busy processes leave a worker so small a part of a core that no limit of wall-clock seconds would do."""
    words = [sys.executable, "-c", "while True: pass"]
    pool = Pool()
    pool.ask(Question(kind="math", gold={"answer": "1"}, answer="\\boxed{1}"))
    busy = [subprocess.Popen(words, start_new_session=True) for _ in range(16)]
    try:
        for number in range(3):
            reply = pool.ask(slow(1000 * number))
            assert reply.judgement.verdict == "correct", reply
    finally:
        for process in busy:
            process.kill()
            process.wait()
        pool.close()


def test_the_memory_of_replies_is_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(pools, "REMEMBERED", 20_000)
    pool = Pool()
    for number in range(60):
        pool.ask(Question(kind="number", gold={"answer": number}, answer=f"\\boxed{{{number}}}" + " " * 100))
        assert pool.remembered <= 20_000
    last = Question(kind="number", gold={"answer": 59}, answer="\\boxed{59}" + " " * 100)
    assert pool.ask(last) is pool.ask(last)
    before = pool.remembered
    trace = "so 3 + 1 = 4. " * 5_000
    found = pool.ask(Question(kind="number", gold={"answer": 4}, answer=trace, statements=True)).statements
    assert len(found) == 2_000
    assert pool.remembered == before
    pool.close()


def test_descriptors_beyond_1023():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    pool = Pool()
    try:
        assert pool.ask(RIGHT).judgement.verdict == "correct"
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        pool.close()


CHILD = """
import json, sys, time
from harness.grading.grade import Grader
with Grader() as grader:
    grader.load(["math"])
    print("started", flush=True)
    try:
        for number in range(10_000):
            grade = grader.grade("math", {"answer": "\\\\pi"}, f"\\\\boxed{{\\\\pi + {number} - {number}}}")
            print(json.dumps([grade.verdict, grade.reason]), flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def _child(**settings):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True, start_new_session=True, **settings
    )


def test_ctrl_c_in_a_terminal_gives_no_verdict():
    """SIGINT to the whole process group, as a terminal sends it."""
    for _ in range(3):
        child = _child()
        assert child.stdout.readline() == "started\n"
        for _ in range(4):
            child.stdout.readline()
        os.killpg(child.pid, signal.SIGINT)
        rest = child.stdout.read().splitlines()
        child.wait()
        assert rest[-1] == "interrupted"
        assert {json.loads(line)[0] for line in rest[:-1]} <= {"correct"}


def test_workers_end_with_their_parent_however_it_ends():
    child = _child()
    assert child.stdout.readline() == "started\n"
    child.stdout.readline()
    workers = workers_of(child.pid)
    assert workers
    child.kill()
    child.wait()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
