"""The one splitter of thinking from answer, for every task and backend."""

from __future__ import annotations

from dataclasses import dataclass

from harness.records import ThinkState
from harness.thoughts import THINK_TAGS, Tags


@dataclass(frozen=True)
class Parts:
    """``answer_start``: offset in the text at which the answer begins (its length when there is none)."""

    state: ThinkState
    thinking: str
    answer: str
    answer_start: int = 0


def split(text: str, tags: Tags = THINK_TAGS, prefilled: bool = False) -> Parts:
    """Split a response. ``prefilled``: the prompt already opened the think block, so the text has no opening tag.

    The last closing tag ends the thinking; an opening tag after it (or one never closed) leaves the thought *unclosed*
    and the answer empty: an unfinished thought is never handed to a grader as the answer. A tag between single
    backticks is talk about tags, not a tag.
    """
    opening, closing = tags
    start, end = _last(text, opening), _last(text, closing)
    if start < 0 and end < 0:
        return Parts("unclosed", text, "", len(text)) if prefilled else Parts("none", "", text)
    if start > end:
        return Parts("unclosed", text[start + len(opening) :], "", len(text))
    first = _first(text, opening)
    inside = text[first + len(opening) : end] if 0 <= first < end else text[:end]
    state: ThinkState = "closed" if prefilled or 0 <= first < end else "orphan_close"
    after = end + len(closing)
    return Parts(state, inside, text[after:], after)


def _first(text: str, tag: str) -> int:
    at = text.find(tag)
    while at >= 0 and _quoted(text, at, len(tag)):
        at = text.find(tag, at + len(tag))
    return at


def _last(text: str, tag: str) -> int:
    at = text.rfind(tag)
    while at >= 0 and _quoted(text, at, len(tag)):
        at = text.rfind(tag, 0, at)
    return at


def _quoted(text: str, at: int, length: int) -> bool:
    """Between single backticks; three of them are a fence, which may well end a thought or begin an answer."""
    before, after = text[max(0, at - 2) : at], text[at + length : at + length + 2]
    return before[-1:] == "`" == after[:1] and before != "``" != after
