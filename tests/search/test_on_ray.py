"""Shards on a local Ray cluster of two workers, one of them killed: the result is that of a single process."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ModelError, SearchMismatch
from harness.models.spec import ModelSpec
from harness.search.launch import Plan, execute, shard, shard_folder, share
from harness.search.spec import Limits, SearchSpec
from harness.search.store import settings_of, trees
from tests.search.scripted import PROBLEMS, SETTINGS, state_of

SPEC = ModelSpec(model="mock", backend="mock", concurrency=4)
PLAN = Plan(search=SearchSpec(seed=1, in_flight=3, window=2), goals=SETTINGS.goals, models={"generator": (SPEC,)})


def test_shards_are_disjoint_and_complete():
    found = [[p.id for p in shard(PROBLEMS, number, 3)] for number in range(3)]
    assert sorted(name for names in found for name in names) == sorted(p.id for p in PROBLEMS)


def test_merged_shards_equal_one_process(tmp_path):
    execute(PLAN, PROBLEMS, tmp_path / "one")
    for number in range(3):
        execute(PLAN, shard(PROBLEMS, number, 3), shard_folder(tmp_path / "three", number, 3))
    assert state_of(tmp_path / "three") == state_of(tmp_path / "one")
    assert settings_of(shard_folder(tmp_path / "three", 1, 3)) == settings_of(tmp_path / "one")
    with pytest.raises(SearchMismatch, match="holds 3 shards"):
        shard_folder(tmp_path / "three", 0, 2)
    with pytest.raises(SearchMismatch, match="without shards"):
        shard_folder(tmp_path / "one", 0, 2)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 64))
def test_shards_together_have_the_budget_of_the_run(requests, tokens, shards):
    limits = Limits(requests=requests, tokens=tokens, seconds=9.0, problem_seconds=3.0)
    if 0 < requests < shards or 0 < tokens < shards:
        with pytest.raises(ModelError, match="less than one for each"):
            share(limits, 0, shards)
        return
    parts = [share(limits, number, shards) for number in range(shards)]
    assert sum(part.requests for part in parts) == requests
    assert sum(part.tokens for part in parts) == tokens
    assert all(bool(part.requests) == bool(requests) and bool(part.tokens) == bool(tokens) for part in parts)
    assert {(part.seconds, part.problem_seconds) for part in parts} == {(9.0, 3.0)}


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_changes_nothing(tmp_path):
    ray = pytest.importorskip("ray", reason="ray is not installed (extra 'ray')")
    from harness.search.launch import run_on_ray

    execute(PLAN, PROBLEMS, tmp_path / "one")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    slow = replace(PLAN, models={"generator": (SPEC.model_copy(update={"mock_latency": 0.05}),)})
    killed: list[int] = []

    def kill():
        """The first worker that has written something dies without warning."""
        folder = shard_folder(tmp_path / "cluster", 0, 2)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            journal = folder / "journal.jsonl"
            if journal.exists() and journal.read_bytes().count(b'"node"') > 5:
                killed.append(int((folder / "worker").read_text().split()[1]))
                os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.01)

    watch = threading.Thread(target=kill, daemon=True)
    watch.start()
    try:
        run_on_ray(slow, PROBLEMS, tmp_path / "cluster", 2)
    finally:
        ray.shutdown()
    watch.join(timeout=5)
    assert killed
    assert int((shard_folder(tmp_path / "cluster", 0, 2) / "worker").read_text().split()[1]) != killed[0]
    assert state_of(tmp_path / "cluster") == state_of(tmp_path / "one")
    assert len(list(trees(tmp_path / "cluster"))) == len(PROBLEMS)
