"""The ``number`` grader: the stated number against the gold answer, exactly, and the numbers that a trace states."""

from __future__ import annotations

import re

from harness.grading.answers import read
from harness.grading.boxes import candidates
from harness.grading.messages import Judgement, Statement
from harness.grading.notation import ascii_digits
from harness.grading.numbers import number, value

_NUMBER = r"[-+−]?\$?\d[\d,]*+(?:\.\d++)?(?:/\d++)?(?![\d.,]*+[A-Za-z_]++\d|\d|[.,]\d)"
_LEADS_TO = r"=|→|\b(?:is|are|be|gives?|gets?|makes?|left|equals?|total|totals|of)\b:?|:"
_RESULT = re.compile(rf"(?:{_LEADS_TO})\s*\**\\?\$?\s*({_NUMBER})", re.ASCII | re.IGNORECASE)


def check(gold: str, answer: str, cut: bool) -> Judgement:
    """The judgement of an answer. A cut answer is graded by what it marked and closed before the cut."""
    wanted = value(gold)
    if wanted is None:
        raise ValueError(f"gold {gold!r} is not a number")
    stated = read(answer, cut)
    if stated is None:
        return Judgement("no_answer", "no final number was stated", "")
    given = number(stated.single())
    if given == wanted:
        return Judgement("correct", "equal to the gold answer", stated.text[:100], details={"how": stated.how})
    why = f"{stated.text[:40]!r} is not a number" if given is None else f"{stated.text[:40]} is not {gold}"
    return Judgement("wrong", why, stated.text[:100], details={"how": stated.how})


def statements(gold: str, text: str) -> list[Statement]:
    """The numbers that a trace states, each judged."""
    wanted, text = value(gold), ascii_digits(text)
    results = ((m.end(1), m[1]) for m in _RESULT.finditer(text))
    stated = ((end, value(given), marked) for end, given, marked in candidates(text, results))
    return [Statement(end, str(n), n == wanted, marked) for end, n, marked in stated if n is not None]
