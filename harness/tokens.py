"""Questions about sequences of tokens that several rooms ask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from harness.thoughts import TAGS, THINK_CLOSE, THINK_OPEN


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
