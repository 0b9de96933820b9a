"""How evaluation frames a question, and how the prompts of training rows differ from that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.models.prompts import prompt_text, think_tags, uses_chat
from harness.models.spec import Prompting
from harness.problems.file import Row

_QUESTION = "a-question"


class Framing:
    """What a model's prompts have around a question. Raises ModelError where its template refuses one."""

    def __init__(self, tokenizer: Any, prompting: Prompting) -> None:
        self._head, found, self._tail = prompt_text(tokenizer, _QUESTION, prompting).partition(_QUESTION)
        if not found:  # the template rewrites what it is given: nothing to hold prompts against
            self._head = self._tail = ""
        self._opening = think_tags(tokenizer, prompting)[0]
        chat = prompt_text(tokenizer, _QUESTION) if not uses_chat(tokenizer, prompting) else ""
        self._unasked = _dense(chat.partition(_QUESTION)[2])

    def question(self, row: Row, prompt: str) -> str:
        """What a row asks: its last message of the user, or what stands in its prompt's frame."""
        said = [str(each.get("content")) for each in _messages(row) if each.get("role") == "user"]
        if said:
            return said[-1]
        inside = prompt.removesuffix(self._tail).removesuffix(self._tail.rstrip().removesuffix(self._opening))
        return inside.removeprefix(self._head).strip()

    def faults(self, row: Row, prompt: str, reply: str) -> Iterator[str]:
        """How a row's prompt differs from evaluation's. The tag that opens the thought may stand on either side."""
        prompt, reply, head, tail = map(_dense, (prompt, reply, self._head, self._tail))
        if not any(prompt.endswith(tail[:at]) and reply.startswith(tail[at:]) for at in range(len(tail) + 1)):
            yield f"have prompts that do not end as evaluation's do (…{tail[-40:]}): another template"
        elif self._unasked and prompt.endswith(self._unasked):
            yield "have prompts in the chat template, which evaluation is to leave out"
        elif not prompt.startswith(head) and not any(each.get("role") == "system" for each in _messages(row)):
            yield f"have prompts that do not begin as evaluation's do ({head[:40]}…)"


def _messages(row: Row) -> list[Row]:
    asked = row.get("messages") or row.get("prompt") or row.get("chosen")
    return [each for each in asked if isinstance(each, dict)] if isinstance(asked, list) else []


def _dense(text: str) -> str:
    """Without blanks, which decoding may move."""
    return "".join(text.split())
