"""How one server is spoken to: which API, prompts as ids or text, which fields it takes; bodies out, choices in."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson

from harness.errors import ServerError
from harness.models.base import Request

# Why a completion ended, in the words of several servers. Anything else (an abort, none at all) is no completion.
_REASONS = {"stop", "length", "eos", "eos_token", "end_turn", "stop_sequence", "max_tokens"}
_ENDED = {"eos", "eos_token", "end_turn"}

Api = Literal["completions", "chat"]


@dataclass(kw_only=True)
class Dialect:
    """``prompts``: how a completions server takes them. ``adds_bos``: it puts the BOS token before a text itself.

    ``continues``: how a chat server is asked to continue a turn: by vLLM's flags, or a prefix (DeepSeek, Mistral).
    ``dropped``: fields that the server refuses, which are sent no more. ``extra``: the user's own fields, sent always.
    """

    api: Api = "completions"
    prompts: Literal["ids", "text"] = "ids"
    adds_bos: bool = False
    continues: Literal["flags", "prefix"] = "flags"
    dropped: set[str] = field(default_factory=set)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return "/chat/completions" if self.api == "chat" else "/completions"

    def body(self, model: str, request: Request, room: int, tokenizer: Any) -> dict[str, Any]:
        """The body of a request. Every sampling parameter is sent, so that no server's default acts unseen."""
        body: dict[str, Any] = {"model": model}
        if self.api == "chat":
            if request.conversation is None:
                raise ServerError("the server speaks chat alone, and this prompt is no conversation; use completions")
            talk = request.conversation()
            body["messages"] = list(talk.messages)
            if talk.template:
                body["chat_template_kwargs"] = talk.template
            if talk.begun and self.continues == "flags":
                body |= {"add_generation_prompt": False, "continue_final_message": True}
            elif talk.begun:
                body["messages"][-1] = body["messages"][-1] | {"prefix": True}
        else:
            body["prompt"] = list(request.prompt_ids) if self.prompts == "ids" else self._text(request, tokenizer)
        body |= {
            "max_tokens": room, "temperature": request.temperature, "top_p": request.top_p,
            "seed": request.seed % (1 << 31), "stop": list(request.stop) or None, **self.optional(request),
        }  # fmt: skip
        for name in self.dropped:
            body.pop(name, None)
        if "max_tokens" in self.dropped:  # OpenAI's reasoning models
            body["max_completion_tokens"] = room
        return body | self.extra

    @staticmethod
    def optional(request: Request) -> dict[str, Any]:
        """Fields beyond OpenAI's own, with their values; a server may refuse those that switch nothing on."""
        return {
            "top_k": request.top_k, "min_p": request.min_p, "repetition_penalty": request.repetition_penalty,
            "repeat_penalty": request.repetition_penalty, "return_token_ids": True, "skip_special_tokens": False,
        }  # fmt: skip

    def _text(self, request: Request, tokenizer: Any) -> str:
        ids = request.prompt_ids
        if self.adds_bos and ids[:1] == (tokenizer.bos_token_id,):
            ids = ids[1:]
        return str(tokenizer.decode(ids))


class Choice(NamedTuple):
    """A completion as the server gave it. None: not reported. ``tokens``, ``prompt_tokens``: the server's counts.

    ``thought``: reasoning that the server split off. ``met``: the stop string, or the id of the end token, as vLLM
    names it.
    """

    text: str
    thought: str = ""
    ids: list[int] | None = None
    reason: str = ""
    met: str | int | None = None
    says_met: bool = False
    model: str = ""
    tokens: int | None = None
    prompt_tokens: int | None = None
    usage: dict[str, Any] = {}


def choice_of(reply: str, api: Api) -> tuple[Choice | None, str]:
    """The first choice of a reply, or what is wrong with it."""
    endpoint = "chat" if api == "chat" else "completions"
    try:
        try:
            whole = orjson.loads(reply)
        except ValueError:  # it refuses half of a surrogate pair, which is no reason to ask again
            whole = json.loads(reply)
        first = dict(whole["choices"][0])
        message = dict(first["message"]) if api == "chat" else first
    except (ValueError, RecursionError):
        return None, f"the reply is not JSON; is this a {endpoint} endpoint?"
    except (KeyError, IndexError, TypeError):
        return None, f"the reply has no choices; is this a {endpoint} endpoint?"
    ids, reason = first.get("token_ids"), first.get("finish_reason")
    text = message.get("content" if api == "chat" else "text")
    thought = message.get("reasoning_content") or message.get("reasoning") or ""
    if text is None and (thought or message.get("refusal")):
        text = message.get("refusal") or ""
    if not isinstance(text, str) or not isinstance(thought, str):
        return None, "the reply has no text"
    if ids is not None and not (isinstance(ids, list) and set(map(type, ids)) <= {int}):
        return None, "the reply's token_ids are not a list of numbers"
    if ids and not 0 <= min(ids) <= max(ids) < 1 << 31:
        return None, "the reply's token_ids are not ids of tokens"
    if reason not in _REASONS:
        return None, f"the reply ended for the reason {str(reason)[:40]!r}, which is neither stop nor length"
    usage = whole.get("usage") if isinstance(whole.get("usage"), dict) else {}
    return Choice(
        text=_whole(text), thought=_whole(thought), ids=ids or None, reason=reason, met=first.get("stop_reason"),
        says_met="stop_reason" in first, model=str(whole.get("model") or ""), usage=usage,
        tokens=_count(usage, "completion_tokens"), prompt_tokens=_count(usage, "prompt_tokens"),
    ), ""  # fmt: skip


def ended_turn(choice: Choice) -> bool:
    """Whether the model ended its turn, where the server says so.

    vLLM names the stop string that it met, nothing at the tokenizer's end token, and the id of any other end token.
    """
    return choice.reason in _ENDED or (choice.says_met and not isinstance(choice.met, str))


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # half of a surrogate pair is no text


def _count(usage: dict[str, Any], name: str) -> int | None:
    value = usage.get(name)
    return value if isinstance(value, int) and value >= 0 else None
