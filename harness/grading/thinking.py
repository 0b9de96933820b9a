"""The one splitter of thinking from answer, for every task and backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.records import ThinkState
from harness.thoughts import THINK_TAGS, Tags


class Parts(NamedTuple):
    """``answer_start``: offset in the text at which the answer begins (its length when there is none)."""

    state: ThinkState
    thinking: str
    answer: str
    answer_start: int = 0


def split(text: str, tags: Tags = THINK_TAGS, prefilled: bool = False, thought: str = "") -> Parts:
    """Split a response. ``prefilled``: the prompt already opened the think block, so the text has no opening tag.

    ``thought``: what came in a field of its own; the text is then the answer, unless it has tags itself.

    The last closing tag ends the thinking; an opening tag after it (or one never closed) leaves the thought *unclosed*
    and the answer empty: an unfinished thought is never handed to a grader as the answer. A tag between single
    backticks is talk about tags, not a tag.
    """
    if thought:
        parts = split(text, tags)
        state: ThinkState = "closed" if parts.state == "none" else parts.state
        return parts._replace(state=state, thinking=thought + parts.thinking)
    opening, closing = tags
    openings, closings = _places(text, opening), _places(text, closing)
    first, start, end = openings[0], openings[-1], closings[-1]
    if start < 0 and end < 0:
        return Parts("unclosed", text, "", len(text)) if prefilled else Parts("none", "", text)
    if start > end:
        return Parts("unclosed", text[start + len(opening) :], "", len(text))
    inside = text[first + len(opening) : end] if 0 <= first < end else text[:end]
    state = "closed" if prefilled or 0 <= first < end else "orphan_close"
    after = end + len(closing)
    return Parts(state, inside, text[after:], after)


def stopped(text: str, stops: Sequence[str], tags: Tags = THINK_TAGS, prefilled: bool = False) -> str:
    """The response up to the first stop string in its answer; a stop string in a thought ends nothing."""
    start = split(text, tags, prefilled).answer_start
    ends = [at for stop in stops if (at := text.find(stop, start)) >= 0]
    return text[: min(ends, default=len(text))]


def _places(text: str, tag: str) -> list[int]:
    """Where the tag stands, but not between single backticks (three are a fence, at a thought's end); -1 if nowhere."""
    places, at = list[int](), text.find(tag)
    while at >= 0:
        before, after = text[max(0, at - 2) : at], text[at + len(tag) : at + len(tag) + 2]
        if not before[-1:] == "`" == after[:1] or "``" in (before, after):
            places.append(at)
        at = text.find(tag, at + 1)
    return places or [-1]
