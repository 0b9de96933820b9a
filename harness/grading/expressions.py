"""LaTeX answers: our extraction and limits, Math-Verify's equivalence (github.com/huggingface/Math-Verify), in workers.

Nothing here evaluates text as Python: what reaches the parser, an ANTLR grammar, is LaTeX within ``beyond``'s limits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from typing import Any

from harness.grading import numbers
from harness.grading.boxes import candidates, closed_before_cut, last_expression, marked
from harness.grading.messages import Judgement, Statement
from harness.grading.numbers import NUMBER, TUPLE, WORDS_IN_EXPRESSION, value

LONGEST = 1_000  # the longest gold answer of the MATH test set has 81 characters
DEEPEST = 24
MOST_DIGITS = 60

# A tower (a power in an exponent), a large exponent, or an exponential of exponentials.
_POWER = re.compile(
    r"\^\s*\{[^{}]*\^|\^\s*\w\s*\^|\*\*\s*\w+\s*\*\*|(?:\^|\*\*)\s*[{(]?\s*\d{4,}|\)\s*(?:\^|\*\*)\s*\{?\s*\d{3,}"
    r"|exp[^+*-]*exp[^+*-]*exp"
)
_HEAVY = re.compile(
    r"\\(?:int|iint|oint|sum|prod|lim|gcd|lcm|d?t?binom|zeta|Gamma)(?![a-zA-Z])|\d{4,}\s*!|[)!]\s*!|(?:_\s*\{[^{}]*){4}"
    r"|[A-Za-z]{40,}"
)
_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc|log|ln|exp|arc[a-z]+|sqrt|frac)")
MOST_FUNCTIONS = 24
MOST_PARSED = 48  # distinct expressions of one trace
_MATH = re.compile(r"\$([^$\n]{1,200})\$|\\\(([^\n]{1,200}?)\\\)")
_MODULUS = re.compile(r"\\pmod(?![a-zA-Z]).*$")
_SPACES = re.compile(r"(?<!\\)\\[,;:! ]|\\q?quad(?![a-z])|~|\u00a0|\u2009|\u202f")
_DEGREES = re.compile(rf"{numbers.DEGREE}|\\degree")
_VARIABLE = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")


def canon(text: str) -> str:
    """A spelling in which answers that differ only in typesetting are the same string."""
    out = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip().strip("$").replace("−", "-")
    out = re.sub(r"\s*\\\\\s*", r" \\\\ ", out)  # row breaks of a matrix, however they are spaced
    out = numbers.UNIT_OF_EXPRESSION.sub("", out)
    out = out if TUPLE.fullmatch(out) else numbers.MARK_IN_EXPRESSION.sub("", out)
    out = _SPACES.sub(" ", out)
    out = re.sub(r"\\(?:left|right|displaystyle|bigl?|bigr|Bigl?|Bigr)(?![a-zA-Z])", "", out)
    out = re.sub(r"\\[dt]frac(?![a-zA-Z])", r"\\frac", out)
    out = _DEGREES.sub("", out).replace("\\$", "").replace("\\%", "").replace("%", "")
    return re.sub(r"\s+", " ", out).strip().rstrip(".").strip()


def words(text: str) -> str | None:
    """The letters of an answer in words (a name, a day, a choice), lower case; None if it is not one."""
    plain = _plain(text)
    named = re.fullmatch(r"(?=.*[a-z]{2})[a-z]+(?:[ .,'-]+[a-z]{2,}|[ .,']+[a-z]+)*[.']?", plain) or (
        "\\text" in text and re.fullmatch(r"[a-z][a-z0-9 .,'-]*", plain)
    )
    return plain if named else None


def _plain(text: str) -> str:
    return WORDS_IN_EXPRESSION.sub(r"\1", text).strip().strip("().\"' ").lower()


def beyond(text: str) -> str:
    """Why an answer is not handed to the parser; empty if it is within the limits."""
    text = text[: LONGEST + 1]
    heavy, deepest = _HEAVY.search(text), max(_depths(text), default=0)
    digits = max(map(len, re.findall(r"\d+", text)), default=0)
    limits = (
        (len(text) > LONGEST, f"longer than {LONGEST} characters"),
        (_POWER.search(text), "a power of a power, or a large exponent"),
        (heavy, f"an unevaluated {heavy and heavy.group()[:20]!r}"),
        (digits > MOST_DIGITS, f"a number of {digits} digits"),
        (deepest > DEEPEST, f"nested {deepest} deep"),
        (len(_FUNCTION.findall(text)) > MOST_FUNCTIONS, f"more than {MOST_FUNCTIONS} functions"),
        (text.count("&") > 100 or text.count(",") > 100, "more than 100 entries"),
    )
    return next((why for passed, why in limits if passed), "")


def check(gold: str, answer: str, cut: bool) -> Judgement:
    """The judgement of an answer: of its last box, else its marked answer, else its last expression or number.

    A cut answer is graded by what it marked and closed before the cut. Raises ValueError for a gold answer that cannot
    be parsed.
    """
    stated = marked(closed_before_cut(answer) if cut else answer)
    if stated is None and not cut:
        stated = last_expression(answer) or next(reversed(NUMBER.findall(answer[-400:])), None)
    if stated is None:
        return Judgement("no_answer", "no final answer was stated", "")
    return compare(gold, stated)._replace(answer=stated[:200])


def compare(gold: str, stated: str) -> Judgement:
    """The judgement of an answer already extracted."""
    if len(stated) > LONGEST:
        return Judgement("wrong", f"not compared: longer than {LONGEST} characters")
    wanted, given = canon(gold), canon(stated)
    if given == wanted or given.replace(" ", "") == wanted.replace(" ", ""):
        return Judgement("correct", "written as the gold answer")
    if words(wanted) is not None:
        if _plain(wanted) == _plain(given):
            return Judgement("correct", "the same words")
        return Judgement("wrong", "other words than the gold answer")
    exact = value(given), value(wanted)
    letters = re.search(r"[A-Za-z]", wanted) or _VARIABLE.search(WORDS_IN_EXPRESSION.sub("", given))
    if None not in exact and not letters:
        if exact[0] == exact[1]:
            return Judgement("correct", "equal numbers")
        return Judgement("wrong", f"{given[:40]} is not {wanted[:40]}")
    if limit := beyond(given):
        return Judgement("wrong", f"not compared: {limit}")
    if shape := _other_shape(wanted, given):
        return Judgement("wrong", shape)
    if _equal(wanted, given):
        return Judgement("correct", "equivalent to the gold answer (Math-Verify)")
    return Judgement("wrong", f"not equivalent to {wanted[:60]}")


def _other_shape(wanted: str, given: str) -> str:
    """Differences that Math-Verify would pass over: numbers side by side, brackets of another kind, extra entries."""
    pairs = ("(", ")"), ("[", "]"), ("\\{", "\\}"), ("(", "]"), ("[", ")")
    kinds = [[p for p in pairs if text.startswith(p[0]) and text.endswith(p[1])] for text in (wanted, given)]
    several = not _commas(wanted) and _commas(given) and "\\pm" not in wanted
    shapes = (
        (re.search(r"\d\s+\d", given), "several numbers without a separator"),
        (re.search(r"\\bmod(?![a-z])", given) and "bmod" not in wanted, "an unevaluated remainder"),
        (len(wanted) == len(given) == 1, f"{given} is not {wanted}"),
        (_base(given) not in ("", _base(wanted)), "a number in another base"),
        (several, "several answers where the gold answer is one"),
        (all(kinds) and kinds[0] != kinds[1] and "," in wanted[1:-1], "other brackets than the gold answer"),
    )
    return next((why for differs, why in shapes if differs), "")


def _base(text: str) -> str:
    """The base that is written at a number, ``_8`` or ``_{8}``; empty if there is none."""
    match = re.fullmatch(r"\d+\s*_\s*\{?\s*(\d+)\s*\}?", WORDS_IN_EXPRESSION.sub(r"\1", text))
    return match[1] if match else ""


def _commas(text: str) -> bool:
    """Whether there is a comma outside all brackets, or inside an outermost pair."""
    return any(char == "," and depth <= 1 for char, depth in zip(text, _depths(text), strict=True))


def _depths(text: str) -> Iterator[int]:
    """How many brackets are open after each character."""
    return accumulate((char in "([{") - (char in ")]}") for char in text)


def _equal(wanted: str, given: str) -> bool:
    from math_verify import verify

    # A closing \pmod{n} is left out: Math-Verify would multiply it in.
    gold, answer = (_parsed(_MODULUS.sub("", text).strip() or text) for text in (wanted, given))
    if all(isinstance(form, str) for form in gold):
        raise ValueError(f"gold {wanted!r} cannot be parsed")
    return bool(answer) and bool(verify(list(gold), list(answer), timeout_seconds=None, raise_on_error=False))


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Any, ...]:
    from math_verify import LatexExtractionConfig, parse

    config = LatexExtractionConfig(boxed_match_priority=0)
    return tuple(parse(f"\\boxed{{{text}}}", extraction_config=[config], parsing_timeout=None, raise_on_error=False))


def statements(gold: str, text: str) -> list[Statement]:
    """The expressions that a trace states, each judged; numbers alone where the gold answer is one."""
    if value(gold) is not None:
        return numbers.statements(gold, text)
    known: dict[str, bool] = {}
    out: list[Statement] = []
    results = ((m.end(), (m[1] or m[2]).rsplit("=", 1)[-1]) for m in _MATH.finditer(text))
    for end, stated, explicit in candidates(text, results):
        spelled = canon(stated[:LONGEST])
        if spelled and spelled not in known and len(known) < MOST_PARSED:
            known[spelled] = compare(gold, stated).verdict == "correct"
        if spelled in known:
            out.append(Statement(end, spelled, known[spelled], explicit))
    return out
