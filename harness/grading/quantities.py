"""Quantities in prose: the numbers and formulas of a sentence, each whole, with what decides whether it is an answer.

A formula between delimiters is one quantity; outside them a quantity is a longest run of mathematical signs: "18 + x"
and "\\\\frac{14}{3}" are one each, so that no digits are taken out of a larger thing. Linear in the length of the text.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from harness.grading.notation import FUNCTIONS, SCALE, UNIT_LETTERS


class Quantity(NamedTuple):
    """``text`` as it counts as an answer, from ``start`` to ``end`` of a text in ``notation.plain``'s spelling."""

    start: int
    end: int
    text: str
    form: Literal["bold", "formula", "code", "run"]


_MONEY = r"\\?\$|[£€¥₹₩₽]"
_MATH = re.compile(
    r"\$\$([^$]{1,2000})\$\$|\\\[(.{1,2000}?)\\\]|\\\((.{1,2000}?)\\\)|(?<!\\)\$([^$\n]{1,500})(?<!\\)\$(?!\d)",
    re.DOTALL,
)
_PROSE = re.compile(r"\\[a-zA-Z]+(?:\s*\{[^{}]*\})?|([^\W\d_]{2,})")
_BOLD = re.compile(
    r"\*\*(?=\S)([^*\n]{1,300}?)(?<=\S)\*\*|__([^_\n]{1,300}?)__|(?<![*\w\d ])\*(?! )([^*\n]{1,80}?)\*(?![*\w])"
    r"|<b>([^<\n]{1,300})</b>"
)
_CODE = re.compile(r"(?<!`)`([^`\n]{1,100})`(?!`)")
_LABEL = re.compile(r":\s*$|^\s*(?:step|part|case|note|question|option)\b", re.IGNORECASE)
_TOKEN = re.compile(
    rf"(?P<command>\\[a-zA-Z]+)|(?P<number>\.?\d+(?:[.,:]\d+)*)|(?P<money>{_MONEY})|(?P<word>[^\W\d_]+)"
    rf"|(?P<space>[ \t]+)"
    r"|(?P<open>[({\[])|(?P<close>[)}\]])|(?P<sign>[-+*/^_=<>|]|\\[{}|])|(?P<behind>[%!'°])|(?P<other>\\.|.)",
    re.DOTALL,
)
_WORD_COMMANDS = {
    "\\text",
    "\\boxed",
    "\\fbox",
    "\\begin",
    "\\end",
    "\\item",
    "\\quad",
    "\\section",
    "\\ldots",
    "\\cdots",
}
# What belongs to a number although it is a word: it changes the value.
_SCALE = re.compile(
    rf"\s*(?:{SCALE}|squared|cubed|factorial|and (?:a|one) (?:half|third|quarter))s?(?![a-zа-яё])"
    r"|\s*(?:\.\.\.|\\ldots)",
    re.IGNORECASE,
)
_VALUE = re.compile(r"\d|\\(?:pi|infty|sqrt|frac|emptyset|e|mathbb|begin|alpha|theta|sin|cos|tan|ln|log)(?![a-z])")
_MINUS = re.compile(r"(?<![\d)] )\b(?:minus|negative) +(?:\\?\$)?$", re.IGNORECASE)
_UNIT_POWER = re.compile(r"(?<![\\a-zA-Z])((?<=\d) |)([a-zA-Z]+)(\^ ?(?:\{-?\d\}|-?\d))")
_BULLET = re.compile(r"(?:\w|\n|^)- |\w-|- ")  # a hyphen, or the mark of a list
_ENDS = " \t=+*/^_-<>,.;:"
MOST = 50  # the last ones of a statement


def formulas(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of what stands between mathematical delimiters; "$9 each, so $18" is money."""
    out = []
    at = 0
    while match := _MATH.search(text, at):
        content = next(group for group in match.groups() if group is not None)
        at = match.end()
        if match[4] is not None and ((content != content.strip() and content[:1].isdigit()) or _worded(content)):
            at = match.start() + 1
        else:
            out.append((match.start(), match.end(), content))
    return out


def _worded(content: str) -> bool:
    return any(m[1] and m[1] not in FUNCTIONS for m in _PROSE.finditer(content))


def quantities(text: str) -> list[Quantity]:
    """The quantities of a sentence or a few, in order; those in bold and between delimiters as such."""
    spans: list[Quantity] = [Quantity(start, end, content.strip(), "formula") for start, end, content in formulas(text)]
    for form, pattern in (("code", _CODE), ("bold", _BOLD)):
        for match in pattern.finditer(text):
            inside = next(group for group in match.groups() if group is not None)
            if not _LABEL.search(inside) and not any(s.start < match.start() < s.end for s in spans):
                spans = [s for s in spans if not match.start() <= s.start < match.end()]
                spans.append(Quantity(match.start(), match.end(), inside.strip(), form))  # type: ignore[arg-type]
    spans.sort()
    out, at = list[Quantity](), 0
    text = _UNIT_POWER.sub(_without_power, text)
    for span in [*spans, None]:
        until = span.start if span else len(text)
        out += _runs(text, at, until)
        if span:
            out.append(span)
            at = span.end
    return [q for q in out if _counts(q)][-MOST:]


def _without_power(match: re.Match[str]) -> str:
    """A unit without its power, as long as before: its digit is no quantity."""
    unit = len(match[2]) > 1 or (match[2] in UNIT_LETTERS and match[1] == " ")
    return f"{match[1]}{match[2]}{' ' * len(match[3])}" if unit else match[0]


def _counts(quantity: Quantity) -> bool:
    if quantity.form == "run":
        return _VALUE.search(quantity.text) is not None
    return quantity.text[:1] not in ("^", "_") and re.search(r"\w", quantity.text) is not None


def _runs(text: str, start: int, end: int) -> list[Quantity]:
    """Longest runs of mathematical signs outside all delimiters."""
    out: list[Quantity] = []
    first = last = -1  # of the run: its start, -1 outside of any, and the end of what surely belongs to it
    depth, waits = 0, False  # open brackets; whether a sign waits for what stands at its right

    def ended() -> None:
        nonlocal first, depth, waits
        _add(out, text, first, last)
        first, depth, waits = -1, 0, False

    for match in _TOKEN.finditer(text, start, end):
        kind, found = match.lastgroup or "other", match.group()
        inside, touches = first >= 0, match.start() == last
        if kind == "space" and inside:
            continue
        bullet = _BULLET.match(text, max(0, match.start() - 1))
        symbol = kind == "word" and len(found) == 1 and found.isascii()
        part = (
            kind in ("number", "money", "open")
            or (kind == "close" and depth > 0)
            or (kind == "sign" and (inside or found[0] == "\\" or (found in "-|" and not bullet)))
            or (kind == "behind" and inside)
            or (kind == "command" and found not in _WORD_COMMANDS)
            or (kind == "other" and depth > 0 and found in ",;:")
            or (symbol and ((inside and (touches or waits or depth > 0)) or _leads(text, match.end(), end)))
        )
        if not part:
            ended()
            continue
        joined = touches or waits or depth > 0 or kind in ("sign", "command") or _mixed(text, last, match)
        if inside and not joined:
            ended()
        first = match.start() if first < 0 else first
        depth += (kind == "open" or found == "\\{") - (kind == "close" or (found == "\\}" and depth > 0))
        waits = kind in ("sign", "command", "money") or (waits and kind == "open")
        last = match.end()
    ended()
    return out


def _leads(text: str, at: int, end: int) -> bool:
    """Whether a letter that ends at ``at`` is followed by a sign, as in "x = 3" or "x^2": else it is a word."""
    return re.match(r"\d|\s?[=^_<>+*/(]|\s?\\(?:in|le|ge|ne|cdot|pm)(?![a-z])", text[at : min(end, at + 8)]) is not None


def _mixed(text: str, last: int, match: re.Match[str]) -> bool:
    """ "4 2/3" and "1 234 567", which are one number each."""
    before = text[max(0, last - 12) : last]
    gap, behind = text[last : match.start()], text[match.start() : match.start() + 16]
    if gap != " " or not before[-1:].isdigit():
        return False
    return re.match(r"\d{1,9}/\d{1,9}(?![\d/])", behind) is not None or (
        re.search(r"(?<![\d.,])\d{1,3}(?: \d{3})*$", before) is not None
        and re.match(r"\d{3}(?!\d)", behind) is not None
    )


def _add(out: list[Quantity], text: str, first: int, last: int) -> None:
    """Add the run from ``first`` to ``last``, without signs at its ends and brackets that are not closed."""
    if first < 0:
        return
    while last > first and text[last - 1] in _ENDS + "!'":
        last -= 1
    run = text[first:last]
    while run[:1] in ("(", "[", "{") and sum(map(run.count, "([{")) > sum(map(run.count, ")]}")):
        first, run = first + 1, run[1:]
    if behind := _SCALE.match(text, last):
        last = behind.end()
    if (minus := _MINUS.search(text, max(0, first - 12), first)) and run[:1] != "-":
        first = minus.start()
    if run := text[first:last].strip():
        out.append(Quantity(first, last, run, "run"))
