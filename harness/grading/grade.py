"""``grade()``: one verdict for one response, from persistent worker processes with a hard deadline.

Usable from any thread. A worker past its deadline is killed and replaced; the response gets ``grader_timeout``, which
is neither right nor wrong.
"""

from __future__ import annotations

import hashlib
import json
import queue
import select
import subprocess
import sys
import time
from functools import cache
from typing import Any

from harness.grading.thinking import split
from harness.records import Finish, Grade

# Which grader serves which family of problems.
GRADERS = {
    "mini_math": "number",
    "mini_blocks": "plan",
    "mini_rules": "instructions",
    "gsm8k": "number",
}


class NoGrader(KeyError):
    """A family of problems has no grader; the message names those that have."""

    def __str__(self) -> str:
        return str(self.args[0])


class GraderBroken(RuntimeError):
    """Workers cannot be started here; the message holds what they printed."""


class _Worker:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness.grading.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.warm: set[str] = set()
        if self._read(60.0) is None:
            self.kill()
            raise GraderBroken("a grading worker did not start; run 'python -m harness.grading.worker' to see why")

    def call(self, message: dict[str, Any], limit: float) -> dict[str, Any] | None:
        """The reply, or None when the worker died or ran past ``limit`` seconds."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._read(limit)

    def _read(self, limit: float) -> dict[str, Any] | None:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], limit)
        line = self.process.stdout.readline() if ready else ""
        return dict(json.loads(line)) if line.endswith("\n") else None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


class Grader:
    """A pool of ``workers`` grading processes; ``limit`` seconds per response. A context manager."""

    def __init__(self, workers: int = 1, limit: float = 10.0) -> None:
        self.limit = limit
        self._idle: queue.Queue[_Worker | None] = queue.Queue()
        for _ in range(workers):
            self._idle.put(None)  # started on first use
        self._memo: dict[str, Grade] = {}

    def grade(
        self, family: str, gold: dict[str, Any], response: str, finish: Finish = "stop", prefilled: bool = False
    ) -> Grade:
        """The verdict on ``response``: thinking is split off first, and only the visible answer is graded.

        ``prefilled``: the prompt already opened the think block, so the response starts inside it.
        """
        if finish == "error":
            return Grade(verdict="infra_error", reason="the model call failed")
        parts = split(response, prefilled=prefilled)
        cut = finish in ("length", "context")
        if parts.state == "unclosed":
            why = "cut by the limit inside the thought" if cut else "the thought was never closed"
            return Grade(verdict="unfinished", reason=why, think_state=parts.state)
        if not parts.answer.strip():
            verdict = "unfinished" if cut else "no_answer"
            why = "cut by the limit before an answer" if cut else "the answer is empty"
            return Grade.model_validate({"verdict": verdict, "reason": why, "think_state": parts.state})
        kind = GRADERS.get(family)
        if kind is None:
            raise NoGrader(f"no grader for family {family!r}; known: {', '.join(sorted(GRADERS))}")
        message = {"kind": kind, "gold": gold, "answer": parts.answer, "cut": cut}
        key = hashlib.sha256(json.dumps(message, sort_keys=True).encode()).hexdigest()
        if key not in self._memo:
            self._memo[key] = self._ask(message, kind)
        grade = self._memo[key]
        if cut and grade.verdict == "no_answer":
            grade = grade.model_copy(update={"verdict": "unfinished", "reason": "cut by the limit before an answer"})
        return grade.model_copy(update={"think_state": parts.state})

    def _ask(self, message: dict[str, Any], kind: str) -> Grade:
        worker = self._idle.get()
        started = time.monotonic()
        try:
            worker = worker or _Worker()
            if kind not in worker.warm:
                loaded = worker.call({"kind": kind, "warm": True}, 120.0) or {"reason": "its worker died"}
                if loaded.get("warm") != kind:
                    raise GraderBroken(f"the {kind} grader cannot be loaded: {loaded.get('reason')}")
                worker.warm.add(kind)
            started = time.monotonic()
            reply = worker.call(message, self.limit)
            if reply is None:
                worker.kill()
                worker = None
                reply = {"verdict": "grader_timeout", "reason": f"no verdict within {self.limit:g} s or out of memory"}
        except BaseException:
            if worker is not None:
                worker.kill()
                worker = None
            raise
        finally:
            self._idle.put(worker)
        return Grade.model_validate(reply | {"seconds": round(time.monotonic() - started, 4)})

    def close(self) -> None:
        for _ in range(self._idle.qsize()):
            worker = self._idle.get()
            if worker is not None:
                worker.kill()
            self._idle.put(None)

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@cache
def shared_grader() -> Grader:
    """The grader of this process, for callers that cannot be handed one (lm-eval's task functions)."""
    import atexit

    grader = Grader()
    atexit.register(grader.close)
    return grader
