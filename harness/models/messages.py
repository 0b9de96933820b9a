"""Chat messages as servers, tools and data sets write them: the content, and the thought, wherever it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The fields in which a thought is kept apart from its answer.
THOUGHTS = ("reasoning_content", "reasoning", "thinking")


def of_message(message: Mapping[str, Any]) -> tuple[Any, str]:
    """Content and thought of a message, whose content may be a list of parts, thoughts among them.

    Raises KeyError, TypeError or AttributeError for a message of another shape.
    """
    content, thoughts = message.get("content"), [message[name] for name in THOUGHTS if message.get(name)][:1]
    if isinstance(content, list):
        inner = [part for part in content if part["type"] in ("reasoning", "thinking")]
        thoughts += [part.get("reasoning") or part.get("thinking") or part.get("text") or "" for part in inner]
        content = "".join(part["text"] for part in content if part["type"] in ("text", "output_text"))
    return content, "\n".join(thoughts)
