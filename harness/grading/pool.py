"""Persistent grading processes. Processor time decides what is too slow, so a busy machine changes no verdict."""

from __future__ import annotations

import hashlib
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from harness.errors import GraderBroken
from harness.grading.messages import Judgement, Question, Reply

WALL_SECONDS = 60.0  # only for workers that are blocked: the limit of processor time is a thirtieth of this
LOAD_SECONDS = 600.0
ATTEMPTS = 3  # at one question, when workers die
REMEMBERED = 32 << 20  # bytes of replies
# Signals by which a process ends through a fault of its own, and not by somebody else's doing.
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


class _Worker:
    """One process. Starting it does not wait: the first call does.

    It is in a session of its own, so that Ctrl-C in a terminal does not reach it, and ends with this process. Raised
    are EOFError when it has died and TimeoutError when it does not answer in time.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        # -P: the user's folder is not searched for modules, so no file there is taken for one of ours.
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "harness.grading.worker", str(os.getpid())], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | environment, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin, self.process.stdout
        self._loaded: set[str] = set()
        self._loading: list[str] = ["first"]
        self._buffer = b""

    def load(self, kind: str) -> None:
        """Have the grader of ``kind`` imported, without waiting for it. A dead worker is noticed by the next call."""
        if kind not in self._loaded:
            self._loaded.add(kind)
            self._loading.append(kind)
            with suppress(EOFError):
                self._send(b'{"load": "%s"}\n' % kind.encode())

    def call(self, question: Question, limit: float) -> Reply:
        """The reply within ``limit`` seconds. Raises GraderBroken, too, when the grader cannot be loaded."""
        self.load(question.kind)
        while self._loading:  # this is no part of the answer's time
            failed = Reply.of_line(self._read(LOAD_SECONDS), 0.0).judgement
            if failed is not None:
                raise GraderBroken(f"the {self._loading[0]} grader cannot be loaded: {failed.reason}")
            self._loading.pop(0)
        started = time.monotonic()
        self._send(question.line())
        line = self._read(limit)
        return Reply.of_line(line, round(time.monotonic() - started, 4))

    def _send(self, line: bytes) -> None:
        try:
            self._in.write(line)
            self._in.flush()
        except (OSError, ValueError):  # ValueError: closed by ``kill`` in another thread
            raise EOFError from None

    def _read(self, limit: float) -> bytes:
        """The next line, from our own buffer: a library's would hide a second line from ``poll``."""
        deadline, poll = time.monotonic() + limit, select.poll()
        poll.register(self._out, select.POLLIN)
        while b"\n" not in self._buffer:
            if not poll.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
                raise TimeoutError
            piece = os.read(self._out.fileno(), 1 << 16)
            if not piece:
                raise EOFError
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def kill(self) -> None:
        """End the process; a thread that waits for its answer gets EOFError."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the process and close its pipes; no other thread may be waiting for it."""
        self.kill()
        for stream in (self._in, self._out):
            with suppress(OSError):  # what was still to be written went with the process
                stream.close()


class Pool:
    """``workers`` processes, started on first use; usable from any thread. ``limit``: wall-clock seconds a question."""

    def __init__(self, workers: int = 1, limit: float = WALL_SECONDS, nltk_data: Path | None = None) -> None:
        self.size, self.limit = workers, limit
        self._environment = {} if nltk_data is None else {"NLTK_DATA": str(nltk_data)}
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._lock = threading.Lock()
        self._running: set[_Worker] = set()
        self._closed = False
        self._known: OrderedDict[bytes, tuple[Reply, int]] = OrderedDict()
        self.remembered = 0  # bytes

    def ask(self, question: Question) -> Reply:
        """The reply; verdicts are remembered. GraderBroken when workers keep dying, or the pool is or gets closed."""
        key = hashlib.blake2b(question.line(), digest_size=16).digest()
        with self._lock:
            if key in self._known:
                return self._known[key][0]
        reply = self._ask(question)
        judgement = reply.judgement
        if judgement is not None and judgement.verdict not in ("grader_timeout", "infra_error"):
            size = 500 + 2 * len(str(judgement))
            with self._lock:
                if key not in self._known:
                    self._known[key] = reply, size
                    self.remembered += size
                while self.remembered > REMEMBERED:
                    self.remembered -= self._known.popitem(last=False)[1][1]
        return reply

    def load(self, kind: str) -> None:
        """Start all workers and have them load ``kind``, without waiting."""
        for idle in [self._idle.get() for _ in range(self.size)]:
            started = idle or self._start()
            started.load(kind)
            self._idle.put(started)

    def _ask(self, question: Question) -> Reply:
        worker, late, ends = self._idle.get(), 0, list[int]()
        try:
            while True:
                worker = worker or self._start()
                try:
                    return worker.call(question, self.limit)
                except TimeoutError:
                    late += 1
                except EOFError:
                    ends.append(-worker.process.wait())
                self._drop(worker)
                worker = None
                if ends and ends[-1] == signal.SIGVTALRM:
                    why = "stopped at the limit of processor time"
                    return Reply(judgement=Judgement("grader_timeout", why))
                if late == 2:
                    why = f"no answer within {self.limit:g} s, twice"
                    return Reply(judgement=Judgement("grader_timeout", why))
                if len(ends) == ATTEMPTS:
                    if all(end in _CRASHES for end in ends):
                        why = f"this answer ends its grader ({_name(ends[-1])})"
                        return Reply(judgement=Judgement("infra_error", why))
                    raise GraderBroken(
                        f"grading processes die ({', '.join(map(_name, ends))}), perhaps for want of memory; or run "
                        "'python -m harness.grading.worker' to see whether one starts"
                    )
        except BaseException:
            if worker is not None:
                self._drop(worker)
                worker = None
            raise
        finally:
            self._idle.put(worker)

    def _start(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise GraderBroken("grading was stopped before this answer was judged")
            worker = _Worker(self._environment)
            self._running.add(worker)
            return worker

    def _drop(self, worker: _Worker) -> None:
        with self._lock:
            self._running.discard(worker)
        worker.close()

    def close(self) -> None:
        """End all workers, also those at work: their questions end with GraderBroken, not with a verdict."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for worker in running:
            worker.kill()
        for idle in [self._idle.get() for _ in range(self.size)]:
            if idle is not None:
                self._drop(idle)
            self._idle.put(None)


def _name(end: int) -> str:
    """The signal, or the exit code, by which a process ended."""
    return signal.Signals(end).name if end > 0 else f"exit {-end}"
