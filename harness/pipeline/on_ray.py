"""Stages of a recipe as tasks of a Ray cluster whose workers all see the store."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from harness.pipeline.job import Job
from harness.pipeline.worker import work
from harness.results.records import StageResult
from harness.search.run.on_ray import connected

RETRIES = 3


def submitter(address: str | None, store: Path) -> Callable[[Job], Future[StageResult]]:
    """A way to run a job on the cluster at ``address``, or on one started here. A job whose worker dies is tried again
    and goes on from its journal or checkpoint; a lock in the store keeps two workers from one job.

    Raises ModelError when ray is missing or the cluster is not there.
    """
    ray = connected(address)
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(work)

    def submit(job: Job) -> Future[StageResult]:
        future: Future[StageResult] = task.remote(job, store).future()
        return future

    return submit
