"""Thought kinds (those of arXiv 2503.01461, section 3), how a chain of them is written as text, and its tokens.

A chain is ``<think>`` + one tagged span per thought + ``</think>`` + the visible answer. The answer alone stands
outside the think block: ``</think>`` itself opens it, so a chain without an answer is an unfinished thought.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"

# The opening and the closing tag around a model's thinking.
Tags = tuple[str, str]
THINK_TAGS: Tags = (THINK_OPEN, THINK_CLOSE)

KINDS = (
    "sub-task", "thinking", "hypothesis", "double-check", "reflection", "reclarify", "thinking-from-scratch", "answer",
)  # fmt: skip
TAGS = tuple(tag for kind in KINDS if kind != "answer" for tag in (f"<{kind}>", f"</{kind}>"))


@dataclass(frozen=True)
class Span:
    """One thought: its kind, its text, and whether the text holds a deliberate error."""

    kind: str
    text: str
    faulty: bool = False

    @property
    def opening(self) -> str:
        return THINK_CLOSE if self.kind == "answer" else f"<{self.kind}>"

    @property
    def closing(self) -> str:
        """Text that ends a thought of this kind; the answer ends with the turn, so nothing is written."""
        return "" if self.kind == "answer" else f"</{self.kind}>"


def render(spans: Sequence[Span]) -> str:
    """The response text of a chain. Without thoughts before the answer the think block is empty."""
    return THINK_OPEN + "".join(span.opening + span.text + span.closing for span in spans)


def strip_tags(text: str) -> str:
    """Text of a thought without its tags, for counting words and for reading by people."""
    for tag in (*TAGS, THINK_OPEN, THINK_CLOSE):
        text = text.replace(tag, " ")
    return text


def tags_of(name: str) -> Tags:
    """``OPEN,CLOSE`` as a pair. Raises ValueError on anything else."""
    parts = [part.strip() for part in name.split(",")]
    if len(parts) != 2 or not all(parts) or parts[0] == parts[1]:
        raise ValueError(f"think tags {name!r}: write the opening and the closing tag, as in '<think>,</think>'")
    return parts[0], parts[1]


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of leading tokens that both sequences share."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def special_tokens(tokenizers: Sequence[Any]) -> re.Pattern[str] | None:
    """A pattern for the control tokens of these vocabularies (not the tags of thoughts): no text may hold one."""
    control = {str(token) for of in tokenizers for token in of.all_special_tokens}
    for of in tokenizers:  # those without a role of their own, as <|start_header_id|>
        control |= {str(token) for token in getattr(of, "added_tokens_decoder", {}).values() if token.special}
    known = control - {THINK_OPEN, THINK_CLOSE, *TAGS}
    return re.compile("|".join(map(re.escape, sorted(known, key=len, reverse=True)))) if known else None
