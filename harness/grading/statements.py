"""Where a trace states an answer, and whether that answer is right: the raw material of over-thinking metrics.

Runs in grading workers: the same graders that give the verdict look at every statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.grading import boxes, expressions, numbers
from harness.grading.messages import Statement

LONGEST = 200_000
MOST = 2_000  # statements of one trace
MOST_PARSED = 48  # distinct expressions handed to Math-Verify

_RESULT = re.compile(
    r"(?:=|→|\b(?:is|are|be|gives?|gets?|makes?|left|equals?|total|totals|of)\b:?|:)\s*\**\\?\$?\s*("
    + numbers.NUMBER.pattern
    + ")",
    re.ASCII | re.IGNORECASE,
)
_ANSWER = re.compile(r"\banswer\b[^.\n:=]{0,40}?(?:\bis\b|:|=)\s*\**\s*\\?\$?([^\n.;$]{1,80})", re.IGNORECASE)
_HASHES = re.compile(r"####\s*([^\n]{1,80})")
_MATH = re.compile(r"\$([^$\n]{1,200})\$|\\\(([^\n]{1,200}?)\\\)")


def statements(kind: str, gold: Mapping[str, Any], text: str) -> list[Statement]:
    """Statements of ``text`` in order. Kinds without intermediate answers (instructions) have none."""
    text = text[:LONGEST]
    if kind == "number":
        return _numeric(str(gold["answer"]), text)
    if kind == "math":
        exact = numbers.value(str(gold["answer"])) is not None
        return _numeric(str(gold["answer"]), text) if exact else _symbolic(str(gold["answer"]), text)
    if kind == "plan":
        return _plans(gold, text)
    return []


def _marked(text: str) -> list[tuple[int, str]]:
    found = [(end, text[start:end]) for start, end in boxes.boxes(text)]
    found += [(m.end(), m[1]) for pattern in (_ANSWER, _HASHES) for m in pattern.finditer(text)]
    return found


def _numeric(gold: str, text: str) -> list[Statement]:
    wanted = numbers.value(gold)
    found = [(end, stated, True) for end, stated in _marked(text)]
    ends = {end for end, _, _ in found}
    found += [(m.end(1), m[1], False) for m in _RESULT.finditer(text) if m.end(1) not in ends]
    out: list[Statement] = []
    for end, stated, explicit in sorted(found)[:MOST]:
        given = numbers.value(stated)
        if given is not None:
            out.append(Statement(end, str(given), given == wanted, explicit))
    return out


def _symbolic(gold: str, text: str) -> list[Statement]:
    found = [(end, stated, True) for end, stated in _marked(text)]
    ends = {end for end, _, _ in found}
    for match in _MATH.finditer(text):
        if match.end() not in ends:
            found.append((match.end(), (match[1] or match[2]).rsplit("=", 1)[-1], False))
    known: dict[str, bool] = {}
    out: list[Statement] = []
    for end, stated, explicit in sorted(found)[:MOST]:
        spelled = expressions.canon(stated[: expressions.LONGEST])
        if not spelled:
            continue
        if spelled not in known and len(known) < MOST_PARSED:
            known[spelled] = expressions.compare(gold, stated)[0] == "correct"
        if spelled in known:
            out.append(Statement(end, spelled, known[spelled], explicit))
    return out


def _plans(gold: Mapping[str, Any], text: str) -> list[Statement]:
    """Every unbroken run of action lines is a plan; a correct one may have more steps behind it that still hold."""
    from harness.grading import plans

    out: list[Statement] = []
    at = start = 0
    block: list[str] = []
    for line in [*text.splitlines(keepends=True), ""]:
        if line and plans.holds_action(line, gold):
            block.append(line)
        elif block and (line.strip() or not line):
            verdict, _, plan, _ = plans.check(gold, "".join(block))
            out.append(Statement(start, plan, verdict == "correct", False))
            block = []
        at += len(line)
        if block:
            start = at
        if len(out) >= 100:
            break
    return out
