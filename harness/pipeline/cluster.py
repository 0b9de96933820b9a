"""Stages of a recipe as tasks of a Ray cluster whose workers all see the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from harness.models.base import ModelError
from harness.pipeline.graph import Job
from harness.pipeline.runner import work

RETRIES = 3


def submitter(address: str | None, store: Path) -> Callable[[Job], Future[dict[str, Any]]]:
    """A way to run a job on the cluster at ``address``, or on one started here. A job whose worker dies is tried again
    and goes on from its journal or checkpoint; a lock in the store keeps two workers from one job.

    Raises ModelError when ray is missing or the cluster is not there.
    """
    try:
        import ray
    except ImportError:
        raise ModelError("--executor ray needs ray; install the extra 'ray'") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    except Exception as error:
        line = " ".join(str(error).split())[:300]
        raise ModelError(f"no Ray cluster at {address or 'this machine'}: {line}") from None
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(work)

    def submit(job: Job) -> Future[dict[str, Any]]:
        found: Future[dict[str, Any]] = task.remote(job, store).future()
        return found

    return submit
