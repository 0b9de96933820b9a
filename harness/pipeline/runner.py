"""Runs a graph of jobs, several at once, each in a worker process. Killed anywhere, the same command goes on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from harness.errors import Incomplete
from harness.files import about
from harness.pipeline import worker
from harness.pipeline.graph import Graph
from harness.pipeline.kind import Job
from harness.pipeline.worker import Progress
from harness.results.records import StageResult
from harness.results.store import Store

# What becomes of a job: it had a result before, it begins, it goes on (Progress), it ends.
Event = Literal["cached", "start", "progress", "end"]
Listener = Callable[[Event, Job, StageResult | Progress | None], None]

_GRACE = 3.0  # seconds between asking a worker to end and ending it
_RETRIES = 3  # of a job whose worker dies on a cluster


def run(
    graph: Graph, folder: Path, workers: int, listen: Listener = lambda event, job, payload: None,
    executor: str = "local", address: str | None = None,
) -> None:  # fmt: skip
    """Run all jobs that have no result in the store at ``folder`` yet, ``workers`` at once.

    ``executor``: "local", or "ray" for tasks of the Ray cluster at ``address``, or of one started here, that sees the
    store; a lock in the store keeps two workers from one job.

    Raises Incomplete at the first failure, after the running jobs end; ModelError when there is no cluster.
    """
    store = Store(folder.resolve())
    with about(store.stages):
        store.stages.mkdir(parents=True, exist_ok=True)
    events = _Events(graph, listen)
    todo: dict[str, Job] = {}
    for digest, job in graph.jobs.items():
        done = store.result(digest)
        if done is None:
            todo[digest] = job
        else:
            events.tell("cached", job, done)
    if todo and executor == "ray":
        from harness.search.run.on_ray import connected

        ray = connected(address)
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=_RETRIES)(worker.work)
        _schedule(lambda job: task.remote(job, store.folder).future(), todo, workers, store, events)
    elif todo:
        with _pool(min(workers, len(todo)), events) as pool:
            _schedule(lambda job: pool.submit(worker.work, job, store.folder), todo, workers, store, events)


class _Events:
    """Hands events to a listener, one at a time, and no progress of a job that has ended."""

    def __init__(self, graph: Graph, listen: Listener) -> None:
        self._jobs, self._listen = graph.jobs, listen
        self._lock = threading.Lock()
        self._running: set[str] = set()

    def tell(self, event: Event, job: Job, payload: StageResult | None = None) -> None:
        with self._lock:
            (self._running.add if event == "start" else self._running.discard)(job.digest)
            self._listen(event, job, payload)

    def relay(self, messages: Any) -> None:
        """Pass on what workers report, until None comes."""
        while (message := messages.get()) is not None:
            digest, progress = message
            with self._lock:
                if digest in self._running:
                    self._listen("progress", self._jobs[digest], progress)


def _schedule(
    submit: Callable[[Job], Future[StageResult]], todo: dict[str, Job], workers: int, store: Store, events: _Events
) -> None:
    running: dict[Future[StageResult], Job] = {}
    failure: Incomplete | None = None
    while todo or running:
        unfinished = {*todo, *(job.digest for job in running.values())}
        ready = [job for job in todo.values() if unfinished.isdisjoint(job.inputs.values())]
        for job in ready[: workers - len(running)] if failure is None else []:
            del todo[job.digest]
            events.tell("start", job)
            running[submit(job)] = job
        if not running:
            break
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            job = running.pop(future)
            error = future.exception()
            if error is None:
                events.tell("end", job, future.result())
            else:
                text = " ".join(str(error).split())[:300] or type(error).__name__
                failure = failure or Incomplete(f"{job.name}: {text} (log: {store.log(job.digest)})")
    if failure:
        raise failure


@contextmanager
def _pool(workers: int, events: _Events) -> Iterator[ProcessPoolExecutor]:
    """Worker processes and the thread that relays what they report. Left by an error, no process of theirs is left."""
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    relay = threading.Thread(target=events.relay, args=(messages,), daemon=True)
    relay.start()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=worker.start, initargs=(messages, os.getpid()))
    try:
        yield pool
    except BaseException:
        _stop(pool)
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        messages.put(None)
        relay.join(timeout=5)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End all workers with what they started: first they are asked, after a grace they are killed."""
    from multiprocessing.connection import wait as ended

    processes = list((pool._processes or {}).values())
    for process in processes:
        worker.stop(int(process.pid or 0), signal.SIGTERM)
    left = processes
    while left and (gone := ended([process.sentinel for process in left], timeout=_GRACE)):
        left = [process for process in left if process.sentinel not in gone]
    for process in processes:
        worker.stop(int(process.pid or 0), signal.SIGKILL)
