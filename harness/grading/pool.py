"""Persistent grading processes with a hard deadline: killed when past it, replaced at once."""

from __future__ import annotations

import json
import os
import queue
import select
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import GraderBroken


class _Worker:
    """One process. Starting it does not wait: the first call does."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        # -P: the user's folder is not searched for modules, so no file there is taken for one of ours.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.grading.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ) | dict(environment),
        )
        self.warm: set[str] = set()
        self._loading: list[str] = ["ready"]
        self._buffer = b""

    def load(self, kind: str) -> None:
        """Have the grader of ``kind`` imported, without waiting for it."""
        if kind not in self.warm:
            self._send({"kind": kind, "warm": True})
            self.warm.add(kind)
            self._loading.append(kind)

    def wait(self) -> None:
        """Until everything asked for is loaded. Raises GraderBroken when something cannot be."""
        while self._loading:
            kind = self._loading.pop(0)
            reply = self._read(120.0)
            if reply is None or "verdict" in reply:
                why = reply["reason"] if reply else "run 'python -m harness.grading.worker' to see why"
                raise GraderBroken(f"the {kind} grader cannot be loaded: {why}")

    def call(self, message: dict[str, Any], limit: float) -> dict[str, Any] | None:
        """The reply, or None when the worker died or ran past ``limit`` seconds."""
        return self._read(limit) if self._send(message) else None

    def _send(self, message: dict[str, Any]) -> bool:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            return False
        return True

    def _read(self, limit: float) -> dict[str, Any] | None:
        """The next line of the worker, from our own buffer: a library's would hide a second line from ``select``."""
        assert self.process.stdout is not None
        descriptor, deadline = self.process.stdout.fileno(), time.monotonic() + limit
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(descriptor, 1 << 16) if ready else b""
            if not piece:
                return None
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return dict(json.loads(line))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    self.process.poll()  # what was still to be written went with the process


class Pool:
    """``workers`` processes, started on first use; usable from any thread. ``limit`` seconds per call."""

    def __init__(self, workers: int = 1, limit: float = 2.0, nltk_data: Path | None = None) -> None:
        self.size = workers
        self.limit = limit
        self._environment = {} if nltk_data is None else {"NLTK_DATA": str(nltk_data)}
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._memo: OrderedDict[int, dict[str, Any]] = OrderedDict()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """The worker's reply, with ``seconds``. Past the deadline the reply is a ``grader_timeout``.

        The same question is asked once: replies are remembered, the last 20,000 of them.
        """
        key = hash(json.dumps(message, sort_keys=True))
        known = self._memo.get(key)
        if known is None:
            known = self._ask(message)
            self._memo[key] = known
            if len(self._memo) > 20_000:
                self._memo.popitem(last=False)
        return known

    def load(self, kind: str) -> None:
        """Start all workers and have them load ``kind``, without waiting."""
        for worker in [self._idle.get() for _ in range(self.size)]:
            worker = worker or _Worker(self._environment)
            worker.load(kind)
            self._idle.put(worker)

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        worker = self._idle.get()
        try:
            worker = worker or _Worker(self._environment)
            worker.load(message["kind"])
            worker.wait()  # what it still loads is no part of the answer's time
            started = time.monotonic()
            reply = worker.call(message, self.limit)
            if reply is None:
                worker.kill()
                worker = _Worker(self._environment)
                worker.load(message["kind"])
                reply = {
                    "verdict": "grader_timeout",
                    "reason": f"no verdict within {self.limit:g} s, or its worker died",
                }
        except BaseException:
            if worker is not None:
                worker.kill()
                worker = None
            raise
        finally:
            self._idle.put(worker)
        return reply | {"seconds": round(time.monotonic() - started, 4)}

    def close(self) -> None:
        for worker in [self._idle.get() for _ in range(self.size)]:
            if worker is not None:
                worker.kill()
            self._idle.put(None)
