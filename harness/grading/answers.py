"""The one reader of final answers, for numbers and formulas alike: which words of a response are its answer.

``WAYS`` are tried in their order; the first that finds anything decides, and the verdict names it. What is found is
read as it stands: a negation, a bound or two alternatives stay so, and no comparison takes them for a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from harness.grading.boxes import closed_before_cut, last_box
from harness.grading.markers import marked
from harness.grading.notation import plain
from harness.grading.numbers import number, with_point
from harness.grading.quantities import Quantity, quantities
from harness.grading.sentences import (
    CONCLUDES,
    decimal_comma,
    displays_in_line,
    last_lines,
    results,
    sentences,
    without_checks,
    without_reason,
)

WAYS = ("boxed", "marked line", "display under a heading", "concluding sentence", "last number")
GUESSED = WAYS[3:]  # nothing marks the answer
LONGEST = 20_000  # characters from the end that are read
_UNCLOSED = "\\boxed{"  # a box whose last brace is missing ends with its line


class Answer(NamedTuple):
    """``text``: the answer alone; ``how``: the way it was found; ``statement``: the words it stands in."""

    text: str
    how: str
    statement: str


def read(text: str, cut: bool = False, worded: bool = False) -> Answer | None:
    """The final answer of a visible answer; None if it has none.

    ``cut``: only what it marked and closed before the limit. ``worded``: the answer looked for is words or a letter,
    not a quantity.
    """
    text = text[-LONGEST:]
    text = plain(closed_before_cut(text) if cut else text)
    found = _boxed(text) or _unboxed(displays_in_line(text), cut, worded)
    return found._replace(text=with_point(found.text)) if found and decimal_comma(text) else found


def _unboxed(text: str, cut: bool, worded: bool) -> Answer | None:
    for way in (_marked,) if cut else (_marked, _concluding, _last):
        if (found := way(text, worded)) is not None:
            return found
    return None


def _boxed(text: str) -> Answer | None:
    box = last_box(text)
    if box is None and _UNCLOSED in text:
        box = text.rpartition(_UNCLOSED)[2].partition("\n")[0].strip(" $.")
    return None if box is None else Answer(box.strip(), WAYS[0], box.strip())


def _marked(text: str, worded: bool) -> Answer | None:
    """The last mark with an answer behind it. One without a quantity counts where none follows it: "undefined"."""
    for mark in marked(text):
        statement = without_reason(_INSTEAD.sub("", mark.statement))
        found = "" if worded else _pick(statement, text, stated=True)
        how = WAYS[2] if mark.display else WAYS[1]
        if worded:
            return Answer(_words(statement), how, statement)
        if found:
            return Answer(found, how, statement)
        if not quantities(text[mark.end :]):
            return Answer(statement, how, statement)
    return None


def _concluding(text: str, worded: bool) -> Answer | None:
    return _ending(text, worded, supported=True)


def _last(text: str, worded: bool) -> Answer | None:
    return _ending(text, worded, supported=False)


def _ending(text: str, worded: bool, supported: bool) -> Answer | None:
    """The answer in the last sentence that has one.

    ``supported``: only if it is more than the last number: a conclusion, emphasis, a formula, a result said again.
    """
    for line in last_lines(without_checks(text)):
        for sentence in reversed(sentences(line)):
            statement = without_reason(sentence)
            found = quantities(statement)
            if worded and (spans := [q for q in found if q.form != "run"]):
                return Answer(spans[-1].text, WAYS[3], statement)
            if not found or worded:
                continue
            if not (picked := _pick(statement, text, stated=False)):
                continue
            sure = CONCLUDES.match(sentence) or any(q.form != "run" for q in found) or _repeated(found, text)
            if not supported:
                return Answer(picked, WAYS[4], statement)
            return Answer(picked, WAYS[3], statement) if sure else None
    return None


def _words(statement: str) -> str:
    """The emphasised words of a statement, or all of it."""
    spans = [q.text for q in quantities(statement) if q.form != "run"]
    return spans[-1] if spans else statement.strip(" *_`\"'")


_NEGATED = re.compile(
    r"(?:\b(?:not|never|nor|neither|rather than|instead of|nicht|kein\w*|pas|nie|не)|n't|不是|而非)(?: \w+)?[\s*$\\]*$", re.IGNORECASE
)
_INSTEAD = re.compile(r"^not [^,;]{1,40}[,;]? (?:but|it is|it's|rather|instead)\b:?", re.IGNORECASE)
_PART_OF = re.compile(
    r"\b(?:(?:of|for|with|from|in|by|on|to) (?:the|his|her|its|their|all|our|those|these)|out of(?: the| all)?)(?: \w+)?[\s*$\\]*$", re.IGNORECASE
)
_ADJECTIVE = re.compile(r"-[a-z]{2}")
_ADVERBIAL = re.compile(
    r"\b(?:in|at|after|over|per|within|during|every|from|by|with|on|for|at an? (?:\w+ )?(?:price|rate|cost|speed) of)"
    r"(?: (?:the|a|just|only|all|\w+))?[\s*$\\]*$",
    re.IGNORECASE,
)
_COPULA = re.compile(r"\b(?:is|are|was|were|equals|totals|makes|costs?|gives)(?: (?:about|exactly|only|just|a total of))?[\s*$\\]*$", re.IGNORECASE)
_DENIED = re.compile(r"[\s*]*(?:is|was|are|would be) (?:not|wrong|incorrect|impossible)\b", re.IGNORECASE)
_BOUND = re.compile(
    r"(?:\b(?:(?:less|more|fewer|greater|lower|higher|larger|smaller) than(?: or equal to)?|no (?:more|less|fewer) than|at (?:least|most)|up to"
    r"|between|almost|nearly|exceeds?|(?:minimum|maximum) of|half of|twice|double|log|ln|sin|cos|tan|root of|factorial of)|至少|至多|超过|不到)[\s*$\\]*$",
    re.IGNORECASE,
)
_NEED = re.compile(r"\b(?:needs?|must|requires?|should|have to|has to|ha?d? to|can|could)\b", re.IGNORECASE)
_DIRECTLY = re.compile(r"[\s*]*(?:over|under|above|below|around half of)[\s*$\\]*$", re.IGNORECASE)
_ALTERNATIVE = re.compile(
    r"[\s*$%]*(?:(?!(?:or|and|to|through|oder|und|ou|et|o|y)\b|[或和到至])[^\W\d]+[\s*]*)?(?:[,;]? ?(?P<join>(?:or|and|to|through|oder|und|ou|et|o|y)\b|[或和到至])|(?P<mark>[,/–—:]|-))"
    r"[\s*$]*(?:either |maybe |about |perhaps |[A-Z][a-z]+:? )?"
    # Side by side, as in "1 8", and "5 feet 6 inches".
    r"|[\s*$]*(?:feet|foot|ft|yards?|miles?|km|m|meters?|hours?|hrs?|h|min|minutes?|days?|weeks?|months?|years?|dollars?|pounds?|lbs?|kg|gallons?)?[\s*$]*"
)
_OPEN_END = re.compile(r"[\s*$]*(?:[^\W\d]+ )?(?:or (?:more|less|fewer|higher|lower|above|below|greater)|and (?:up|above|over|more)|mod(?:ulo)?\b|以上|以下)")
_BEGINS = re.compile(r"\W*(?:(?:about|approximately|exactly|only|just|equal to|therefore|thus|simply|[A-Z]{3}|Rs\.?|[a-z] ?=)\W*)*", re.IGNORECASE)
_GOES_ON = re.compile(r"\W*(?:\w+ )?(?:at|times|and|plus|each|minus|divided)\b|.{0,60}(?:, so |=|→|->|, (?:giving|for a total))", re.IGNORECASE)


def _pick(statement: str, text: str, stated: bool) -> str:
    """The quantity of a statement that is its answer, with the words that make it none; empty if there is nothing.

    ``stated``: the statement is marked as the answer, so that what it begins with is meant.
    """
    found = quantities(statement)
    kept = [q for q in found if not _NEGATED.search(statement[: q.start]) and not _DENIED.match(statement, q.end)]
    if not kept:
        return ""
    bold = [q for q in kept if q.form == "bold"]
    if bold and (inside := [q for q in bold if quantities(q.text)]):
        picked = inside[-1]
        return _pick(picked.text, text, stated=True) if not _joined(statement, inside) else statement
    groups = _grouped(statement, _own(statement, [q for q in kept if q.form != "bold"]))
    if not groups:
        return ""
    first = groups[0]
    begins = stated and _BEGINS.fullmatch(statement[: first[0].start])
    begins = begins and not _GOES_ON.match(statement, first[-1].end)
    group = first if begins else _main(statement, groups, text)
    before = statement[: group[0].start]
    if (bound := _BOUND.search(before)) and (begins or not _NEED.search(before)) or (
        stated and (bound := _DIRECTLY.fullmatch(before))
    ):
        return statement[bound.start() : group[-1].end]
    if more := _OPEN_END.match(statement, group[-1].end):
        return statement[group[0].start : more.end()]
    return _together(statement, group)


def _grouped(statement: str, found: Sequence[Quantity]) -> list[list[Quantity]]:
    """Quantities in groups of those that stand side by side, as "18 or 19" and "2, 3"."""
    groups: list[list[Quantity]] = []
    for quantity in found:
        if groups and _ALTERNATIVE.fullmatch(statement, groups[-1][-1].end, quantity.start):
            groups[-1].append(quantity)
        else:
            groups.append([quantity])
    return groups


def _own(statement: str, found: list[Quantity]) -> list[Quantity]:
    """Quantities without those of which the answer is a part, and those that describe a thing: "the 400-meter race"."""
    kept = [
        q for q in found if not (_PART_OF.search(statement[: q.start]) or _ADJECTIVE.match(statement, q.end))
    ]  # fmt: skip
    return kept or found


def _main(statement: str, groups: Sequence[list[Quantity]], text: str) -> list[Quantity]:
    """The last group; where this is when or at what rate something holds, the last result that is said again."""
    if not _ADVERBIAL.search(statement[: groups[-1][0].start]):
        return groups[-1]
    values = [{number(q.text) for q in group} for group in groups]
    for result in reversed(results(text)):
        for group, known in zip(reversed(groups), reversed(values), strict=True):
            if result in known:
                return group
    said = [group for group in groups[:-1] if _COPULA.search(statement[: group[0].start])]
    return said[0] if said else groups[-1]


def _joined(statement: str, found: Sequence[Quantity]) -> bool:
    """Whether the last of several emphasised quantities is one of two alternatives."""
    return len(found) > 1 and _ALTERNATIVE.fullmatch(statement, found[-2].end, found[-1].start) is not None


def _together(statement: str, group: Sequence[Quantity]) -> str:
    """The text of a group: one if all say the same number, else all of them with what joins them."""
    values = {number(q.text) for q in group}
    if len(values) == 1 and None not in values:
        return group[0].text
    out = group[0].text
    for last, quantity in zip(group, group[1:], strict=False):
        match = _ALTERNATIVE.fullmatch(statement, last.end, quantity.start)
        join = (match and (match["join"] or match["mark"])) or ","
        out += (", " if join in (",", "and", "und", "et", "y", "和") else f" {join} ") + quantity.text
    return out


def _repeated(found: Sequence[Quantity], text: str) -> bool:
    computed = results(text)
    return bool(computed) and any(number(q.text) in computed for q in found)
