"""A grading worker: reads one JSON request a line, answers one JSON line; started and killed by the pool.

The process caps its own memory before it reads anything. Checkers' prints go to stderr, never into the answers.
"""

from __future__ import annotations

import json
import sys
from typing import Any

MEMORY = 2 << 30


def main() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError) as error:
        print(f"no memory cap on this platform: {error}", file=sys.stderr)
    out, sys.stdout = sys.stdout, sys.stderr
    state: dict[str, Any] = {}
    out.write('{"ready": true}\n')
    out.flush()
    for line in sys.stdin:
        try:
            reply = _serve(json.loads(line), state)
        except Exception as error:
            reply = {"verdict": "infra_error", "reason": f"grader failed: {type(error).__name__}: {str(error)[:200]}"}
        out.write(json.dumps(reply) + "\n")
        out.flush()


def _serve(request: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    kind = request["kind"]
    if kind == "instructions" and "registry" not in state:
        from harness.grading import instructions

        state["registry"] = instructions.load()
    if request.get("warm"):
        return {"warm": kind}
    gold, answer = request["gold"], request["answer"]
    details: dict[str, Any] = {}
    if kind == "number":
        from harness.grading import numbers

        verdict, reason, stated = numbers.check(str(gold["answer"]), answer, request["cut"])
    elif kind == "plan":
        from harness.grading import plans

        verdict, reason, stated, details = plans.check(gold, answer)
    elif kind == "instructions":
        from harness.grading import instructions

        verdict, reason, stated, details = instructions.check(gold, answer, state["registry"])
    else:
        raise ValueError(f"unknown grader {kind!r}: use number, plan or instructions")
    return {"verdict": verdict, "reason": reason, "answer": stated, "details": details}


if __name__ == "__main__":
    main()
