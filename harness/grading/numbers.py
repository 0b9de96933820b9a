"""Final numbers: extraction by marker and exact comparison. No symbolic library and no evaluation of text."""

from __future__ import annotations

import re
from fractions import Fraction

_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
_SENTENCE = re.compile(r"answer\s*(?:is|:|=)\s*\**\s*\$?\s*([-+]?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?)", re.IGNORECASE)
LONGEST = 20_000


def last_box(text: str) -> str | None:
    """Content of the last balanced ``\\boxed{...}``; None when there is none."""
    start = text.rfind("\\boxed{")
    while start >= 0:
        depth = 0
        for i in range(start + 6, len(text)):
            depth += (text[i] == "{") - (text[i] == "}")
            if depth == 0:
                return text[start + 7 : i]
        start = text.rfind("\\boxed{", 0, start)
    return None


def extract(text: str, any_number: bool) -> str | None:
    """The stated answer: last box, then ``####``, then "the answer is", then (``any_number``) the last number."""
    text = text[-LONGEST:]
    box = last_box(text)
    if box is not None:
        return box.strip()
    if "####" in text:
        return text.rsplit("####", 1)[1].strip().split("\n")[0].strip()
    sentences = _SENTENCE.findall(text)
    if sentences:
        return str(sentences[-1])
    numbers = _NUMBER.findall(text) if any_number else []
    return str(numbers[-1]) if numbers else None


def value(text: str) -> Fraction | None:
    """Exact value of a number as written, without currency, percent, thousands marks; None if it is no number."""
    cleaned = text.strip().rstrip(".").replace("\\$", "").replace("$", "").replace("\\%", "").replace("%", "")
    cleaned = cleaned.replace(",", "").replace("\\!", "").strip()
    if len(cleaned) > 100 or not re.fullmatch(r"[-+]?\d+(?:\.\d+)?(?:/\d+)?", cleaned, re.ASCII):
        return None
    try:
        return Fraction(cleaned)
    except (ValueError, ZeroDivisionError):
        return None


def check(gold: str, answer: str, cut: bool) -> tuple[str, str, str]:
    """(verdict, reason, extracted answer). A cut answer is graded only by what it marked as its answer."""
    stated = extract(answer, any_number=not cut)
    if stated is None:
        return "no_answer", "no final number was stated", ""
    given, wanted = value(stated), value(gold)
    if wanted is None:
        raise ValueError(f"gold {gold!r} is not a number")
    if given is None:
        return "wrong", f"{stated[:40]!r} is not a number", stated[:100]
    if given == wanted:
        return "correct", "equal to the gold answer", stated[:100]
    return "wrong", f"{stated[:40]} is not {gold}", stated[:100]
