"""Which quantity of a statement is its answer: "Erin has **14** of her 20 left", "he can run 50 miles in 7 hours".

A negation, a bound and alternatives are handed on with the quantity, so that no comparison takes it for the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from harness.grading.numbers import number
from harness.grading.quantities import Quantity, quantities
from harness.grading.sentences import main_clause, results

Group = list[Quantity]  # quantities side by side, as "18 or 19"

_END = r"\s*(?:US|AU|CA)?[\s*$\\]*$"  # of what stands before a quantity
_NEGATED = re.compile(
    r"(?:\b(?:not|never|nor|neither|rather than|instead of|nicht|kein\w*|pas|nie|не)|n't|不是|而非)(?: \w+)?" + _END,
    re.IGNORECASE,
)
_DENIED = re.compile(r"[\s*]*(?:is|was|are|would be) (?:not|wrong|incorrect|impossible)\b", re.IGNORECASE)
_BOUND = re.compile(
    r"(?:\b(?:(?:less|more|fewer|greater|lower|higher|larger|smaller) than(?: or equal to)?|no (?:more|less|fewer) than"
    r"|at (?:least|most)|up to|between|almost|nearly|exceeds?|(?:minimum|maximum) of|half of|twice|double|log|ln"
    r"|sin|cos"
    r"|tan|root of|factorial of)|至少|至多|超过|不到)" + _END,
    re.IGNORECASE,
)
_NEED = re.compile(r"\b(?:needs?|must|requires?|should|have to|has to|ha?d? to|can|could)\b", re.IGNORECASE)
_DIRECTLY = re.compile(r"[\s*]*(?:over|under|above|below|around half of)" + _END, re.IGNORECASE)
_OPEN_END = re.compile(
    r"[\s*$]*(?:[^\W\d]+ )?(?:or (?:more|less|fewer|higher|lower|above|below|greater)|and (?:up|above|over|more)"
    r"|to the power|raised to"
    r"|mod(?:ulo)?\b|以上|以下)|-?ish\b"
)
_COMPARED = re.compile(r"[\s*$]*(?:less|more|fewer|greater) than \\?\$?\d")
_JOINS = r"(?:or|and|to|through|oder|und|ou|et|o|y)\b|[或和到至]"
_ALTERNATIVE = re.compile(
    rf"[\s*$%]*(?:(?!{_JOINS})(?:[^\W\d]+[\s*]+|[\u2e80-\ud7ff]{{1,3}}))?(?:[,;]? ?(?P<join>{_JOINS})"
    rf"|(?P<mark>[,/–—:]|-))"
    r"[\s*$]*(?:either |maybe |about |perhaps |[A-Z][a-z]+:? )?"
    # Side by side, as in "1 8" and "5 feet 6 inches".
    r"|[\s*$]*(?:feet|foot|ft|yards?|miles?|km|m|meters?|hours?|hrs?|h|min|minutes?|days?|weeks?|months?|years?"
    r"|dollars?|pounds?|lbs?|kg|gallons?)?[\s*$]*"
)
_LISTS = (",", "and", "und", "et", "y", "和")
_BEGINS = re.compile(
    r"\W*(?:(?:about|approximately|exactly|only|just|equal to|therefore|thus|simply|there (?:are|is)"
    r"|it (?:is|takes|costs|will take)|(?-i:[A-Z]{3})|Rs\.?|[a-z] ?=)\W*)*",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\W*(?:\w+ )?(?:at|times|and|plus|each|minus|divided)\b|.{0,60}(?:, so |=|→|->|, (?:giving|for a total))"
    r"| (?:\w+ ){1,6}(?:can|will|would|costs?|is|are|has|have|makes?)\b",
    re.IGNORECASE,
)
_PART_OF = re.compile(
    r"(?:\b(?:(?:of|for|with|from|in|by|on|to) (?:the|his|her|its|their|all|our|those|these)|out of(?: the"
    r"| all)?)(?: \w+)?"
    r"|\b(?:all|the|those|these))" + _END,
    re.IGNORECASE,
)
_DESCRIBES = re.compile(r"-[a-z]{2}")  # "the 400-meter race"
_ROUNDED = re.compile(
    r"[^\w]*(?:or |which is )?(?:about|approximately|roughly|around|\\approx)[\s*$\\]*"
)  # the same, rounded
_ASIDE = re.compile(r"\([^(),]*\)")
_CONDITION = re.compile(r"\b(?:before|until|if|in order to|so that|to ensure|than|when)\b[^,=]*$", re.IGNORECASE)
_WHEN_OR_RATE = re.compile(
    r"\b(?:in|at|after|over|per|within|during|every|from|by|with|on|for|at an? (?:\w+ )?(?:price|rate|cost|speed) of"
    r"|to (?!be\b|get\b|give\b|make\b|find\b|obtain\b)\w+)"
    r"(?: (?:a|just|only|\w+))?" + _END,
    re.IGNORECASE,
)
_COMES_TO = re.compile(
    r"(?:\b(?:is|are|was|were|equals?|totals?|costs?|has|(?<!to )have|becomes?)(?: (?:now|then|about|exactly|only|just"
    r"|still|left with"
    r"|a total of|an? (?:additional|extra)))?"
    r"|gets?|loses?|\b(?:gives?|giving|yields?|leaves?|leaving|results? in|resulting in|(?<!to )makes?|making"
    r"|brings?|bringing"
    r"|totaling|amounts to|comes to)\b[^\d,;]{0,40})" + _END,
    re.IGNORECASE,
)
_COPULA = re.compile(
    r"\b(?:(?:is|are|was|were|will be|equals|totals|costs?)(?: (?:about|exactly|only|just|a total of))?"
    r"|(?:needs?|takes?|must|has to|have to)(?: (?:to )?\w+)?)" + _END,
    re.IGNORECASE,
)


def pick(statement: str, before: str, stated: bool) -> str:
    """The quantity of a statement that is its answer, with the words that make it none; empty if there is nothing.

    ``before``: the text that leads to the statement. ``stated``: the statement is marked as the answer, so that what
    it begins with is meant.
    """
    kept = [
        q for q in quantities(statement)
        if not _NEGATED.search(statement[: q.start]) and not _DENIED.match(statement, q.end)
    ]  # fmt: skip
    bold = [q for q in kept if q.form == "bold" and quantities(q.text)]
    if bold:
        several = len(bold) > 1 and _ALTERNATIVE.fullmatch(statement, bold[-2].end, bold[-1].start)
        inside = [pick(q.text, before, stated=True) for q in bold]
        again = [text for text in inside if {number(text)} <= set(results(before)[-1:])]
        return statement if several else (again or inside)[-1]
    if not stated and (clause := main_clause(statement)) != statement and quantities(clause):
        return pick(clause, before, stated)
    groups = _grouped(statement, _own(statement, [q for q in kept if q.form != "bold"]))
    if not groups:
        return ""
    begins = stated and _BEGINS.fullmatch(statement[: groups[0][0].start]) is not None
    group = _meant(statement, groups, before, begins)
    return _bounded(statement, group, stated, begins and group is groups[0]) or _together(statement, group)


def _meant(statement: str, groups: Sequence[Group], before: str, begins: bool) -> Group:
    """What the statement begins with, if that is its answer; else what its own computation comes to, or the last one
    before it that it says again; else the last, unless that is when or at what rate something holds."""
    if begins and not _GOES_ON.match(statement, groups[0][-1].end):
        return groups[0]
    values = [{number(q.text) for q in group} for group in groups]
    computed, last = results(before), statement[: groups[-1][0].start]
    if _COMES_TO.search(last):
        return groups[-1]
    own = results(statement)[-1:]
    for result in own or reversed(computed if _WHEN_OR_RATE.search(last) else computed[-1:]):
        for group, known in zip(reversed(groups), reversed(values), strict=True):
            if result in known:
                return group
    if not _WHEN_OR_RATE.search(last):
        return groups[-1]
    return next((group for group in groups if _COPULA.search(statement[: group[0].start])), groups[-1])


def _own(statement: str, found: list[Quantity]) -> list[Quantity]:
    """Quantities without those of which the answer is a part, and those that describe a thing."""
    kept: list[Quantity] = []
    for quantity in found:
        before = statement[: quantity.start]
        behind = any(_CONDITION.search(statement, other.end, quantity.start) for other in kept)
        described = _DESCRIBES.match(statement, quantity.end) and before.endswith("the ")
        rounded = kept and _ROUNDED.fullmatch(statement, kept[-1].end, quantity.start)
        if not (described or behind or rounded or _PART_OF.search(before)):
            kept.append(quantity)
    return kept or found


def _grouped(statement: str, found: Sequence[Quantity]) -> list[Group]:
    groups: list[Group] = []
    for quantity in found:
        if groups and _ASIDE.fullmatch(quantity.text) and not statement[groups[-1][-1].end : quantity.start].strip():
            continue  # "0.5 (50%)"
        if groups and _ALTERNATIVE.fullmatch(statement, groups[-1][-1].end, quantity.start):
            groups[-1].append(quantity)
        else:
            groups.append([quantity])
    return groups


def _bounded(statement: str, group: Group, stated: bool, begins: bool) -> str:
    """A group with the words that make it a bound; empty if there are none. "She needs at least 5" is no bound."""
    before = statement[: group[0].start]
    bound = _BOUND.search(before)
    if bound and not begins and _NEED.search(before):
        bound = None
    bound = bound or (_DIRECTLY.fullmatch(before) if stated else None)
    if bound:
        return statement[bound.start() : group[-1].end]
    more = _OPEN_END.match(statement, group[-1].end) or (begins and _COMPARED.match(statement, group[-1].end))
    return statement[group[0].start : more.end()] if more else ""


def _together(statement: str, group: Group) -> str:
    """The text of a group: one if all say the same number, else all of them with what joins them."""
    values = [number(q.text) for q in group]
    shares = [v is not None and (v / 100 if "%" in q.text else v) for v, q in zip(values, group, strict=True)]
    if None not in values and (len(set(values)) == 1 or len(set(shares)) == 1):
        return next((q.text for q in group if "%" not in q.text), group[0].text)
    out = group[0].text
    if len(group) == 1 and statement[: group[0].start].strip() and _COPULA.search(statement[: group[0].start]):
        return out.rpartition("=")[2].strip()  # "the number of them is 4k = 16"
    for last, quantity in pairwise(group):
        match = _ALTERNATIVE.fullmatch(statement, last.end, quantity.start)
        join = (match and (match["join"] or match["mark"])) or ","
        out += (", " if join in _LISTS else f" {join} ") + quantity.text
    return out
