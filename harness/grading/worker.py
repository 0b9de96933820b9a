"""A grading worker: reads one JSON request a line, answers one JSON line; started and killed by the pool.

The process caps its own memory before it reads anything, and its own processor time per request, so that most slow
answers end with a verdict instead of a killed worker. Checkers' prints go to stderr, never into the answers.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from typing import Any

MEMORY = 2 << 30
CPU_SECONDS = 1.0


class TooSlow(BaseException):
    """The processor time of one request is used up. No library's ``except Exception`` stops it."""


class _Clock:
    """Raises TooSlow after CPU_SECONDS of this process's time, and again every tenth of a second until stopped."""

    def __init__(self) -> None:
        self.fired = False
        signal.signal(signal.SIGPROF, self._fire)

    def _fire(self, *_: object) -> None:
        self.fired = True
        raise TooSlow

    def start(self, seconds: float = CPU_SECONDS) -> None:
        self.fired = False
        signal.setitimer(signal.ITIMER_PROF, seconds, 0.1)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError) as error:
        print(f"no memory cap on this platform: {error}", file=sys.stderr)
    logging.disable(logging.WARNING)
    out, sys.stdout = sys.stdout, sys.stderr
    state: dict[str, Any] = {}
    clock = _Clock()
    out.write('{"ready": true}\n')
    out.flush()
    for line in sys.stdin:
        out.write(json.dumps(_answer(line, state, clock)) + "\n")
        out.flush()


def _answer(line: str, state: dict[str, Any], clock: _Clock) -> dict[str, Any]:
    limit = f"no verdict within {CPU_SECONDS:g} s of processor time"
    try:
        request = json.loads(line)
        if request.get("warm"):
            return _load(request["kind"], state)
        try:
            clock.start()
            reply = _serve(request, state)
        finally:
            clock.stop()
    except TooSlow:
        clock.stop()  # it may have fired on the way to the stop above
        return {"verdict": "grader_timeout", "reason": limit}
    except MemoryError:
        return {"verdict": "grader_timeout", "reason": f"more than {MEMORY >> 30} GiB of memory"}
    except RecursionError:
        return {"verdict": "grader_timeout", "reason": "nested too deep for the parser"}
    except Exception as error:
        verdict = "grader_timeout" if type(error).__name__ == "TooLong" else "infra_error"
        name = "" if type(error).__name__ in ("TooLong", "CheckerFailed") else f"{type(error).__name__}: "
        return {"verdict": verdict, "reason": f"{name}{str(error)[:200]}"}
    # A library may have swallowed the signal and answered as if the work had failed.
    return {"verdict": "grader_timeout", "reason": limit} if clock.fired else reply


def _load(kind: str, state: dict[str, Any]) -> dict[str, Any]:
    """Import what the grader of ``kind`` needs and run it once, outside any deadline."""
    if kind == "instructions" and "registry" not in state:
        from harness.grading import instructions

        state["registry"] = instructions.load()
    elif kind == "math":
        from harness.grading import expressions

        expressions.compare("\\frac{\\pi}{2}", "\\pi/2")
    elif kind == "pddl":
        from harness.grading import blocks, pddl

        gold = {
            "domain": blocks.domain_pddl(),
            "problem": blocks.problem_pddl(["a"], [("ontable", "a")], [("ontable", "a")], "blocksworld"),
        }
        pddl.simulate(gold, [("pick-up", "a")])
    return {"warm": kind}


def _serve(request: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    kind, gold, answer = request["kind"], request["gold"], request["answer"]
    if request.get("statements"):
        from harness.grading.statements import statements

        return {"statements": statements("plan" if kind == "pddl" else kind, gold, answer)}
    details: dict[str, Any] = {}
    if kind == "number":
        from harness.grading import numbers

        verdict, reason, stated = numbers.check(str(gold["answer"]), answer, request["cut"])
    elif kind == "math":
        from harness.grading import expressions

        verdict, reason, stated = expressions.check(str(gold["answer"]), answer, request["cut"])
    elif kind in ("plan", "pddl"):
        from harness.grading import plans

        verdict, reason, stated, details = plans.check(gold, answer, request["cut"])
    elif kind == "instructions":
        from harness.grading import instructions

        verdict, reason, stated, details = instructions.check(gold, answer, state["registry"])
    else:
        raise ValueError(f"unknown grader {kind!r}: use number, math, plan or instructions")
    return {"verdict": verdict, "reason": reason, "answer": stated, "details": details}


if __name__ == "__main__":
    main()
