"""Shards of a search on a Ray cluster: each a restartable task with a folder of its own.

A problem belongs to one shard by its place among the problems, and a shard's journal has one writer by its lock, so two
workers never own one problem. A task whose worker dies is started again by Ray, wherever there is room, and goes on
from its journal; all workers must see the output folder. The merged result is the union of the shards' folders, which
every reader takes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import Incomplete, ModelError
from harness.records import Problem
from harness.search.launch import Plan, execute, shard, shard_folder
from harness.search.spec import Limits

RETRIES = 20


def run_on_ray(
    plan: Plan, problems: Sequence[Problem], out: Path, shards: int, address: str | None = None,
    notice: Callable[[str], None] = lambda text: None,
) -> None:  # fmt: skip
    """Run every shard of a search on the cluster at ``address``, or on one started here.

    The plan's budgets of requests and tokens are split evenly; its seconds begin now. Raises ModelError when ray is
    missing or the cluster is not there, SearchMismatch for a folder with other shards, Incomplete when shards failed
    for good.
    """
    until = time.time() + plan.limits.seconds if plan.limits.seconds else 0.0
    ray = connected(address)
    out = out.resolve()
    task = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=[OSError])(work)
    everything = ray.put(list(problems))
    shard_folder(out, 0, shards)
    plans = [replace(plan, limits=share(plan.limits, number, shards)) for number in range(shards)]
    running = {task.remote(part, everything, str(out), n, shards, until): n for n, part in enumerate(plans)}
    failed: dict[int, str] = {}
    while running:
        done, _ = ray.wait(list(running), num_returns=1)
        number = running.pop(done[0])
        try:
            for text in ray.get(done[0]):
                notice(text)
        except Exception as error:
            failed[number] = _line(error)
    if failed:
        first = min(failed)
        kept = "" if "all results are kept" in failed[first] else "; all results are kept, and the same command goes on"
        raise Incomplete(f"{len(failed)} of {shards} shards failed, first shard {first}: {failed[first]}{kept}")


def connected(address: str | None) -> Any:
    """Ray, connected to the cluster at ``address`` or to one started here. Raises ModelError when there is none."""
    try:
        import ray
    except ImportError:
        raise ModelError("--executor ray needs ray; install the extra 'ray'") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    except Exception as error:
        raise ModelError(f"no Ray cluster at {address or 'this machine'}: {_line(error)}") from None
    return ray


def share(limits: Limits, number: int, shards: int) -> Limits:
    """The budget of one of ``shards``; together they have the whole. Raises ModelError when there is less than one."""
    parts = {"requests": limits.requests, "tokens": limits.tokens}
    for name, total in parts.items():
        if 0 < total < shards:
            raise ModelError(f"a budget of {total} {name} is less than one for each of the {shards} shards")
        parts[name] = total // shards + (number < total % shards)
    return limits.model_copy(update=parts)


def work(
    plan: Plan, problems: Sequence[Problem], out: str, number: int, shards: int, until: float = 0.0
) -> list[str]:  # fmt: skip
    """One shard, in a worker of the cluster; returns what was repaired. ``until``: Unix time at which it stops."""
    if until:
        left = plan.limits.model_copy(update={"seconds": max(1e-3, until - time.time())})
        plan = replace(plan, limits=left)
    folder, notices = shard_folder(Path(out), number, shards), list[str]()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "worker").write_text(f"{os.uname().nodename} {os.getpid()}\n")
    execute(plan, shard(problems, number, shards), folder, notice=notices.append)
    return notices


def _line(error: BaseException) -> str:
    cause: Any = getattr(error, "cause", None) or error
    return " ".join(str(cause).split())[:300] or type(cause).__name__
