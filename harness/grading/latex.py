"""Pieces of LaTeX around a value: words, units, thousands, degrees. What both graders of values strip is written once.

The two differ where a number is read from prose (``numbers``) and where an expression is compared (``expressions``).
"""

from __future__ import annotations

import re

_WORDS = "text|mathrm|textbf|mathbf|mbox|operatorname"
_UNIT = r"\\(?:text|mathrm|mbox)\s*\{"
_POWER = r"(?:\^\{?\d\}?)?"  # of a unit, as in cm^2
DEGREE = r"\^?\s?\{?\s?\\circ\s?\}?|°"


def _wrapped(commands: str) -> re.Pattern[str]:
    return re.compile(rf"\\(?:{commands})\s*\{{([^{{}}]*)\}}")


# A word in a command; in expressions also where it is set in italics.
WORDS = _wrapped(_WORDS)
WORDS_IN_EXPRESSION = _wrapped(f"{_WORDS}|textit|textnormal")

# Units at the end: any number of any text behind a number in prose; one of letters behind an expression.
UNITS = re.compile(rf"(?<=[\d}}\s,;])(?:\s*/?\s*{_UNIT}[^{{}}]*\}}{_POWER})+\s*$")
UNIT_OF_EXPRESSION = re.compile(rf"(?<=[\d}}])\s*{_UNIT}\s*[a-zA-Z .^\d/]*\}}{_POWER}\s*$")

# Thousands: a whole grouped number in prose; the mark alone in an expression, where "1,234" may stand among others.
_MARK = r"(?:\\[,;!: ]|\{,\}|,\\! ?|[,\u00a0\u2009\u202f ])"
GROUPED = re.compile(rf"(?<![\d.,])\d{{1,3}}(?:{_MARK}\d{{3}})+(?!\d|,\d)")
MARK_IN_EXPRESSION = re.compile(r"(?<=\d)(?:(?<!\\)\\[,!;: ]|\{,\}|,\\!\s*|,|\s)(?=\d{3}(?!\d))")

SPACES = re.compile(r"(?<!\\)\\[,;:! ]|\\q?quad(?![a-z])|~|\u00a0|\u2009|\u202f")
DEGREES = re.compile(rf"{DEGREE}|\\degree")
