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
from contextlib import suppress
from pathlib import Path
from typing import Self

from harness.errors import GraderBroken
from harness.grading.messages import Judgement, Question, Reply

WALL_SECONDS = 60.0  # only for workers that are blocked: the limit of processor time is a thirtieth of this
LOAD_SECONDS = 600.0
ATTEMPTS = 3  # at one question, when workers die
REMEMBERED = 32 << 20  # bytes of replies
# Signals by which a process ends through a fault of its own, and not by somebody else's doing.
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


class _Worker:
    """A process, started by the first question and by the first after it ended; starting it does not wait.

    It is in a session of its own, so that Ctrl-C in a terminal does not reach it, and ends with this process. Raised
    are EOFError when it has died, TimeoutError when it does not answer in time, GraderBroken once ``stop`` was called.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def _start(self) -> None:
        with self._lock:
            if self._stopped:
                raise GraderBroken("grading was stopped before this answer was judged")
            # -P: the user's folder is not searched for modules, so no file there is taken for one of ours.
            self._process = process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", "harness.grading.worker", str(os.getpid())], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | self._environment,
                start_new_session=True,
            )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self._loaded: set[str] = set()
        self._loading: list[str] = ["first"]
        self._buffer = b""

    def load(self, kind: str) -> None:
        """Have the grader of ``kind`` imported, without waiting for it. A dead process is noticed by the next call."""
        if self._process is None:
            self._start()
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
        except OSError:
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

    def end(self) -> int:
        """End the process, if there is one; returns minus the signal, or the exit code, by which it ended."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.kill()  # of no effect on one that has died
        with suppress(OSError), process:  # closes its pipes: what was still to be written went with the process
            pass
        return process.wait()

    def stop(self) -> None:
        """End the process for good, from any thread; one that waits for its answer gets EOFError."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()


class Pool:
    """``workers`` processes, started on first use; usable from any thread; a context manager.

    ``limit``: seconds of wall clock for a question. ``nltk_data``: where NLTK's sentence splitter lies, for two kinds
    of instruction.
    """

    def __init__(self, workers: int = 1, limit: float = WALL_SECONDS, nltk_data: Path | None = None) -> None:
        environment = {} if nltk_data is None else {"NLTK_DATA": str(nltk_data)}
        self.limit = limit
        self._workers = [_Worker(environment) for _ in range(workers)]
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[Reply, int]] = {}
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
                    self.remembered -= self._known.pop(next(iter(self._known)))[1]
        return reply

    def preload(self, kind: str) -> None:
        """Start all workers and have them load ``kind``, without waiting."""
        for idle in [self._idle.get() for _ in self._workers]:
            idle.load(kind)
            self._idle.put(idle)

    def _ask(self, question: Question) -> Reply:
        worker, late, ends = self._idle.get(), 0, list[int]()
        try:
            while True:
                try:
                    return worker.call(question, self.limit)
                except TimeoutError:
                    late += 1
                    worker.end()
                except EOFError:
                    ends.append(-worker.end())
                if ends[-1:] == [signal.SIGVTALRM]:
                    return Reply(Judgement("grader_timeout", "stopped at the limit of processor time"))
                if late == 2:
                    return Reply(Judgement("grader_timeout", f"no answer within {self.limit:g} s, twice"))
                if len(ends) == ATTEMPTS:
                    names = [signal.Signals(end).name if end > 0 else f"exit {-end}" for end in ends]
                    if set(ends) <= _CRASHES:
                        return Reply(Judgement("infra_error", f"this answer ends its grader ({names[-1]})"))
                    raise GraderBroken(
                        f"grading processes die ({', '.join(names)}), perhaps for want of memory; or run "
                        "'python -m harness.grading.worker' to see whether one starts"
                    )
        except BaseException:
            worker.end()
            raise
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End all workers, also those at work: their questions end with GraderBroken, not with a verdict."""
        for worker in self._workers:
            worker.stop()
        for worker in [self._idle.get() for _ in self._workers]:
            worker.end()
            self._idle.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
