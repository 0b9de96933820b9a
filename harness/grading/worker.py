"""A grading worker: reads one JSON request a line, answers one JSON line; started and killed by the pool.

The process caps its own memory before it reads anything, and its own processor time per request, so that slow answers
end the same way on an idle and on a busy machine. Checkers' prints go to stderr, never into the answers.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys
from typing import Any

from harness.grading import expressions, instructions, numbers, pddl, plans
from harness.grading.messages import Judgement
from harness.grading.statements import statements
from harness.processes import follow_parent

MEMORY = 2 << 30
CPU_SECONDS = 1.0
HARD_CPU_SECONDS = 2.0  # the process ends: library code in C does not see the first limit

Message = dict[str, Any]  # a line of JSON (``messages``)


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

    def start(self) -> None:
        self.fired = False
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS, 0.1)
        signal.setitimer(signal.ITIMER_VIRTUAL, HARD_CPU_SECONDS)  # its signal has no handler: it ends the process

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def main() -> None:
    if len(sys.argv) > 1:
        follow_parent(int(sys.argv[1]))
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ValueError, OSError) as error:
        print(f"no memory cap on this platform: {error}", file=sys.stderr)
    logging.disable(logging.WARNING)
    out, sys.stdout = sys.stdout, sys.stderr
    clock = _Clock()
    out.write('{"loaded": "first"}\n')
    out.flush()
    for line in sys.stdin:
        out.write(json.dumps(_answer(line, clock)) + "\n")
        out.flush()


def _answer(line: str, clock: _Clock) -> Message:
    slow = Judgement("grader_timeout", f"no verdict within {CPU_SECONDS:g} s of processor time")
    try:
        request = json.loads(line)
        if "load" in request:
            return _load(request["load"])
        try:
            clock.start()
            reply = _serve(request)
        finally:
            clock.stop()
    except TooSlow:
        clock.stop()  # it may have fired on the way to the stop above
        return {"judgement": slow}
    except MemoryError:
        return {"judgement": Judgement("grader_timeout", f"more than {MEMORY >> 30} GiB of memory")}
    except RecursionError:
        return {"judgement": Judgement("grader_timeout", "nested too deep for the parser")}
    except instructions.TooLong as error:
        return {"judgement": Judgement("grader_timeout", str(error))}
    except Exception as error:
        name = "" if isinstance(error, instructions.CheckerFailed) else f"{type(error).__name__}: "
        return {"judgement": Judgement("infra_error", f"{name}{str(error)[:200]}")}
    # A library may have swallowed the signal and answered as if the work had failed.
    return {"judgement": slow} if clock.fired else reply


def _load(kind: str) -> Message:
    """Import what the grader of ``kind`` needs, outside any deadline."""
    if kind == "instructions":
        instructions.load()
    elif kind == "math":
        expressions.compare("\\frac{\\pi}{2}", "\\pi/2")
    elif kind == "pddl":
        pddl.simulate(pddl.SMALLEST, [("a",)])
    return {"loaded": kind}


def _serve(request: Message) -> Message:
    if request["statements"]:
        return {"statements": statements(request["kind"], request["gold"], request["answer"])}
    kind, gold, answer, cut = (request[name] for name in ("kind", "gold", "answer", "cut"))
    if kind == "number":
        judgement = numbers.check(str(gold["answer"]), answer, cut)
    elif kind == "math":
        judgement = expressions.check(str(gold["answer"]), answer, cut)
    elif kind in ("plan", "pddl"):
        judgement = plans.check(gold, answer, cut)
    else:
        judgement = instructions.check(gold, answer)
    return {"judgement": judgement}


if __name__ == "__main__":
    main()
