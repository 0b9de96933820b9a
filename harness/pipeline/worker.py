"""One job in a process of its own: its lock, its log, its clock, and its result under its final name when whole."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from harness.journal import write_whole
from harness.pipeline.kind import Job
from harness.pipeline.kinds import kind_of
from harness.processes import follow_parent
from harness.results.records import StageResult
from harness.results.store import Store


class Progress(NamedTuple):
    """How far a running job is. ``total``: problems, rows or samples in all."""

    done: int
    total: int
    tokens: int


_channel: Any = None  # where progress goes; a queue reaches the processes of a pool by their initializer alone


def start(messages: Any, parent: int) -> None:
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


def stop(pid: int, sign: int) -> None:
    """End a worker and all processes of its group."""
    for end in (os.killpg, os.kill):  # it may not lead a group yet
        with suppress(ProcessLookupError, PermissionError):
            end(pid, sign)


def work(job: Job, folder: Path) -> StageResult:
    """Do one job in the store at ``folder``, or wait for the process that is at it; its result."""
    import filelock

    store = Store(folder)
    with filelock.FileLock(store.lock(job.digest)):
        finished = store.result(job.digest)
        if finished is not None:
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
        with _log(store.log(job.digest)):
            figures = kind_of(job.kind).run(job, place, inputs, report)
        result = StageResult(
            name=job.name, kind=job.kind, params=job.params, inputs=job.inputs, figures=figures,
            models={role: Path(model.model).name for role, model in job.models.items()},
            seconds=round(before + time.monotonic() - started, 2),
        )  # fmt: skip
        clock.unlink(missing_ok=True)
        store.finish(job.digest, result)
        return result


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
            for number, copy in enumerate(kept, 1):
                os.dup2(copy, number)
                os.close(copy)
