"""Boxes, the statements of a trace, and what a limit left of an answer. Linear in the length of the text."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 20_000
MOST = 2_000  # statements of one trace

_BOX = re.compile(r"\\(?:boxed|fbox)\s*")
_BARE_BOX = re.compile(r"\\boxed\s*([^\s{}\\$.,]{1,40})")
_ANSWER = re.compile(r"\banswer\b[^.\n:=]{0,40}?(?:\bis\b|:|=)\s*\**\s*\\?\$?([^\n.;$]{1,80})", re.IGNORECASE)
_HASHES = re.compile(r"####\s*([^\n]{1,80})")


def boxes(text: str) -> list[tuple[int, int]]:
    """(start, end) of the content of every balanced box, by start. One pass with a stack of open braces."""
    starts = {m.end() for m in _BOX.finditer(text)}
    spans: list[tuple[int, int]] = []
    open_braces: list[int] = []
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL) if starts else ():
        if match.group() == "{":
            open_braces.append(match.start())
        elif match.group() == "}" and open_braces:
            opened = open_braces.pop()
            if opened in starts:
                spans.append((opened + 1, match.start()))
    return sorted(spans)


def last_box(text: str) -> str | None:
    """Content of the last balanced ``\\boxed{...}`` (or ``\\boxed 5``); None when there is none."""
    contents = [text[start:end] for start, end in boxes(text)]
    stated = [content for content in contents if content.strip()] if contents else _BARE_BOX.findall(text)
    return stated[-1] if stated else None


def candidates(text: str, results: Iterable[tuple[int, str]]) -> list[tuple[int, str, bool]]:
    """(end, statement, whether marked as the answer) in a trace, by end; ``results`` are those on the way."""
    stated = [(end, text[start:end]) for start, end in boxes(text)]
    stated += [(m.end(), m[1]) for pattern in (_ANSWER, _HASHES) for m in pattern.finditer(text)]
    ends = {end for end, _ in stated}
    return sorted([(*s, True) for s in stated] + [(*r, False) for r in results if r[0] not in ends])[:MOST]


def closed_before_cut(text: str) -> str:
    """A text that a limit cut, up to the last line, sentence, formula or box that was closed: 18 may become 180."""
    if text.count("$") % 2 and last_box(text[text.rindex("$") :]) is None:
        text = text[: text.rindex("$")]
    ends = [text.rfind(mark) + len(mark) for mark in ("\n", ". ", "; ", "$") if mark in text]
    return text[: max([*ends, *(end + 1 for _, end in boxes(text))], default=0)]
