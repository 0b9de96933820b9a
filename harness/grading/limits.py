"""What is not handed to the parser of formulas, because it could cost it seconds or memory without bound."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate

LONGEST = 1_000  # the longest gold answer of the MATH test set has 81 characters
DEEPEST = 24
MOST_DIGITS = 60
MOST_FUNCTIONS = 24
MOST_BARS = 24

# A tower (a power in an exponent), a large exponent, or an exponential of exponentials.
_POWER = re.compile(
    r"\^\s*\{[^{}]*\^(?!\s*\\circ)|\^\s*\w\s*\^|\*\*\s*\w+\s*\*\*|(?:\^|\*\*)\s*[{(]?\s*-?\d{4,}|\)\s*(?:\^|\*\*)\s*\{?\s*\d{3,}"
    r"|exp[^+*-]*exp[^+*-]*exp"
)
_HEAVY = re.compile(
    r"\\(?:int|iint|oint|sum|prod|lim|gcd|lcm|d?t?binom|zeta|Gamma)(?![a-zA-Z])|\d{4,}\s*!|[)!]\s*!|(?:_\s*\{[^{}]*){4}"
    r"|[A-Za-z]{40,}"
)
_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc|log|ln|exp|arc[a-z]+|sqrt|frac)")


def beyond(text: str) -> str:
    """Why an answer is not handed to the parser; empty if it is within the limits."""
    text = text[: LONGEST + 1]
    heavy, deepest = _HEAVY.search(text), max(depths(text), default=0)
    digits = max(map(len, re.findall(r"\d+", text)), default=0)
    limits = (
        (len(text) > LONGEST, f"longer than {LONGEST} characters"),
        (_POWER.search(text), "a power of a power, or a large exponent"),
        (heavy, f"an unevaluated {heavy and heavy.group()[:20]!r}"),
        (digits > MOST_DIGITS, f"a number of {digits} digits"),
        (deepest > DEEPEST, f"nested {deepest} deep"),
        (len(_FUNCTION.findall(text)) > MOST_FUNCTIONS, f"more than {MOST_FUNCTIONS} functions"),
        (text.count("|") > MOST_BARS, f"more than {MOST_BARS} bars"),
        (text.count("&") > 100 or text.count(",") > 100, "more than 100 entries"),
    )
    return next((why for passed, why in limits if passed), "")


def depths(text: str) -> Iterator[int]:
    """How many brackets are open after each character."""
    return accumulate((char in "([{") - (char in ")]}") for char in text)
