"""Persistent grading processes. Processor time decides what is too slow, so a busy machine changes no verdict."""

from __future__ import annotations

import hashlib
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from harness.errors import GraderBroken
from harness.grading.messages import Judgement, Question, Reply

WALL_SECONDS = 60.0  # only for workers that are blocked: the limit of processor time is a thirtieth of this
LOAD_SECONDS = 600.0
ATTEMPTS = 3  # at one question, when workers die
REMEMBERED = 32 << 20  # bytes of replies
# Signals by which a process ends through a fault of its own, and not by somebody else's doing.
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


class _Died(Exception):
    """The worker's end of the pipe is closed."""


class _Late(Exception):
    """The worker did not answer in time."""


class _Worker:
    """One process. Starting it does not wait: the first call does.

    It is in a session of its own, so that Ctrl-C in a terminal does not reach it, and ends with this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        # -P: the user's folder is not searched for modules, so no file there is taken for one of ours.
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "harness.grading.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ) | dict(environment),
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin, self.process.stdout.fileno()
        self._loaded: set[str] = set()
        self._loading: list[str] = ["first"]
        self._buffer = b""

    def load(self, kind: str) -> None:
        """Have the grader of ``kind`` imported, without waiting for it. A dead worker is noticed by the next call."""
        if kind not in self._loaded:
            self._loaded.add(kind)
            self._loading.append(kind)
            try:
                self._send(b'{"load": "%s"}\n' % kind.encode())
            except _Died:
                return

    def call(self, question: Question, limit: float) -> Reply:
        """Raises _Died, _Late after ``limit`` seconds, and GraderBroken when the grader cannot be loaded."""
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
            raise _Died from None

    def _read(self, limit: float) -> bytes:
        """The next line, from our own buffer: a library's would hide a second line from the selector."""
        deadline = time.monotonic() + limit
        with selectors.PollSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise _Late
                piece = os.read(self._out, 1 << 16)
                if not piece:
                    raise _Died
                self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def kill(self) -> None:
        """End the process; a thread that waits for its answer gets _Died."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the process and close its pipes; no other thread may be waiting for it."""
        self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()  # type: ignore[union-attr]
            except OSError:
                self.process.poll()  # what was still to be written went with the process


class Pool:
    """``workers`` processes, started on first use; usable from any thread.

    ``limit``: wall-clock seconds per question. It is for workers that are blocked; what is slow ends by the limits of
    processor time in the worker.
    """

    def __init__(self, workers: int = 1, limit: float = WALL_SECONDS, nltk_data: Path | None = None) -> None:
        self.size = workers
        self.limit = limit
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
        """The reply to ``question``. Verdicts on equal questions are remembered, up to REMEMBERED bytes.

        Raises GraderBroken when no worker stays alive to answer, and when the pool is or gets closed: what could not be
        judged for such a reason has no verdict.
        """
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
        for worker in [self._idle.get() for _ in range(self.size)]:
            worker = worker or self._start()
            worker.load(kind)
            self._idle.put(worker)

    def _ask(self, question: Question) -> Reply:
        worker = self._idle.get()
        late, ends = 0, list[int]()
        try:
            while True:
                worker = worker or self._start()
                try:
                    return worker.call(question, self.limit)
                except _Late:
                    late += 1
                except _Died:
                    ends.append(-worker.process.wait())
                self._drop(worker)
                worker = None
                if ends and ends[-1] == signal.SIGVTALRM:
                    return _unjudged("grader_timeout", "stopped at the limit of processor time")
                if late == 2:
                    return _unjudged("grader_timeout", f"no answer within {self.limit:g} s, twice")
                if len(ends) == ATTEMPTS:
                    if all(end in _CRASHES for end in ends):
                        return _unjudged("infra_error", f"this answer ends its grader ({_name(ends[-1])})")
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
        for worker in [self._idle.get() for _ in range(self.size)]:
            if worker is not None:
                self._drop(worker)
            self._idle.put(None)


def _unjudged(verdict: str, reason: str) -> Reply:
    return Reply(judgement=Judgement(verdict, reason))  # type: ignore[arg-type]


def _name(end: int) -> str:
    """The signal, or the exit code, by which a process ended."""
    return signal.Signals(end).name if end > 0 else f"exit {-end}"
