"""The one splitter of thinking from answer, for every task and backend."""

from __future__ import annotations

from dataclasses import dataclass

from harness.records import ThinkState
from harness.thoughts import THINK_CLOSE, THINK_OPEN


@dataclass(frozen=True)
class Parts:
    state: ThinkState
    thinking: str
    answer: str


def split(text: str, opening: str = THINK_OPEN, closing: str = THINK_CLOSE, prefilled: bool = False) -> Parts:
    """Split a response. ``prefilled``: the prompt already opened the think block, so the text has no opening tag.

    The last closing tag ends the thinking; an opening tag after it (or one never closed) leaves the thought *unclosed*
    and the answer empty: an unfinished thought is never handed to a grader as the answer.
    """
    start, end = text.rfind(opening), text.rfind(closing)
    if start < 0 and end < 0:
        return Parts("unclosed", text, "") if prefilled else Parts("none", "", text)
    if start > end:
        return Parts("unclosed", text[start + len(opening) :], "")
    first = text.find(opening)
    inside = text[first + len(opening) : end] if 0 <= first < end else text[:end]
    state: ThinkState = "closed" if prefilled or 0 <= first < end else "orphan_close"
    return Parts(state, inside, text[end + len(closing) :])
