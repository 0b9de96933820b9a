"""From a user message to prompt token ids: chat template when the tokenizer has one, exactly one BOS, think tags."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from harness.errors import ModelError
from harness.models.base import Completion
from harness.models.spec import Prompting
from harness.thoughts import THINK_TAGS, Tags

# Pairs of tags that reasoning models use; the first that a chat template or vocabulary mentions is the model's.
KNOWN_TAGS: tuple[Tags, ...] = (
    THINK_TAGS, ("<|begin_of_thought|>", "<|end_of_thought|>"), ("<Thought>", "</Thought>"),
    ("<reasoning>", "</reasoning>"), ("<seed:think>", "</seed:think>"),
)  # fmt: skip
DEFAULT = Prompting()
# Before a template that prints today's date: always the date that Llama 3.2 prints where it is told none. A macro,
# because transformers lets no function into a template; the blank at its end keeps a line end that follows.
_FIXED = {f"%{each}": date(2024, 7, 26).strftime(f"%{each}") for each in [*"aAbBdeFHIjmMpSTyY", "-d", "-m"]}
_SAME_DAY = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(f".replace('{code}', '{text}')" for code, text in _FIXED.items())
    + " }}{% endmacro %}{{ '' }}"
)
_REPLY = "a-reply"


def uses_chat(tokenizer: Any, prompting: Prompting) -> bool:
    return prompting.chat and bool(getattr(tokenizer, "chat_template", None))


def think_tags(tokenizer: Any, prompting: Prompting = DEFAULT) -> Tags:
    """The tags around a model's thinking: as given, else as its template or vocabulary has them, else ``<think>``."""
    if prompting.tags is not None:
        return prompting.tags
    return next(_known_tags(tokenizer), THINK_TAGS)


def may_think(tokenizer: Any, prompting: Prompting) -> bool:
    """Whether an answer may open a thought: by the switch, else where tags are given or the tokenizer knows some."""
    if prompting.thinking != "auto":
        return prompting.thinking == "on"
    return prompting.tags is not None or any(_known_tags(tokenizer))


def _known_tags(tokenizer: Any) -> Iterator[Tags]:
    template = str(getattr(tokenizer, "chat_template", None) or "")
    added: dict[str, int] = getattr(tokenizer, "get_added_vocab", dict)()
    return (tags for tags in KNOWN_TAGS if tags[0] in template or tags[1] in template or tags[1] in added)


def is_prefilled(prompt: str, tags: Tags) -> bool:
    """Whether a rendered prompt already opens the think block, so that the response starts inside it."""
    return prompt.rstrip().endswith(tags[0])


def template_options(prompting: Prompting) -> dict[str, bool]:
    """Options of the chat template."""
    return {} if prompting.thinking == "auto" else {"enable_thinking": prompting.thinking == "on"}


def render(tokenizer: Any, messages: list[dict[str, str]], prompting: Prompting, generate: bool = True) -> str:
    """The chat as text, the same on every day. Raises ModelError when the template refuses it."""
    extra: dict[str, Any] = {**template_options(prompting)}
    try:
        if "strftime_now" in str(getattr(tokenizer, "chat_template", "")):
            extra["chat_template"] = _SAME_DAY + tokenizer.get_chat_template()
        return str(tokenizer.apply_chat_template(messages, add_generation_prompt=generate, tokenize=False, **extra))
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise ModelError(f"the chat template refuses this conversation ({why}); try --no-chat-template") from error


def first_token(tokenizer: Any, text: str) -> tuple[int, str] | None:
    """The first token that was added to the vocabulary as a whole in a text, and where; blanks and line ends aside."""
    tokens = {*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens}
    found = ((at, token) for token in tokens if token.strip() and (at := text.find(token)) >= 0)
    return min(found, key=lambda each: (each[0], -len(each[1])), default=None)


def end_of_turn(tokenizer: Any) -> str | None:
    """The token that the chat template writes after an assistant's reply; None where it writes none."""
    messages = [{"role": "user", "content": "a-question"}, {"role": "assistant", "content": _REPLY}]
    try:
        _, reply, after = render(tokenizer, messages, DEFAULT, generate=False).rpartition(_REPLY)
    except ModelError:  # it has no template, or one for other conversations
        return None
    found = first_token(tokenizer, after.lstrip()) if reply else None
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return found[1] if found and (found[0] == 0 or found[1] in special) else None


def ends(tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer: the tokenizer's own, and its chat template's end of turn.

    They differ in base models with a chat template, which would never stop at the first alone.
    """
    turn = end_of_turn(tokenizer)
    known = (tokenizer.eos_token_id, None if turn is None else tokenizer.convert_tokens_to_ids(turn))
    return frozenset(token for token in known if token is not None)


def encode(tokenizer: Any, prompt: str, chat: bool) -> tuple[int, ...]:
    """Token ids of a rendered prompt, with one BOS where the tokenizer has one. Raises ModelError on two."""
    ids = tuple(tokenizer.encode(prompt, add_special_tokens=not chat))
    bos = tokenizer.bos_token_id
    if bos is not None and ids[:2] == (bos, bos):
        raise ModelError("the prompt starts with two BOS tokens: the chat template and the tokenizer both add one")
    return ids


def whole_text(completion: Completion, prompt: str, tags: Tags) -> str:
    """A completion's text with the thought that its server split off, between tags as the model writes them."""
    if not completion.thought:
        return completion.text
    opening = "" if is_prefilled(prompt, tags) else tags[0]
    is_cut = completion.finish != "stop" and not completion.text
    return opening + completion.thought + ("" if is_cut else tags[1] + completion.text)


def chain_prompt_ids(tokenizer: Any, message: str) -> tuple[int, ...]:
    """Token ids before a chain, which opens its thinking itself: without an opening tag that the template prefills."""
    ids = prompt_ids(tokenizer, message)
    for start in range(len(ids) - 1, max(0, len(ids) - 9), -1):
        if is_prefilled(tokenizer.decode(list(ids[start:])), THINK_TAGS):
            return ids[:start]
    return ids


def prompt_ids(tokenizer: Any, message: str, prompting: Prompting = DEFAULT) -> tuple[int, ...]:
    """Token ids that a model continues as the assistant's turn."""
    return encode(tokenizer, prompt_text(tokenizer, message, prompting), uses_chat(tokenizer, prompting))


def conversation_ids(tokenizer: Any, messages: list[dict[str, str]]) -> tuple[int, ...]:
    """Token ids that a model continues after a conversation.

    Where there is no chat template, or it drops what the assistant said (some drop thoughts), it is one message.
    """
    if len(messages) > 1 and uses_chat(tokenizer, DEFAULT):
        text = render(tokenizer, messages, DEFAULT)
        if all(each["content"] in text for each in messages if each["role"] == "assistant"):
            return encode(tokenizer, text, chat=True)
    return prompt_ids(tokenizer, "\n\n".join(message["content"] for message in messages))


def prompt_text(tokenizer: Any, message: str, prompting: Prompting = DEFAULT) -> str:
    """What a model is shown for a user's message: rendered by the chat template, if one is used."""
    if not uses_chat(tokenizer, prompting):
        return (prompting.system or "") + message
    messages = [{"role": "system", "content": prompting.system}] if prompting.system else []
    return render(tokenizer, [*messages, {"role": "user", "content": message}], prompting)
