"""The process that grades: kept for further evaluations, replaced where it died, gone with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness.files import shipped

# Three evaluations in a child of multiprocessing, as a worker of a recipe does them.
PROGRAM = """
import multiprocessing, os, signal, sys, time
from pathlib import Path

def children():
    me, out = os.getpid(), []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == me:
                out.append(int(stat.parent.name))
        except OSError:
            pass
    return out

def work(folder, kill):
    from harness.evaluation.plan import EvalPlan, load_samples
    from harness.evaluation.spec import Decoding, ProblemData
    from harness.evaluation.evaluate import evaluate
    from harness.models.backends.hf import HFCompleter
    from harness.models.loading import resolve
    from harness.problems.registry import select
    completer = HFCompleter(resolve("shipped:student"), threads=1)
    data = ProblemData(split="dev", count=2)
    for number in range(3):
        plan = EvalPlan(tasks=select(["mini_math"], None), decoding=Decoding(max_tokens=20, seed=number), data=data)
        place = Path(folder) / str(number)
        place.mkdir()
        evaluate(completer, completer.tokenizer, plan, place, several=True)
        print(*children(), len(load_samples(place)), flush=True)
        if kill and number == 0:
            for pid in children():
                os.kill(pid, signal.SIGKILL)
            time.sleep(1)

if __name__ == "__main__":
    worker = multiprocessing.get_context("spawn").Process(target=work, args=(sys.argv[1], sys.argv[2] == "kill"))
    worker.start()
    worker.join(120)
    sys.exit(worker.exitcode)
"""


def evaluated(tmp_path, kill):
    """The words of each evaluation's line: the processes that are left, then the number of samples."""
    script = tmp_path / "three.py"
    script.write_text(PROGRAM)
    words = [sys.executable, str(script), str(tmp_path), kill]
    env = os.environ | {"PYTHONPATH": str(shipped("recipes").parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def gone(pid):
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.1)
    os.kill(int(pid), signal.SIGKILL)
    return False


def test_one_process_grades_several_evaluations_and_ends_with_their_process(tmp_path):
    lines = evaluated(tmp_path, "")
    assert [line[-1] for line in lines] == ["2", "2", "2"]
    [first] = {tuple(line[:-1]) for line in lines}
    assert first
    assert all(map(gone, first))


def test_one_that_died_between_two_evaluations_is_replaced(tmp_path):
    first, second, third = evaluated(tmp_path, "kill")
    assert {first[-1], second[-1], third[-1]} == {"2"}
    assert second == third
    assert not {*first[:-1]} & {*second[:-1]}
