"""Runs a graph of jobs, several at once, each in a worker process. Killed anywhere, the same command goes on."""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any, Literal

from harness.errors import DataError, Incomplete
from harness.files import about
from harness.journal import write_whole
from harness.pipeline.graph import Graph
from harness.pipeline.kind import Job, part_of
from harness.pipeline.kinds import kind_of
from harness.pipeline.sources import missing
from harness.processes import follow_parent
from harness.results.records import StageResult
from harness.results.store import Store

Progress = namedtuple("Progress", "done total tokens")  # of a running job, in problems, rows or samples
# What becomes of a job: it had a result before, it begins, it goes on (Progress), it ends.
Event = Literal["cached", "start", "progress", "end"]
Listener = Callable[[Event, Job, StageResult | Progress | None], None]

_GRACE = 3.0  # seconds between asking a worker to end and ending it
_RETRIES = 3  # of a job whose worker dies on a cluster
_channel: Any = None  # where progress goes; a queue reaches the processes of a pool by their initializer alone


def run(
    graph: Graph, folder: Path, workers: int, listen: Listener = lambda event, job, payload: None,
    executor: str = "local", address: str | None = None,
) -> None:  # fmt: skip
    """Run all jobs that have no result in the store at ``folder`` yet, ``workers`` at once.

    ``executor``: "local", or "ray": tasks of the cluster at ``address``, or of one started here, that sees the store.
    Raises Incomplete at the first failure, after the running jobs end; ModelError when there is no cluster.
    """
    store = Store(folder.resolve())
    with about(store.stages):
        store.stages.mkdir(parents=True, exist_ok=True)
    events = _Events(graph, listen)
    todo: dict[str, Job] = {}
    for digest, job in graph.jobs.items():
        if (done := store.result(digest)) is None:
            todo[digest] = job
        else:
            events.tell("cached", job, done)
    if todo and executor == "ray":
        from harness.search.launch import connected

        ray = connected(address)
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=_RETRIES)(_work)
        _schedule(lambda job: task.remote(job, store.folder).future(), todo, workers, store, events)
    elif todo:
        with _pool(min(workers, len(todo)), events) as pool:
            _schedule(lambda job: pool.submit(_work, job, store.folder), todo, workers, store, events)


def check_files(graph: Graph, folder: Path) -> None:
    """Raise DataError where a job that is to run reads a file that is not there: hours before its turn comes."""
    store = Store(folder)
    if lines := missing(job for digest, job in graph.jobs.items() if store.result(digest) is None):
        raise DataError("\n".join(lines))


class _Events:
    """Hands events to a listener, one at a time, and no progress of a job that has ended."""

    def __init__(self, graph: Graph, listen: Listener) -> None:
        self._jobs, self._listen = graph.jobs, listen
        self._lock, self._running = threading.Lock(), set[str]()

    def tell(self, event: Event, job: Job, payload: StageResult | None = None) -> None:
        with self._lock:
            (self._running.add if event == "start" else self._running.discard)(job.digest)
            self._listen(event, job, payload)

    def relay(self, messages: Any) -> None:
        """Pass on what workers report, until None comes."""
        for digest, progress in iter(messages.get, None):
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
            if (error := future.exception()) is None:
                events.tell("end", job, future.result())
            else:
                text = " ".join(str(error).split())[:300] or type(error).__name__
                failure = failure or Incomplete(f"{job.name}: {text} (log: {store.log(job.digest)})")
    if failure:
        raise failure


@contextmanager
def _pool(workers: int, events: _Events) -> Iterator[ProcessPoolExecutor]:
    """Worker processes and the thread that relays what they report. Left by an error, no process of theirs is left."""
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    relay = threading.Thread(target=events.relay, args=(messages,), daemon=True)
    relay.start()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(messages, os.getpid()))
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
    processes = list((pool._processes or {}).values())
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for process, end in product(processes, (os.killpg, os.kill)):  # it may not lead a group yet
            with suppress(ProcessLookupError, PermissionError):
                end(int(process.pid or 0), sign)
        for process in processes:
            process.join(_GRACE)


def _start(messages: Any, parent: int) -> None:
    """Begin a worker process: it leads a group of its own, so that it and all that it starts end together."""
    global _channel
    _channel = messages
    os.setpgrp()
    follow_parent(parent)
    # One thread a worker: with several workers on few cores, spinning threads cost more than they bring.
    os.environ |= {
        "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }  # fmt: skip


def _work(job: Job, folder: Path) -> StageResult:
    """Do one job in the store at ``folder``, or wait for the process that is at it; its result."""
    import filelock

    store = Store(folder)
    with filelock.FileLock(store.lock(job.digest)):
        if (finished := store.result(job.digest)) is not None:
            return finished  # another process did the same work meanwhile
        place = store.work(job.digest)
        place.mkdir(exist_ok=True)
        clock = place / "seconds.json"
        before, started, last = 0.0, time.monotonic(), 0.0
        with suppress(OSError, ValueError, TypeError):  # what interrupted runs took up to their last report
            before = float(json.loads(clock.read_text()))

        def report(done: int, total: int, tokens: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > 0.2 or done == total:
                last = now
                write_whole(clock, json.dumps(before + now - started))
                if _channel is not None:
                    _channel.put((job.digest, Progress(done, total, tokens)))

        inputs = {role: store.stage(digest) for role, digest in job.inputs.items()}
        _log_to(store.log(job.digest))
        try:
            figures = kind_of(job.kind).run(job, place, inputs, report)
        except BaseException:
            traceback.print_exc()
            raise
        models = {role: Path(model.model).name for role, model in job.models.items()}
        seconds = round(before + time.monotonic() - started, 2)
        result = part_of(StageResult, vars(job) | {"models": models, "figures": figures, "seconds": seconds})
        clock.unlink(missing_ok=True)
        store.finish(job.digest, result)
        return result


def _log_to(path: Path) -> None:
    """Send everything that is printed in this process from now on to a job's log, also from C code."""
    with path.open("a") as file:
        for number, stream in ((1, sys.stdout), (2, sys.stderr)):
            stream.flush()
            os.dup2(file.fileno(), number)
