"""The shape of an answer in formulas: a choice, words, one of several, an interval, a number in a base."""

from __future__ import annotations

import re

from harness.grading.limits import depths

_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_CHOICE = re.compile(r"\(?([A-J])\)?")
_CHOSEN = re.compile(
    r"(?:the )?(?:option|choice|answer)?[ :]*(?:\(([A-Ja-j])\)|([A-Ja-j])(?=[).:,]|\s*$"
    r"| [\d$\\]| (?:because|since|as|with"
    r"|for|is)\b))[).:,]*(.*)",
    re.IGNORECASE | re.DOTALL,
)
_MORE = re.compile(r"^\s*(?:or|and|,|/|&)\b|\([A-J]\)|\b(?:or|and) \(?[A-J]\)?\b|^\s*[A-J]\b\s*$")
_QUALIFIER = re.compile(
    r",?\s*(?:\\text\{[\s,(]*(?:for|where|with|when|if|whenever|provided)\b.*"
    r"|(?<![a-zA-Z])(?:for|where|when|if|provided) .*|\\forall .*)$"
    r"|(?:,\s*|\s*\()[a-zA-Z] ?(?:[<>]|\\(?:ge|le|ne|in)(?![a-z]))[^,]*$",
    re.DOTALL,
)
_CLOCK = re.compile(r"(\d{1,2})(?::(\d\d))? ?(?:\\text\{ ?)?(?:([ap])\.? ?m\.?)?(?: ?\})?", re.IGNORECASE)
_UNIT_FRACTION = re.compile(
    r"(?<=[\d}])\s*\\frac\{ ?(?:\\text\{[^{}]*\}|[mgk]) ?\}\{ ?(?:\\text\{[^{}]*\}|[smhlL]) ?\}(?:\^\{?\d\}?)?$"
)
_UNIT = re.compile(r"(?<=[\d}A-Za-z])\s*\\text\{\s*/?\s*([a-zA-Z .^\d/-]*)\}(?:\s*\^\s*\{?-?\d\}?)?\s*$")
_UNIT_PLAIN = re.compile(
    r"(?<=[\d}])\s*(?:mm|cm|dm|km|m|in|ft|yd|mi|inch(?:es)?|feet|foot|miles?|meters?|metres?|units?|square|cubic"
    r"|degrees?|sec|s|hours?|h|min"
    r"|minutes?|kg|g|mg|ml|dollars?|cents?|percent|USD)(?:\s+(?:units?|inch(?:es)?|feet|meters?|cm"
    r"|miles?))?(?:\s*\^\s*\{?\d\}?)?\s*$"
)
_OR = re.compile(r"\\text\{ *or *\}|(?<![a-zA-Z])or(?![a-zA-Z])|\\(?:lor|vee)(?![a-z])")
_AND_OR = re.compile(rf"{_OR.pattern}|\\text\{{[ ,]*and *\}}|(?<![a-zA-Z])and(?![a-zA-Z])")
_HALF = re.compile(r"([a-zA-Z]) *(<|>|\\le(?![a-z])|\\ge(?![a-z])) *([^<>]*)")
_PAIRS = (("(", ")"), ("[", "]"), ("\\{", "\\}"), ("(", "]"), ("[", ")"))
_RELATION = re.compile(r"[<>]|\\(?:le|ge|in)(?![a-z])")


def without_text(text: str) -> str:
    return _TEXT.sub(r"\1", text)


def chosen(text: str) -> str | None:
    """The letter of a choice that an answer names, perhaps with the option's text; None if it names none or several."""
    bare = " ".join(without_text(text).split()).strip("$*. ")
    match = _CHOSEN.fullmatch(bare)
    if match is None or _MORE.search(match[3]):
        return None
    return match[1] or match[2]


def choice(gold: str) -> str | None:
    """The letter of a gold answer that is a choice."""
    match = _CHOICE.fullmatch(without_text(gold).strip())
    return match[1] if match else None


def words(text: str) -> str | None:
    """The letters of an answer in words (a name, a day, a choice), lower case; None if it is not one."""
    plain = spelled(text)
    named = re.fullmatch(r"(?=.*[a-z]{2})[a-z]+(?:[ .,'-]+[a-z]{2,}|[ .,']+[a-z]+)*[.']?", plain) or (
        "\\text" in text and re.fullmatch(r"[a-z][a-z0-9 .,'-]*", plain)
    )
    return plain if named else None


def spelled(text: str) -> str:
    """Letters, spaces and points of an answer in words, lower case, without an article."""
    bare = " ".join(without_text(text).split()).strip().strip("().\"' *").lower()
    return re.sub(r"^(?:an?|the) (?=[a-z]{2})", "", bare)


def without_qualifier(text: str) -> str:
    """An answer without the condition behind it: "for all x", ", x \\ne 3"; not of an inequality another one."""
    shorter = _QUALIFIER.sub("", text).strip()
    return text if not shorter or _RELATION.search(shorter) else shorter


def clock(text: str) -> tuple[int, int, str] | None:
    """Hour, minute, and a or p if it is said, of a time of day: 6 p.m., 7:30."""
    match = _CLOCK.fullmatch(" ".join(text.split()).strip("$. "))
    if match is None or not (match[2] or match[3]):
        return None
    return int(match[1]), int(match[2] or 0), (match[3] or "").lower()


def without_unit(text: str) -> str:
    """A formula without a unit at its end."""
    text = _UNIT_FRACTION.sub("", text)
    match = _UNIT.search(text)
    if match and not re.search(r"\b(?:thousand|million|billion|hundred|dozen|or|and|not|mod|if|for)\b", match[1]):
        text = text[: match.start()]
    return _UNIT_PLAIN.sub("", text).strip()


def several(text: str) -> bool:
    """Whether there is a comma outside all brackets, or inside an outermost pair."""
    return any(char == "," and depth <= 1 for char, depth in zip(text, depths(text), strict=True))


def union(text: str) -> str:
    """Inequalities in one variable that are joined by "or", as a union of intervals; other texts as they are."""
    parts = [_HALF.fullmatch(part.strip()) for part in _OR.split(text)]
    if len(parts) < 2 or None in parts or len({match[1] for match in parts if match}) != 1:
        return text
    out = []
    for match in parts:
        assert match is not None
        sign, end = match[2], match[3].strip()
        below, closed = sign in ("<", "\\le"), sign[0] == "\\"
        out.append(f"(-\\infty, {end}{'])'[not closed]}" if below else f"{'[('[not closed]}{end}, \\infty)")
    return " \\cup ".join(out)


def joined(text: str) -> bool:
    """Whether it says of several answers, in words, that they are, or is an inequality or a membership."""
    return _AND_OR.search(text) is not None or _RELATION.search(text) is not None


def brackets(text: str) -> tuple[str, str] | None:
    """The brackets around a whole answer."""
    return next((pair for pair in _PAIRS if text.startswith(pair[0]) and text.endswith(pair[1])), None)


def base(text: str) -> str:
    """The base that is written at a number, ``_8`` or ``_{8}``; empty if there is none."""
    match = re.fullmatch(r"\d+\s*_\s*\{?\s*(\d+)\s*\}?", without_text(text))
    return match[1] if match else ""
