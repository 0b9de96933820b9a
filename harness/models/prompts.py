"""From a user message to prompt token ids: chat template when the tokenizer has one, exactly one BOS."""

from __future__ import annotations

from typing import Any

from harness.models.base import ModelError


def prompt_ids(tokenizer: Any, message: str, chat: bool = True) -> tuple[int, ...]:
    """Token ids that a model continues as the assistant's turn. Raises ModelError on a doubled BOS."""
    if chat and getattr(tokenizer, "chat_template", None):
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": message}], add_generation_prompt=True, tokenize=True, return_dict=False
        )
    else:
        ids = tokenizer.encode(message, add_special_tokens=True)
    bos = tokenizer.bos_token_id
    if bos is not None and list(ids[:2]) == [bos, bos]:
        raise ModelError("the prompt starts with two BOS tokens: the chat template and the tokenizer both add one")
    return tuple(ids)


def render_chat(tokenizer: Any, messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """The chat as text, for harnesses that pass text around."""
    return str(tokenizer.apply_chat_template(messages, add_generation_prompt=add_generation_prompt, tokenize=False))
