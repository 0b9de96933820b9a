"""The runner on cheap jobs: caching, failures with their log, orphans."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import Incomplete
from harness.models.spec import ModelSpec
from harness.pipeline import runner
from harness.pipeline.graph import Graph
from harness.pipeline.kind import Job
from harness.results.store import Store


def chain_job(tmp_path, digest="c0", **params):
    """A job that fails at once: its inputs are not there."""
    return Job(
        name="chains", kind="chains", digest=digest, params={"shards": 1, **params},
        models={"tokenizer": ModelSpec(model=str(tmp_path / "no-model"))},
    )  # fmt: skip


def test_a_failed_job_is_one_line_with_its_log_and_is_tried_again(tmp_path):
    graph = Graph(jobs={"c0": chain_job(tmp_path)})
    for _ in range(2):
        with pytest.raises(Incomplete, match=r"chains: .*no tokenizer could be loaded.*log: ") as failure:
            runner.run(graph, tmp_path, 1)
        assert "\n" not in str(failure.value)
    log = (tmp_path / "stages" / "c0.work" / "log.txt").read_text()
    assert log.count("Traceback") >= 2
    assert Store(tmp_path).result("c0") is None


def test_finished_jobs_are_not_run_again(tmp_path):
    done = tmp_path / "stages" / "c0"
    done.mkdir(parents=True)
    (done / "done.json").write_text(json.dumps({"figures": {"x": 1}, "seconds": 2.0}))
    events = []
    runner.run(Graph(jobs={"c0": chain_job(tmp_path)}), tmp_path, 1, lambda event, job, payload: events.append(event))
    assert events == ["cached"]


def test_one_failure_stops_what_depends_on_it(tmp_path):
    first = chain_job(tmp_path)
    second = Job(name="train x", kind="sft", digest="s0", inputs={"chains": "c0"})
    events = []
    with pytest.raises(Incomplete, match="chains"):
        runner.run(Graph(jobs={"c0": first, "s0": second}), tmp_path, 2, lambda e, job, p: events.append((e, job.name)))
    assert ("start", "train x") not in events


def test_a_run_that_is_stopped_ends_its_workers_and_all_that_they_started(tmp_path):
    """As Ctrl-C does: the worker, and a process that it started, are gone soon after."""
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "sleep.py").write_text(SLEEP)
    (tmp_path / "main.py").write_text(MAIN.format(folder=str(tmp_path / "kinds")))
    process = subprocess.Popen(
        [sys.executable, "main.py"], cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True
    )
    place = tmp_path / "runs" / "stages" / "s0.work" / "pid.txt"
    _wait_for(lambda: place.exists() and place.read_text().endswith("\n"))
    started = int(place.read_text())
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    _wait_for(lambda: not _runs(started))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait_for(holds) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "waited a minute in vain"
        time.sleep(0.05)


SLEEP = """
import subprocess

from harness.pipeline.kind import Kind


class Sleep(Kind):
    name = "sleep"

    def run(self, job, folder, inputs, report):
        child = subprocess.Popen(["sleep", "300"])
        (folder / "pid.txt").write_text(f"{child.pid}\\n")
        child.wait()
        return {}
"""
MAIN = """
from pathlib import Path

from harness.pipeline import kinds

kinds.__path__.append({folder!r})
from harness.pipeline import runner
from harness.pipeline.graph import Graph
from harness.pipeline.kind import Job

if __name__ == "__main__":
    runner.run(Graph(jobs={{"s0": Job(name="sleep", kind="sleep", digest="s0")}}), Path("runs"), 1)
"""


def test_progress_of_a_job_that_has_ended_reaches_no_listener(tmp_path):
    """Its message may come late, when its bar is gone; the display goes on."""
    job = chain_job(tmp_path)
    seen = []
    events = runner._Events(Graph(jobs={"c0": job}), lambda event, job, payload: seen.append(event))
    messages = queue.Queue()
    events.tell("start", job)
    events.tell("end", job)
    for message in (("c0", runner.Progress(1, 2, 3)), None):
        messages.put(message)
    events.relay(messages)
    assert seen == ["start", "end"]
