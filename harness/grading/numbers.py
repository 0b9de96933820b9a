"""Final numbers: one number, as written, to its exact value. No symbolic library and no evaluation of text."""

from __future__ import annotations

import re
from fractions import Fraction

from harness.grading.notation import SCALE, SCALES, UNIT_LETTERS, plain

LONGEST = 1_000  # characters
MOST_DIGITS = 100
_LARGEST_POWER = 300

_GROUP = r"(?:,|\{,\}| |')"
# Groups of three, or (1,20,000) as in India.
_DIGITS = rf"(?:\d{{1,3}}(?:{_GROUP}\d{{3}})+(?!\d)|\d{{1,2}}(?:,\d\d)+,\d{{3}}(?!\d)|\d+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.\d*(?:\\overline\{{\d+\}}|\(\d+\))?|(?:\{{,\}}\d+))?|\.\d+(?:\\overline\{{\d+\}})?)"
_FRACTION = rf"\\frac ?\{{ ?([-+]?{_DECIMAL}) ?\}} ?\{{ ?([-+]?{_DECIMAL}) ?\}}"
_POWER = r"10 ?\^ ?(?:\{ ?([-+]?\d{1,3}) ?\}|(-?\d{1,3}))"
NUMBER = re.compile(
    rf"(?P<sign>[-+](?: (?=[\d.\\]))?)?(?:(?:(?P<whole>\d{{1,15}}) ?(?={_FRACTION}))?(?P<fraction>{_FRACTION})"
    rf"|(?P<mixed>\d{{1,15}}[ -]\d{{1,9}}/\d{{1,9}})(?![\d/])|(?P<ten>(?<![\d.]){_POWER})"
    rf"|(?P<decimal>{_DECIMAL})(?: ?(?:\\times|\\cdot|\*|x) ?(?P<power>{_POWER})| ?/ ?(?P<under>{_DECIMAL}))?)"
)
_SCALE = re.compile(rf" ?({SCALE})s?(?![a-zа-яё])", re.IGNORECASE)
_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS_OF = {
    "zero": 0,
    **{word: 10 * n for n, word in enumerate(_TENS, 2)},
    **{word: n for n, word in enumerate(_ONES + _TEENS, 1)},
}
_IN_WORDS = re.compile(
    rf"\b(?:({'|'.join(_TENS)})(?:[ -]({'|'.join(_ONES)}))?|({'|'.join(['zero', *_ONES, *_TEENS])}))\b", re.IGNORECASE
)
_MONEY = re.compile(r"\\?\$|[£€¥₹₩₽]")
_WORDS = r"(?:[^\W\d_]|[\u0900-\u0eff])"  # of Bengali, Telugu and Thai the signs for vowels, too
_UNIT = (
    rf"(?:{_WORDS}{{2,}}\.?|[\u2e80-\ud7ff]|(?<=[ /\d])[{UNIT_LETTERS}](?!{_WORDS})|[ap]\.m\.?"
    rf"|\b[aA]\b(?= {_WORDS})|[%¢'\"]|\^ ?\\circ ?[CF]?)"
)
_UNITS = re.compile(rf"(?:[ ,.:;()-]*(?:(?:/|\\cdot|\*) ?)?{_UNIT})*[ .,;:)]*")
_UNIT_POWER = re.compile(
    rf"(?:(?<={_WORDS}{{2}})|(?<=[ /\d][{UNIT_LETTERS}])) ?\^ ?(?:\{{ ?-?\d ?\}}|-?\d)|(?<=\d[cmk]m)[23]\b"
    rf"|(?<= [cmk]m)[23]\b"
)
_UNIT_FRACTION = re.compile(r"(?<=\d) ?\\frac\{ ?[a-zA-Z]{1,12} ?\}\{ ?[a-zA-Z]{1,12} ?\}(?:\^\{?\d\}?)?$")
_BEFORE = re.compile(rf"(?:{_WORDS}+[.,:']*|\\approx|\\sim|[ :~&])*")
# The left side of an equation that gives another thing than the unknown: "2x", "x^2", "x/2".
MULTIPLE = re.compile(
    r"\d* ?[a-zA-Z] ?(?:\^ ?\{?\d+\}?|/ ?\d+)|\d+ ?(?:\\cdot|\*)? ?[a-zA-Z]|\\frac\{\d* ?[a-zA-Z]\}\{\d+\}"
    r"|\\frac\{\d+\}\{\d+\} ?[a-zA-Z]|\\sqrt\{[a-zA-Z]\}"
)
# What makes a number a bound, one of several, or no answer at all.
_NO_ANSWER = re.compile(
    r"\b(?:not|no|nicht|kein\w*|pas|не|nie|never|cannot|isn't|nor|neither|or|either|undefined|impossible|twice"
    r"|double|half|triple|times as|between|almost|nearly|below zero|ish|to the power|raised"
    r"|squared|cubed|factorial|root|log|and an? (?:half|quarter|third)|and one (?:half|third|quarter)|less|fewer"
    r"|greater|more than|at (?:least|most)"
    r"|up to|exceeds?|under|over|above|below|minimum of|maximum of|plus|minus|modulo|mod|base|choose|o más|oder|ou"
    r"|ni)\b|不是|或|至少|至多|超过|不到",
    re.IGNORECASE,
)
_FINE = re.compile(r"\b(?:or (?:so|about)|no\.|left ?over|hand ?over)\b|\bmore\b(?! than)", re.IGNORECASE)
_GROUPED_COMMA = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d{1,2})(?!\d)")  # 1.234,50
_COMMA = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+|\d+),(\d{1,2}|\d{4,})(?![\d,.]*\d)")
_POINTS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3})+(?![\d,.]*\d)")
_SEVERAL = re.compile(r",(?!\d{3})|;|\b(?:and|or)\b")


def value(text: str) -> Fraction | None:
    """Exact value of a number as written, without currency and units; None if it is no single number."""
    return number(plain(text[: LONGEST + 1]))


def with_point(text: str) -> str:
    """Numbers of a language that writes 3,5 for three and a half and 1.200 for twelve hundred, as English has them."""
    out = _COMMA.sub(lambda m: f"{m[1].replace('.', '')}.{m[2]}", text)
    return _POINTS.sub(lambda m: m.group().replace(".", ""), out)


def number(text: str) -> Fraction | None:
    """``value`` of a text that is in ``notation.plain``'s spelling already."""
    if len(text) > LONGEST:
        return None
    tidy = re.sub(r"\\text\{([^{}]*)\}|\*\*|^\*|\*$|[`~]|\\(?=[,;: ])", r" \1 ", _MONEY.sub("", text).replace("$", ""))
    tidy = " ".join(re.sub(r"\\begin\{[a-z]*\}|\\end\{[a-z]*\}", "?", tidy).split()).strip()
    left, _, tidy = tidy.rpartition("=")
    if ("=" in left and _SEVERAL.search(left + tidy)) or MULTIPLE.fullmatch(left.strip()):
        return None  # several equations, or of a multiple
    if tidy.endswith("...") or any(char.isdigit() and not char.isascii() for char in tidy):
        return None
    tidy = re.sub(r"^ *(?:\\approx|\\sim) ?", "", tidy).strip().rstrip(" .")
    while re.fullmatch(r"(?:\{.*|\\\{.*\\)\}", tidy):
        tidy = tidy.strip("{}\\ ")
    tidy = re.sub(
        r"^([-+]?) ?[(\[] ?([^()\[\],]*?) ?[)\]]$",
        r"\1\2",
        re.sub(r"\{([^\W\d_][^{}\d]*)\}", r"\1", _UNIT_POWER.sub("", _UNIT_FRACTION.sub("", tidy))),
    )
    tidy = re.sub(r"\b(?:minus|negative) +(?=[\d.(\\])", "-", tidy, flags=re.IGNORECASE)
    tidy = _GROUPED_COMMA.sub(lambda m: f"{m[1].replace('.', '')}.{m[2]}", tidy)
    tidy = re.sub(r"(?<![\d:])(\d{1,2}):00(?![\d:])", r"\1", tidy)  # two o'clock
    found = list(NUMBER.finditer(tidy))
    if len(found) != 1:
        return None
    match = found[0]
    end, scale = _scaled(tidy, match.end())
    before, behind = tidy[: match.start()], tidy[end:]
    if not (_BEFORE.fullmatch(before) and _UNITS.fullmatch(tidy, end)) or "a" <= before[-1:].lower() <= "z":
        return None
    apart = before and len(match["sign"] or "") == 2  # "x - 5"
    if apart or _NO_ANSWER.search(_FINE.sub("", f"{before} # {behind}")):
        return None
    return _exact(match, scale)


def in_digits(text: str) -> str:
    """A text without digits with its numbers in words as digits: forty-two as 42."""
    return text if re.search(r"\d", text) else _IN_WORDS.sub(_sum, text)


def _sum(match: re.Match[str]) -> str:
    return str(sum(_WORDS_OF[word.lower()] for word in match.groups() if word))


def _scaled(text: str, end: int) -> tuple[int, int]:
    """Where a number that ends at ``end`` ends with "million" or its like, and what this multiplies it by."""
    match = _SCALE.match(text, end)
    return (match.end(), SCALES[match[1].lower()]) if match else (end, 1)


def _exact(match: re.Match[str], scale: int) -> Fraction | None:
    if len(match.group()) > MOST_DIGITS:
        return None
    sign = -1 if (match["sign"] or "").startswith("-") else 1
    parts = match.groupdict()
    try:
        if parts["mixed"]:
            whole, over, under = map(int, re.split(r"[ /-]", parts["mixed"]))
            return sign * scale * (whole + Fraction(over, under)) if over < under else None
        if parts["fraction"]:
            inner = re.fullmatch(_FRACTION, parts["fraction"])
            assert inner is not None
            out = _decimal(inner[1]) / _decimal(inner[2])
            whole = int(parts["whole"] or 0)
            return sign * scale * (whole + out) if not parts["whole"] or 0 < out < 1 else None
        power = re.search(r"\^ ?\{? ?([-+]?\d+)", parts["power"] or parts["ten"] or "")
        if power and abs(int(power[1])) > _LARGEST_POWER:
            return None
        out = _decimal(parts["decimal"]) if parts["decimal"] else Fraction(1)
        if parts["under"]:
            out /= _decimal(parts["under"])
        return sign * scale * out * (Fraction(10) ** int(power[1]) if power else 1)
    except (ValueError, ZeroDivisionError):
        return None


def _decimal(written: str) -> Fraction:
    """1,234.5, 0{,}25 and the recurring 0.1\\overline{6} exactly."""
    text = re.sub(r"\{,\}(?=\d{3}(?!\d))|(?<=\d)[, '](?=\d\d)", "", written).replace("{,}", ".")
    head, _, again = re.sub(r"\\overline\{|\(", "|", text).rstrip("})").partition("|")
    out = Fraction(head if head[-1:].isdigit() else head + "0")
    if again:
        decimals = len(head.partition(".")[2])
        out += Fraction(int(again), (10 ** len(again) - 1) * 10**decimals) * (-1 if head.startswith("-") else 1)
    return out
