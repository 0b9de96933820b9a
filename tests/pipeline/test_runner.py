"""The runner on cheap jobs: caching, failures with their log, orphans."""

from __future__ import annotations

import json

import pytest

from harness.models.spec import ModelSpec
from harness.pipeline import runner
from harness.pipeline.job import Graph, Job
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
        with pytest.raises(runner.StageFailed, match=r"chains: .*no tokenizer could be loaded.*log: ") as failure:
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
    with pytest.raises(runner.StageFailed, match="chains"):
        runner.run(Graph(jobs={"c0": first, "s0": second}), tmp_path, 2, lambda e, job, p: events.append((e, job.name)))
    assert ("start", "train x") not in events
