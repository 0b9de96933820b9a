"""Where a trace states an answer, and whether that answer is right: the raw material of over-thinking metrics.

Runs in grading workers: the same graders that give the verdict look at every statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.grading import boxes, expressions, numbers, plans
from harness.grading.messages import Gold, Statement

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


def statements(kind: str, gold: Gold, text: str) -> list[Statement]:
    """Statements of ``text`` in order. Kinds without intermediate answers (instructions) have none."""
    text = text[:LONGEST]
    if kind in ("plan", "pddl"):
        return _plans(gold, text)
    if kind not in ("number", "math"):
        return []
    exact = kind == "number" or numbers.value(str(gold["answer"])) is not None
    return (_numeric if exact else _symbolic)(str(gold["answer"]), text)


def _candidates(text: str, results: Iterable[tuple[int, str]]) -> list[tuple[int, str, bool]]:
    """(end, statement, whether marked as the answer), by end; ``results`` are those on the way."""
    marked = [(end, text[start:end]) for start, end in boxes.boxes(text)]
    marked += [(m.end(), m[1]) for pattern in (_ANSWER, _HASHES) for m in pattern.finditer(text)]
    ends = {end for end, _ in marked}
    stated = [(*each, True) for each in marked] + [(*each, False) for each in results if each[0] not in ends]
    return sorted(stated)[:MOST]


def _numeric(gold: str, text: str) -> list[Statement]:
    wanted = numbers.value(gold)
    out: list[Statement] = []
    for end, stated, explicit in _candidates(text, ((m.end(1), m[1]) for m in _RESULT.finditer(text))):
        given = numbers.value(stated)
        if given is not None:
            out.append(Statement(end, str(given), given == wanted, explicit))
    return out


def _symbolic(gold: str, text: str) -> list[Statement]:
    known: dict[str, bool] = {}
    out: list[Statement] = []
    results = ((m.end(), (m[1] or m[2]).rsplit("=", 1)[-1]) for m in _MATH.finditer(text))
    for end, stated, explicit in _candidates(text, results):
        spelled = expressions.canon(stated[: expressions.LONGEST])
        if not spelled:
            continue
        if spelled not in known and len(known) < MOST_PARSED:
            known[spelled] = expressions.compare(gold, stated)[0] == "correct"
        if spelled in known:
            out.append(Statement(end, spelled, known[spelled], explicit))
    return out


def _plans(gold: Gold, text: str) -> list[Statement]:
    """Every unbroken run of action lines is a plan; a correct one may have more steps behind it that still hold."""
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
