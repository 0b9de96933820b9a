"""Runs a graph of jobs: several at once, each in a worker process, each result kept under its digest.

A job works in ``<digest>.work`` and is renamed to ``<digest>`` when it is whole, so a folder under its final name is a
finished result. Killed anywhere, the same command goes on: finished jobs are reused, the others continue from their
journals and checkpoints.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import StageFailed
from harness.journal import write_whole
from harness.pipeline.graph import Graph, Job
from harness.processes import follow_parent

# (event, job, payload): start, progress (done, total, tokens), end (figures, seconds), cached (figures, seconds)
Listener = Callable[[str, Job, dict[str, Any]], None]


def result_of(store: Path, digest: str) -> dict[str, Any] | None:
    """Figures and seconds of a finished job, None if it is not finished."""
    file = store / "stages" / digest / "done.json"
    return dict(json.loads(file.read_text())) if file.exists() else None


def run(
    graph: Graph, store: Path, workers: int, listen: Listener = lambda event, job, payload: None,
    executor: str = "local", address: str | None = None,
) -> None:  # fmt: skip
    """Run all jobs that have no result yet, ``workers`` at once, here or as tasks of a Ray cluster that sees ``store``.

    Raises StageFailed at the first failure, after the running jobs end; ModelError when there is no cluster.
    """
    store = store.resolve()
    (store / "stages").mkdir(parents=True, exist_ok=True)
    todo: dict[str, Job] = {}
    for digest, job in graph.jobs.items():
        done = result_of(store, digest)
        if done is None:
            todo[digest] = job
        else:
            listen("cached", job, done)
    if not todo:
        return
    if executor == "ray":
        from harness.pipeline.on_ray import submitter

        _schedule(submitter(address, store), graph, todo, workers, store, listen)
        return
    with _pool(min(workers, len(todo))) as (pool, messages):
        relay = threading.Thread(target=_relay, args=(messages, graph, listen), daemon=True)
        relay.start()
        try:
            _schedule(lambda job: pool.submit(work, job, store), graph, todo, workers, store, listen)
        finally:
            messages.put(None)
            relay.join(timeout=5)


def _schedule(
    submit: Callable[[Job], Future[dict[str, Any]]], graph: Graph, todo: dict[str, Job], workers: int, store: Path,
    listen: Listener,
) -> None:  # fmt: skip
    running: dict[Future[dict[str, Any]], Job] = {}
    failure: StageFailed | None = None
    while todo or running:
        ready = [
            job for job in todo.values() if not any(d in todo or _is_running(d, running) for d in job.inputs.values())
        ]
        for job in ready if failure is None else []:
            if len(running) >= workers:
                break
            del todo[job.digest]
            listen("start", job, {})
            running[submit(job)] = job
        if not running:
            break
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            job = running.pop(future)
            try:
                listen("end", job, future.result())
            except Exception as error:
                log = store / "stages" / f"{job.digest}.work" / "log.txt"
                text = " ".join(str(error).split())[:300] or type(error).__name__
                failure = failure or StageFailed(f"{job.name}: {text} (log: {log})")
    if failure:
        raise failure


def _is_running(digest: str, running: dict[Future[dict[str, Any]], Job]) -> bool:
    return any(job.digest == digest for job in running.values())


# --- in the worker process -------------------------------------------------------------------------------------------

_channel: Any = None  # set once per worker process by the pool's initializer; the only way a job reports


@contextmanager
def _pool(workers: int) -> Iterator[tuple[ProcessPoolExecutor, Any]]:
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(messages, os.getpid()))
    try:
        yield pool, messages
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _start_worker(messages: Any, parent: int) -> None:
    global _channel
    _channel = messages
    follow_parent(parent)
    # One thread a worker: with several workers on few cores, spinning threads cost more than they bring.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def work(job: Job, store: Path) -> dict[str, Any]:
    """Do one job, or wait for the process that is at it; its record."""
    import filelock

    from harness.pipeline.stages import execute

    final = store / "stages" / job.digest
    work = final.with_name(f"{job.digest}.work")
    with filelock.FileLock(f"{final}.lock"):
        done = result_of(store, job.digest)
        if done is not None:
            return done  # another process did the same work meanwhile
        work.mkdir(exist_ok=True)
        spent = _spent(work)
        started = time.monotonic()
        last = [0.0]

        def report(done: int, total: int, tokens: int) -> None:
            now = time.monotonic()
            if now - last[0] > 0.2 or done == total:
                last[0] = now
                write_whole(work / "seconds.json", json.dumps(spent + now - started))
                if _channel is not None:
                    _channel.put((job.digest, {"done": done, "total": total, "tokens": tokens}))

        inputs = {role: store / "stages" / digest for role, digest in job.inputs.items()}
        with _log(work / "log.txt"):
            figures = execute(job, work, inputs, report)
        result = {
            "name": job.name,
            "kind": job.kind,
            "params": job.params,
            "inputs": job.inputs,
            "models": {role: Path(str(model["model"])).name for role, model in job.models.items()},
            "figures": figures,
            "seconds": round(spent + time.monotonic() - started, 2),
        }
        (work / "seconds.json").unlink(missing_ok=True)
        write_whole(work / "done.json", json.dumps(result, indent=1) + "\n")
        shutil.rmtree(final, ignore_errors=True)
        os.replace(work, final)
        return result


def _spent(work: Path) -> float:
    """Seconds that interrupted runs of this job took up to their last report."""
    try:
        return float(json.loads((work / "seconds.json").read_text()))
    except (OSError, ValueError):
        return 0.0


@contextmanager
def _log(path: Path) -> Iterator[None]:
    """Everything that libraries print goes to the job's log, also from C code."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException:
            import traceback

            traceback.print_exc()
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[0])
            os.close(kept[1])


def _relay(messages: Any, graph: Graph, listen: Listener) -> None:
    while True:
        message = messages.get()
        if message is None:
            return
        digest, payload = message
        listen("progress", graph.jobs[digest], payload)
