"""One job in a process of its own: its lock, its log, its clock, and its result under its final name.

A job works in ``<digest>.work`` and is renamed to ``<digest>`` when it is whole, so a folder under its final name is a
finished result.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from harness.journal import write_whole
from harness.pipeline.job import Job
from harness.pipeline.kinds import kind_of
from harness.processes import follow_parent
from harness.results.records import StageResult
from harness.results.store import Store


class Progress(NamedTuple):
    """How far a running job is. ``total``: problems, rows or samples in all."""

    done: int
    total: int
    tokens: int


Send = Callable[[str, Progress], None]
# Of this worker process: where progress goes. A queue reaches a process of a pool by its initializer alone.
_channel: Any = None


def start(messages: Any, parent: int) -> None:
    """Begin a worker process: it leads a group of its own, so that it and all that it starts end together."""
    global _channel
    _channel = messages
    os.setpgrp()
    follow_parent(parent)
    # One thread a worker: with several workers on few cores, spinning threads cost more than they bring.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def stop(pid: int, sign: int = signal.SIGTERM) -> None:
    """End a worker and all processes of its group."""
    for end in (os.killpg, os.kill):  # it may not lead a group yet
        with suppress(ProcessLookupError, PermissionError):
            end(pid, sign)


def work_here(job: Job, folder: Path) -> StageResult:
    """Do a job in a worker process of this machine, which reports to the process that started it."""
    return work(job, folder, lambda digest, progress: _channel.put((digest, progress)))


def work(job: Job, folder: Path, send: Send = lambda digest, progress: None) -> StageResult:
    """Do one job in the store at ``folder``, or wait for the process that is at it; its result."""
    import filelock

    store = Store(folder)
    with filelock.FileLock(store.lock(job.digest)):
        done = store.result(job.digest)
        if done is not None:
            return done  # another process did the same work meanwhile
        place = store.work(job.digest)
        place.mkdir(exist_ok=True)
        spent = _spent(place)
        started = time.monotonic()
        last = [0.0]

        def report(done: int, total: int, tokens: int) -> None:
            now = time.monotonic()
            if now - last[0] > 0.2 or done == total:
                last[0] = now
                write_whole(place / "seconds.json", json.dumps(spent + now - started))
                send(job.digest, Progress(done, total, tokens))

        inputs = {role: store.stage(digest) for role, digest in job.inputs.items()}
        with _log(store.log(job.digest)):
            figures = kind_of(job.kind).run(job, place, inputs, report)
        result = StageResult(
            name=job.name,
            kind=job.kind,
            params=job.params,
            inputs=job.inputs,
            models={role: Path(model.model).name for role, model in job.models.items()},
            figures=figures,
            seconds=round(spent + time.monotonic() - started, 2),
        )
        (place / "seconds.json").unlink(missing_ok=True)
        store.finish(job.digest, result)
        return result


def _spent(place: Path) -> float:
    """Seconds that interrupted runs of this job took up to their last report."""
    try:
        return float(json.loads((place / "seconds.json").read_text()))
    except (OSError, ValueError, TypeError):
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
