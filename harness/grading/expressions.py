"""The ``math`` grader: our reader, spelling and limits, Math-Verify's equivalence (github.com/huggingface/Math-Verify).

In workers alone. Nothing here evaluates text as Python: what reaches the parser, an ANTLR grammar, is LaTeX within
``limits.beyond``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

from harness.grading import numeric, shapes
from harness.grading.answers import read
from harness.grading.boxes import candidates
from harness.grading.limits import LONGEST, beyond, depths
from harness.grading.magnitudes import near
from harness.grading.messages import Judgement, Statement
from harness.grading.notation import plain
from harness.grading.numbers import MULTIPLE, number, value

MOST_PARSED = 48  # distinct expressions of one trace
_MATH = re.compile(r"\$([^$\n]{1,200})\$|\\\(([^\n]{1,200}?)\\\)")
_INTERVAL = re.compile(r"(?=.*(?:[\[\]]|\\infty))[(\[].*,.*[)\]]")
_MODULUS = re.compile(r"\\pmod(?![a-zA-Z]).*$")
_MARK = re.compile(r"(?<=\d)(?:\{,\}|,|\s)(?=\d{3}(?!\d))")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:,|\{,\}| )\d{3})+(?!\d|,\d)")
_TUPLE = re.compile(r"(?:\\?[{(\[]).*,.*(?:\\?[)}\]])")


def canon(text: str) -> str:
    """A spelling in which answers that differ only in typesetting are the same string."""
    out = re.sub(r"\s+", " ", plain(text)).strip().strip("$").strip()
    out = out.replace("\\|", "|")
    out = re.sub(r"\\\$|\^ ?\\circ ?|%", "", out).replace("$", "")
    out = re.sub(r"^\\(?:approx|sim)\s*|^=\s*", "", out.strip())
    while re.fullmatch(r"\{.*\}", out) and min(list(depths(out))[:-1], default=1) > 0:
        out = out[1:-1].strip()
    out = shapes.without_unit(out.rstrip(". "))
    out = out if _TUPLE.fullmatch(out) else _GROUPED.sub(lambda m: _MARK.sub("", m.group()), out)
    out = re.sub(r"(?<![\d.])1(?:\.0*)? ?(?:\\cdot|\*)? ?i(?![a-zA-Z])", "i", out)
    out = re.sub(r"(?<=\d) ?(?:\*|\\cdot) ?i(?![a-zA-Z])", "i", out)
    out = re.sub(r"\+ ?- ?", "- ", out).replace("**", "^").replace(";", ",")
    return re.sub(r"\s+", " ", out).strip().rstrip(".").strip()


def check(gold: str, answer: str, cut: bool) -> Judgement:
    """The judgement of an answer: of its last box, else its marked answer, else its last expression or number.

    A cut answer is graded by what it marked and closed before the cut. Raises ValueError for a gold answer that cannot
    be parsed.
    """
    wanted = plain(gold)
    worded = shapes.choice(wanted) is not None or shapes.words(wanted) is not None
    stated = read(answer, cut, worded)
    if stated is None:
        return Judgement("no_answer", "no final answer was stated", "")
    judgement = compare(gold, stated.text if "," in wanted else stated.single())
    if worded and judgement.verdict == "wrong" and stated.statement != stated.text:
        judgement = compare(gold, stated.statement)
    return judgement._replace(answer=stated.text[:200], details={"how": stated.how})


def compare(gold: str, stated: str) -> Judgement:
    """The judgement of an answer already extracted."""
    if len(stated) > LONGEST:
        return Judgement("wrong", f"not compared: longer than {LONGEST} characters")
    wanted, given = canon(gold), canon(stated)
    if given == wanted or given.replace(" ", "") == wanted.replace(" ", ""):
        return Judgement("correct", "written as the gold answer")
    if letter := shapes.choice(plain(gold)):
        named = shapes.chosen(plain(stated))
        if named and (named == letter or (named.upper() == letter and gold.strip() != letter)):
            return Judgement("correct", "the same choice")
    if shapes.words(wanted) is not None or (letter and gold.strip() != letter):
        if shapes.spelled(wanted) == shapes.spelled(given):
            return Judgement("correct", "the same words")
        return Judgement("wrong", "other words than the gold answer")
    if (clocks := (shapes.clock(plain(gold)), shapes.clock(plain(stated))))[0] and clocks[1]:
        same = clocks[0][:2] == clocks[1][:2] and (clocks[0][2] == clocks[1][2] or "" in (clocks[0][2], clocks[1][2]))
        return Judgement("correct", "the same time") if same else Judgement("wrong", "another time")
    exact = number(plain(stated)), None if "=" in wanted else number(plain(gold))
    if exact[0] is not None and exact[1] is not None:
        if exact[0] == exact[1]:
            return Judgement("correct", "equal numbers")
        if _terminates(exact[1]):
            return Judgement("wrong", f"{given[:40]} is not {wanted[:40]}")
    if clocks[0] and clocks[0][2]:
        return Judgement("wrong", "no such time of day")
    if limit := beyond(given):
        return Judgement("wrong", f"not compared: {limit}")
    for pair in ((wanted, given), *_otherwise(wanted, given)):
        if not _other_shape(*pair) and _equal(*pair):
            return Judgement("correct", "equivalent to the gold answer (Math-Verify)")
    return Judgement("wrong", _other_shape(wanted, given) or f"not equivalent to {wanted[:60]}")


def _terminates(number: Fraction) -> bool:
    """Whether it is a decimal with an end: then no rounding stands for it."""
    under = number.denominator
    for prime in (2, 5):
        while under % prime == 0:
            under //= prime
    return under == 1


def _otherwise(wanted: str, given: str) -> Iterator[tuple[str, str]]:
    """The pair written otherwise, where that is no other answer: without conditions, inequalities as intervals."""
    if (shorter := shapes.without_qualifier(given)) != given:
        yield shapes.without_qualifier(wanted), shorter
    if "\\approx" in given and "." in wanted:
        yield wanted, given.rpartition("\\approx")[2].strip()
    for one, other in ((wanted, given), (given, wanted)):  # an interval may be wanted, or given
        if (intervals := shapes.union(one)) != one and "\\cup" in other:
            yield (intervals, given) if one is wanted else (wanted, intervals)


def _other_shape(wanted: str, given: str) -> str:
    """Differences that Math-Verify would pass over: numbers side by side, brackets of another kind, extra entries."""
    kinds = shapes.brackets(wanted), shapes.brackets(given)
    several = (
        not shapes.several(wanted) and shapes.several(given) and "\\pm" not in wanted and not shapes.joined(wanted)
    )
    found = (
        (re.search(r"\d\s+\d", given), "several numbers without a separator"),
        (
            "=" not in wanted and MULTIPLE.fullmatch(given.partition("=")[0].strip()) and "=" in given,
            "an equation of a multiple",
        ),
        (re.search(r"\d\s*(?:\\ldots|\.\.\.)$", given), "an unfinished number"),
        (re.search(r"\\bmod(?![a-z])", given) and "bmod" not in wanted, "an unevaluated remainder"),
        (len(wanted) == len(given) == 1, f"{given} is not {wanted}"),
        (shapes.base(given) not in ("", shapes.base(wanted)), "a number in another base"),
        (several, "several answers where the gold answer is one"),
        (all(kinds) and kinds[0] != kinds[1] and "," in wanted[1:-1], "other brackets than the gold answer"),
    )
    return next((why for differs, why in found if differs), "")


def _equal(wanted: str, given: str) -> bool:
    from math_verify import verify

    # A closing \pmod{n} is left out: Math-Verify would multiply it in.
    gold, answer = (_parsed(_MODULUS.sub("", text).strip() or text) for text in (wanted, given))
    if all(isinstance(form, str) for form in gold):
        raise ValueError(f"gold {wanted!r} cannot be parsed")
    # An inequality for an interval; (1,2) may be a point, and for a set of numbers Math-Verify would take one, too.
    relation = _INTERVAL.fullmatch(wanted) is not None
    same = bool(answer) and bool(
        verify(list(gold), list(answer), timeout_seconds=None, raise_on_error=False, allow_set_relation_comp=relation)
    )
    return same and near(gold[0], answer[0])


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Any, ...]:
    from math_verify import LatexExtractionConfig, parse

    config = LatexExtractionConfig(boxed_match_priority=0)
    return tuple(parse(f"\\boxed{{{text}}}", extraction_config=[config], parsing_timeout=None, raise_on_error=False))


def statements(gold: str, text: str) -> list[Statement]:
    """The expressions that a trace states, each judged; numbers alone where the gold answer is one."""
    if value(gold) is not None:
        return numeric.statements(gold, text)
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
