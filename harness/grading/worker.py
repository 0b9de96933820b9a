"""A grading worker: reads one JSON request a line, answers one JSON line; started and killed by the pool.

It caps its own memory, and its processor time per request, so that slow answers end the same way on a busy machine.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys

from harness.grading import expressions, gym, instructions, numeric, plans, premise, simulators, translation
from harness.grading.messages import Judgement, Question, Reply
from harness.processes import follow_parent

MEMORY = 2 << 30
CPU_SECONDS = 1.0
LONGEST_TRACE = 200_000  # characters that are looked at for statements
HARD_CPU_SECONDS = 2.0  # the process ends: library code in C does not see the first limit


class TooSlow(BaseException):
    """The processor time of one request is used up. No library's ``except Exception`` stops it."""


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
    print(json.dumps(Reply()), file=out, flush=True)  # it has started
    for line in sys.stdin:
        print(json.dumps(_reply(line)), file=out, flush=True)


def _reply(line: str) -> Reply:
    """The reply to a question within the limits, or to ``{"load": kind}``, an empty one, without any."""
    fired: list[int] = []

    def fire(number: int, frame: object) -> None:
        fired.append(number)
        raise TooSlow

    signal.signal(signal.SIGPROF, fire)
    try:
        request = json.loads(line)
        if "load" in request:
            _load(request["load"])
            return Reply()
        try:
            _limit(CPU_SECONDS, HARD_CPU_SECONDS)
            reply = _serve(Question(**request))
        finally:
            _limit(0, 0)
        if not fired:  # else a library may have swallowed the signal and answered as if the work had failed
            return reply
    except TooSlow:
        _limit(0, 0)  # it may have fired on the way there
    except MemoryError:
        return Reply(Judgement("grader_timeout", f"more than {MEMORY >> 30} GiB of memory"))
    except RecursionError:
        return Reply(Judgement("grader_timeout", "nested too deep for the parser"))
    except Exception as error:
        return Reply(Judgement("infra_error", f"{type(error).__name__}: {str(error)[:200]}"))
    return Reply(Judgement("grader_timeout", f"no verdict within {CPU_SECONDS:g} s of processor time"))


def _limit(seconds: float, hard: float) -> None:
    """Raise TooSlow after so many seconds of this process's time, and again every tenth of one; 0: no more."""
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.1)
    signal.setitimer(signal.ITIMER_VIRTUAL, hard)  # its signal has no handler: it ends the process


def _load(kind: str) -> None:
    """Import what the grader of ``kind`` needs, outside any deadline."""
    if kind == "instructions":
        instructions.load()
    elif kind == "math":
        expressions.compare("\\frac{\\pi}{2}", "\\pi/2")
    elif kind == "pddl":
        simulators.load_pddl()
    elif kind == "translation":
        translation.check({"reference": "a"}, "a", False)
    elif kind.startswith(gym.GYM):
        gym.data_set(kind.removeprefix(gym.GYM))


def _serve(question: Question) -> Reply:
    kind, gold, answer = question.kind, question.gold, question.answer
    if kind == "instructions":
        return Reply(instructions.check(gold, answer))
    if kind == "translation":
        return Reply(translation.check(gold, answer, question.cut))
    if kind.startswith(gym.GYM):
        return Reply(gym.check(gold, answer, question.cut))
    if kind == "premise" and question.statements:
        return Reply(None, premise.statements(gold, answer[:LONGEST_TRACE]))
    if kind == "premise":
        return Reply(premise.check(gold, answer, question.cut))
    plan = kind in ("plan", "pddl")
    grader = plans if plan else numeric if kind == "number" else expressions
    wanted = gold if plan else str(gold["answer"])
    if question.statements:
        return Reply(None, grader.statements(wanted, answer[:LONGEST_TRACE]))
    return Reply(grader.check(wanted, answer, question.cut))


if __name__ == "__main__":
    main()
