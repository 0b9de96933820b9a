"""The one reader of final answers, for numbers and formulas alike: which words of a response are its answer.

The ways of ``WAYS`` are tried in their order; the first that finds anything decides, and the verdict names it. What is
found is read as it stands: a negation, a bound or two alternatives stay so, and no comparison takes them for a number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from harness.grading.boxes import closed_before_cut, last_box
from harness.grading.markers import marked
from harness.grading.notation import plain
from harness.grading.numbers import in_digits, number, with_point
from harness.grading.picking import pick
from harness.grading.quantities import quantities
from harness.grading.sentences import (
    CONCLUDES,
    decimal_comma,
    last_lines,
    results,
    sentences,
    tidied,
    without_checks,
    without_reason,
)

WAYS = ("boxed", "marked line", "display under a heading", "concluding sentence", "last number")
GUESSED = WAYS[3:]  # nothing marks the answer
LONGEST = 20_000  # characters from the end that are read
SHORT = 60  # characters of a text that is an answer and nothing else
_UNCLOSED = "\\boxed{"  # a box whose last brace is missing ends with its line
_BRACKET = re.compile(r"[(\[{]\s*-?\d+\s*,")  # of a pair, an interval or a set
_INSTEAD = re.compile(
    r"^not [^,;]{1,40}[,;]? ?(?:(?:but|it is|it's|rather|instead|sondern|sino)\b|而是):?", re.IGNORECASE
)


class Answer(NamedTuple):
    """``text``: the answer alone; ``how``: the way it was found; ``statement``: the words it stands in.

    ``comma``: the response is in a language that writes 3,5 for three and a half.
    """

    text: str
    how: str
    statement: str
    comma: bool = False

    def single(self) -> str:
        """The text where one number is looked for: with a decimal point, if its language has a comma there."""
        return with_point(self.text) if self.comma and not _BRACKET.search(self.text) else self.text


def read(text: str, cut: bool = False, worded: bool = False) -> Answer | None:
    """The final answer of a visible answer, in ``notation.plain``'s spelling; None if it has none.

    ``cut``: only what it marked and closed before the limit. ``worded``: the answer looked for is words or a letter,
    not a quantity.
    """
    text = text[-LONGEST:]
    text = plain(closed_before_cut(text) if cut else text)
    found = _boxed(text, cut)
    if found is None:
        prose = tidied(text)
        found = _marked(prose, worded) or (None if cut else _ending(prose, worded))
        # In a sentence it is the unit: problems ask how many dozens there are.
        found = found and found._replace(text=re.sub(r"(?<=\d) dozens?\b", "", found.text))
    return found._replace(comma=decimal_comma(text)) if found else None


def _boxed(text: str, cut: bool) -> Answer | None:
    box = last_box(text)
    if box is None and _UNCLOSED in text and not cut:
        box = text.rpartition(_UNCLOSED)[2].partition("\n")[0].strip(" $.")
    return None if box is None else Answer(box.strip(), WAYS[0], box.strip())


def _marked(text: str, worded: bool) -> Answer | None:
    """The last mark with an answer behind it. One without a quantity counts where none follows it: "undefined"."""
    for mark in marked(text):
        statement, how = without_reason(_INSTEAD.sub("", mark.statement)), WAYS[2] if mark.display else WAYS[1]
        if worded:
            return Answer(_words(statement), how, statement)
        if found := pick(statement, text[: mark.end], stated=True):
            if not statement.startswith(found) and _concluded(text[mark.end :]):
                continue  # "Answer: There were 9 at first. ... So she has 18."
            return Answer(found, how, statement)
        if not quantities(text[mark.end :]):
            return Answer(in_digits(statement), how, statement)
    return None


def _concluded(text: str) -> bool:
    """Whether a text draws a conclusion about a quantity."""
    return any(CONCLUDES.match(line) and quantities(line[:500]) for line in text.splitlines()[-12:])


def _ending(text: str, worded: bool) -> Answer | None:
    """The answer in the last sentence that has one.

    It is the sentence's, and not just its last number, where the sentence draws a conclusion, emphasises something, has
    a formula, or says again what a computation came to.
    """
    for line in last_lines(without_checks(text)):
        for sentence in reversed(sentences(line)):
            statement = without_reason(sentence)
            found = quantities(statement)
            spans = [q for q in found if q.form != "run"]
            if worded and spans:
                return Answer(spans[-1].text, WAYS[3], statement)
            before = text[: max(text.rfind(sentence[:60]), 0)]
            if not worded and (picked := pick(statement, before, stated=False)):
                sure = CONCLUDES.match(sentence) or spans or {number(q.text) for q in found} & set(results(text))
                return Answer(picked, WAYS[3] if sure else WAYS[4], statement)
    # An answer and nothing else: "Yes", "(A)", "eleven".
    alone = text.strip()
    said = alone if worded else in_digits(alone)
    short = len(alone) <= SHORT and "\n" not in alone and (worded or said != alone)
    return Answer(said, WAYS[3], alone) if short else None


def _words(statement: str) -> str:
    """The emphasised words of a statement, or all of it."""
    spans = [q.text for q in quantities(statement) if q.form != "run"]
    return spans[-1] if spans else statement.strip(" *_`\"'")
