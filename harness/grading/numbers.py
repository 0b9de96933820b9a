"""Final numbers: extraction by marker and exact comparison. No symbolic library and no evaluation of text."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from harness.grading.boxes import LONGEST, candidates, closed_before_cut, marked
from harness.grading.messages import Judgement, Statement

# Pieces of LaTeX around a value, in a number that is read from prose and in an expression that is compared.
_COMMANDS = "text|mathrm|textbf|mathbf|mbox|operatorname"
WORDS = re.compile(rf"\\(?:{_COMMANDS})\s*\{{([^{{}}]*)\}}")
WORDS_IN_EXPRESSION = re.compile(rf"\\(?:{_COMMANDS}|textit|textnormal)\s*\{{([^{{}}]*)\}}")
# Units at the end: any number of any text behind a number in prose; one of letters behind an expression.
_UNIT = r"\\(?:text|mathrm|mbox)\s*\{"
_POWER = r"(?:\^\{?\d\}?)?"  # of a unit, as in cm^2
UNITS = re.compile(rf"(?<=[\d}}\s,;])(?:\s*/?\s*{_UNIT}[^{{}}]*\}}{_POWER})+\s*$")
UNIT_OF_EXPRESSION = re.compile(rf"(?<=[\d}}])\s*{_UNIT}\s*[a-zA-Z .^\d/]*\}}{_POWER}\s*$")
# Thousands: a whole grouped number in prose; the mark alone in an expression, where "1,234" may stand among others.
_MARK = r"(?:\\[,;!: ]|\{,\}|,\\! ?|[,\u00a0\u2009\u202f ])"
GROUPED = re.compile(rf"(?<![\d.,])\d{{1,3}}(?:{_MARK}\d{{3}})+(?!\d|,\d)")
MARK_IN_EXPRESSION = re.compile(r"(?<=\d)(?:(?<!\\)\\[,!;: ]|\{,\}|,\\!\s*|,|\s)(?=\d{3}(?!\d))")
DEGREE = r"\^?\s?\{?\s?\\circ\s?\}?|°"

_PLAIN = r"[-+−]?\$?\d[\d,]*+(?:\.\d++)?(?:/\d++)?"
# Not a part of a longer token: neither of 1e9 nor of x2 nor of 3.1.4.
_ALONE = r"(?![\d.,]*+[A-Za-z_]++\d|\d|[.,]\d)"
NUMBER = re.compile(rf"(?<![\w.])(?:{_PLAIN}|[-+−]?\.\d+){_ALONE}", re.ASCII)
_EXACT = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:/\d+)?", re.ASCII)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*([-+]?\d+)\s*\}\s*\{\s*(\d+)\s*\}")
_MIXED = re.compile(
    r"(?<![\d.,/\\])(\d{1,9}) ?(?:\\[dt]?frac *\{ *(\d{1,9}) *\} *\{ *(\d{1,9}) *\}|(?<= )(\d{1,9})/(\d{1,9})(?![\d/]))"
)
_DASHES = str.maketrans(dict.fromkeys("−–‐‑", "-"))
# What makes a text with one number in it an expression rather than a number with its unit; "/" may stand in both.
_OPERATION = re.compile(r"[\\^*!_\[\]{}+<>|±]|/(?![A-Za-z\d])|(?<!\d)/(?=\d)|\d ?[xyzn]\b|[\w)] ?- ")
# What makes it a bound, or no answer.
_BOUND = re.compile(
    r"\bnot\b|\b(?:at least|at most|(?:less|more|fewer|greater) than) *-?[\d.]|\d or (?:more|fewer|less)\b"
)
_BLANKS = re.compile(rf"{DEGREE}|\\[,;: ]|~|[*`]")
_LEADS_TO = r"=|→|\b(?:is|are|be|gives?|gets?|makes?|left|equals?|total|totals|of)\b:?|:"
_RESULT = re.compile(rf"(?:{_LEADS_TO})\s*\**\\?\$?\s*({NUMBER.pattern})", re.ASCII | re.IGNORECASE)
TUPLE = re.compile(r"[(\[].*,.*[)\]]")
MOST_DIGITS = 100


def value(text: str) -> Fraction | None:
    """Exact value of a number as written, without currency, units, thousands marks; None if it is no single number."""
    if len(text) > 10 * MOST_DIGITS or TUPLE.fullmatch(text.strip()):
        return None
    cleaned = _tidy(text)
    if cleaned.count("=") > 1 and re.search(r"[,;]|\b(?:and|or)\b", cleaned):
        return None  # several equations
    cleaned = cleaned.rsplit("=", 1)[-1].strip().rstrip(".").strip()
    cleaned = re.sub(r"^([-+]?) ?\( ?([^()]*?) ?\)$", r"\1\2", cleaned)
    cleaned = re.sub(r"^([-+]) (?=[\d.])", r"\1", cleaned)
    if not _EXACT.fullmatch(cleaned):
        written = [number.rstrip(",") for number in NUMBER.findall(cleaned)]
        if len(written) != 1 or "," in written[0] or _OPERATION.search(cleaned) or _BOUND.search(cleaned):
            return None
        cleaned = written[0]
    if len(cleaned) > MOST_DIGITS:
        return None
    try:
        return Fraction(cleaned)
    except (ValueError, ZeroDivisionError):
        return None


def _tidy(text: str) -> str:
    """One spelling of signs, fractions, thousands and spaces; units and currency as plain words or gone."""
    out = unicodedata.normalize("NFKC", " ".join(UNITS.sub("", text).split())).translate(_DASHES)
    out = WORDS.sub(r" \1 ", out.replace("\\$", "").replace("$", ""))
    out = re.sub(r"\b(?:minus|negative) +(?=[\d.(])", "-", out, flags=re.IGNORECASE)
    out = _FRACTION.sub(r"\1/\2", _MIXED.sub(_improper, out))
    out = GROUPED.sub(lambda match: re.sub(r"\D", "", match.group()), out)
    out = out.replace("\\%", "").replace("%", "").replace("\\!", "")
    out = _BLANKS.sub(" ", out)
    return " ".join(out.split())


def _improper(match: re.Match[str]) -> str:
    """4 2/3 as 14/3."""
    whole, top, bottom = match[1], match[2] or match[4], match[3] or match[5]
    return f"{int(whole) * int(bottom) + int(top)}/{bottom}" if int(top) < int(bottom) else match[0]


def extract(text: str, any_number: bool) -> str | None:
    """The stated answer: box, ``####``, a sentence with "answer", then (``any_number``) the last number of the text."""
    stated = marked(text)
    if stated is not None and (value(stated) is not None or "\\boxed" in text):
        return stated
    if stated is not None and not stated.startswith("not "):
        written = NUMBER.findall(stated.rsplit("=", 1)[-1])
        if written:  # "$18 because 3 eggs are eaten", but "that 9 eggs bring 18 dollars" and "$9 + $9 = $18"
            starts = "=" in stated or re.match(r"\W*" + re.escape(written[0]), stated)
            goes_on = re.match(r"\W*[-+]?\$?[\d.,]+ (?:\w+ )?(?:at|times|and|plus|each)\b", stated)
            return str(written[0] if starts and not goes_on else written[-1])
    numbers = NUMBER.findall(text[-LONGEST:]) if any_number else []
    return str(numbers[-1]) if numbers else stated


def check(gold: str, answer: str, cut: bool) -> Judgement:
    """The judgement of an answer. A cut answer is graded by what it marked and closed before the cut."""
    wanted = value(gold)
    if wanted is None:
        raise ValueError(f"gold {gold!r} is not a number")
    stated = extract(closed_before_cut(answer) if cut else answer, any_number=not cut)
    if stated is None:
        return Judgement("no_answer", "no final number was stated", "")
    given = value(stated)
    if given == wanted:
        return Judgement("correct", "equal to the gold answer", stated[:100])
    why = f"{stated[:40]!r} is not a number" if given is None else f"{stated[:40]} is not {gold}"
    return Judgement("wrong", why, stated[:100])


def statements(gold: str, text: str) -> list[Statement]:
    """The numbers that a trace states, each judged."""
    wanted = value(gold)
    results = ((m.end(1), m[1]) for m in _RESULT.finditer(text))
    stated = ((end, value(given), marked) for end, given, marked in candidates(text, results))
    return [Statement(end, str(n), n == wanted, marked) for end, n, marked in stated if n is not None]
