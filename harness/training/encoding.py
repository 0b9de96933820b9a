"""Token ids of prompt and completions: what stands before a reply, and what the student learns to write.

A thought in a field of its own is trained on: as the chat template writes it, else between the model's think tags
before the answer. What the prompt has opened is not opened again, what has ended is not ended twice.
"""

from __future__ import annotations

import re
from typing import Any

from harness.errors import DataError
from harness.models.messages import THOUGHTS
from harness.models.prompts import (
    DEFAULT,
    encode,
    end_of_turn,
    ends,
    is_prefilled,
    render,
    think_tags,
    uses_chat,
)

Messages = list[dict[str, str]]


class Encoder:
    """Makes token ids with one tokenizer. ``ends``: the tokens that end a turn."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.tags, self.ends, turn = tokenizer, think_tags(tokenizer), ends(tokenizer), None
        if (written := end_of_turn(tokenizer)) is not None:
            turn = tokenizer.convert_tokens_to_ids(written)
        tokens = {token for token in (*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens) if token.strip()}
        # Looked up once: asking a tokenizer for its vocabulary at every row would cost more than encoding the row.
        self._token = re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or r"(?!)")
        self._turn_end = tokenizer.eos_token_id if turn is None else turn
        self._written_ends = [str(tokenizer.convert_ids_to_tokens(end)) for end in sorted(self.ends)]

    def ids(self, prompt: str | Messages, sides: list[Any], given: list[int] | None) -> list[list[int]] | None:
        """The ids of prompt and sides; None where the prompt's are those ``given``. Raises DataError, ModelError."""
        before = prompt if isinstance(prompt, str) else self._render(prompt)
        ids = list(encode(self.tokenizer, before, chat=not isinstance(prompt, str)))
        return None if ids == given else [ids, *(self._completion(prompt, before, side) for side in sides)]

    def _render(self, messages: Messages, generate: bool = True) -> str:
        if not uses_chat(self.tokenizer, DEFAULT):
            raise DataError("a conversation, but the tokenizer has no chat template; give texts instead")
        return render(self.tokenizer, messages, DEFAULT, generate)

    def _completion(self, prompt: str | Messages, before: str, side: str | Messages) -> list[int]:
        """The ids that follow the prompt's: for a conversation what the template adds, up to the end of the turn."""
        if isinstance(prompt, str) and isinstance(side, str):
            content, first = self._unended(side)
            text, ended, end = content + first, bool(first), self.tokenizer.eos_token_id
        elif isinstance(prompt, list) and isinstance(side, list):
            if len(side) > 1 or any(message["role"] != "assistant" for message in side):
                raise DataError("a completion is one message of the assistant; put earlier turns into the prompt")
            (content, _), end = self._unended(side[0]["content"] if side else ""), self._turn_end
            text, ended = self._turn(prompt, before, side[0] | {"content": content}) if content.strip() else ("", True)
        else:
            raise DataError("prompt and completion must both be texts or both be messages")
        if not content.strip():
            return []
        ids = list(self.tokenizer.encode(self._continuing(text, before), add_special_tokens=False))
        if not ended and end is None:
            raise DataError("the tokenizer has no end-of-sequence token to end a completion with")
        return ids if ended else [*ids, end]

    def _unended(self, text: str) -> tuple[str, str]:
        """The text without the ends of turn at its end, and the first of them."""
        first = ""
        while end := next((end for end in self._written_ends if text.rstrip().endswith(end)), ""):
            text, first = text.rstrip().removesuffix(end), end
        return text, first

    def _continuing(self, text: str, before: str) -> str:
        """The text without the opening tag, and the blanks behind it, in which the prompt ends already."""
        opening = self.tags[0]
        if not is_prefilled(before, self.tags) or not text.lstrip().startswith(opening):
            return text
        return text.lstrip().removeprefix(opening).removeprefix(before[before.rindex(opening) + len(opening) :])

    def _turn(self, prompt: Messages, before: str, reply: dict[str, str]) -> tuple[str, bool]:
        """What the template adds to the prompt, up to the token that ends the turn; whether there is such a token.

        What follows it is nobody's to learn. Where a template rewrites the prompt or the reply, the reply stands as it
        is.
        """
        content, thought = reply["content"], reply.get(THOUGHTS[0], "")
        if self.tags[1] in content and thought.strip() in content:
            thought = ""  # it stands there, too
        plain = {"role": "assistant", "content": content}
        added = self._added(prompt, before, plain)
        for name in (name for name in THOUGHTS if thought and name in str(self.tokenizer.chat_template)):
            more = self._added(prompt, before, plain | {name: thought})
            if more != added and thought.strip() in more and (found := self._ended(more, content)):
                return found
        if thought:
            content = self.tags[0] + thought + self.tags[1] + content
            added = self._added(prompt, before, plain | {"content": content})
        return self._ended(added, self._continuing(content, before)) or (content, False)

    def _added(self, prompt: Messages, before: str, reply: dict[str, str]) -> str:
        """What the template adds to a rendered prompt for a reply; empty where it rewrites the prompt."""
        whole = self._render([*prompt, reply], generate=False)
        return whole[len(before) :] if whole.startswith(before) else ""

    def _ended(self, added: str, written: str) -> tuple[str, bool] | None:
        """``added`` up to the token that ends the turn, and whether there is one; None without what was written."""
        at = added.rfind(written.strip())
        if at < 0:
            return None
        end = at + len(written.strip())
        first = self._token.search(added, end)
        return (added[: first.end()], True) if first else (added.rstrip(), False)
