"""The first words with a server: what it serves, which API it speaks, how much it holds, and a fixed question."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from harness.errors import Refused, ServerError
from harness.models.base import Conversation, Request
from harness.models.server.client import Client
from harness.models.server.dialect import Api, Choice, Dialect, choice_of
from harness.models.server.refusals import overflow, refused_fields

_SMALL = 1 << 20  # bytes of a reply here
_ASKED = "One, two, three, four, five,"
_BEGUN = "One, two, three, four, five, six, seven, eight,"
_ANSWER = 8  # tokens
_Entry = dict[str, Any]  # of a server's list of models
_CONTEXTS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")


@dataclass(kw_only=True)
class Server:
    """What a server said of itself. ``listed``: its entry for the model (id, root and others); ``context``: 0 unknown.

    ``answered_as``: the model's name in its replies. ``answer``: its greedy answer to a fixed prompt.
    """

    dialect: Dialect
    context: int = 0
    listed: _Entry = field(default_factory=dict)
    answered_as: str = ""
    answer: str = ""


async def greet(
    client: Client, url: str, model: str, tokenizer: Any, api: Api | Literal["auto"], extra: dict[str, Any]
) -> Server:
    """Ask a server who it is. Raises ServerError where it serves nothing, or not by the API that is asked for."""
    entry = await _listed(client, url, model)
    context = _context(entry) or await _props(client, url)
    if api == "auto":
        tries = [("completions", "ids"), ("completions", "text"), ("chat", "ids")]
    else:
        tries = [("chat", "ids")] if api == "chat" else [("completions", "ids"), ("completions", "text")]
    refused: list[tuple[str, Refused]] = []
    for name, prompts in tries:
        if refused and refused[-1][1].status in (401, 403):
            break
        dialect = Dialect(api=name, prompts=prompts, extra=extra)  # type: ignore[arg-type]
        try:
            choice = await _probe(client, url, dialect, model, tokenizer)
        except Refused as error:
            refused.append((dialect.path, error))
            continue
        server = Server(dialect=dialect, context=context, listed=entry, answered_as=choice.model, answer=choice.text)
        _count(url, server, choice, tokenizer)
        return server
    path, last = refused[-1]
    raise client.refusal(last, f"{url}{path}", model)


async def continue_turns(client: Client, url: str, dialect: Dialect, model: str, tokenizer: Any) -> None:
    """Find how a chat server continues an assistant's turn. Raises ServerError where it does not.

    The prompt's tokens show it: a turn that is continued adds its own, one that is closed its end and a new turn too.
    """
    talk = Conversation([{"role": "user", "content": _ASKED}])
    begun = len(tokenizer.encode(_BEGUN, add_special_tokens=False))
    with suppress(Refused):
        before = (await _probe(client, url, dialect, model, tokenizer, talk)).prompt_tokens
        for way in ("flags", "prefix"):
            dialect.continues = way
            with suppress(Refused):
                after = (await _probe(client, url, dialect, model, tokenizer, talk.continued(_BEGUN))).prompt_tokens
                if before is not None and after is not None and abs(after - before - begun) <= 1:
                    return
    raise ServerError(
        f"{url}: speaks chat alone and does not continue a turn that was begun (by continue_final_message or prefix, "
        "seen in its count of the prompt's tokens); search and thinking budgets need that, or a completions server"
    )


async def _probe(
    client: Client, url: str, dialect: Dialect, model: str, tokenizer: Any, talk: Conversation | None = None
) -> Choice:
    """A short greedy answer; fields that the server refuses are dropped. Raises Refused for the rest."""
    ids = tuple(tokenizer.encode(_ASKED, add_special_tokens=False))
    talk = talk or Conversation([{"role": "user", "content": _ASKED}])
    request = Request(ids, _ANSWER, conversation=lambda: talk)
    while True:
        body = dialect.body(model, request, _ANSWER, tokenizer)
        try:
            # Some servers answer a body of another form with 500 (llama-cpp-python).
            return await client.ask(
                f"{url}{dialect.path}",
                orjson.dumps(body),
                _SMALL,
                lambda text: choice_of(text, dialect.api),
                (500, 501),
            )
        except Refused as refused:
            if over := overflow(refused.status, refused.page):
                raise ServerError(f"{url}: a context of {over.limit or 'few'} tokens holds no prompt") from None
            optional = set(body) - {"model", "prompt", "messages"} - dialect.extra.keys()
            unknown = refused_fields(refused.status, refused.page, sorted(optional))
            if not unknown:
                raise
            dialect.dropped |= set(unknown)


def _count(url: str, server: Server, choice: Choice, tokenizer: Any) -> None:
    """Whether a server that takes text counts as the tokenizer does. Raises ServerError where it does not."""
    if server.dialect.api == "chat" or server.dialect.prompts == "ids" or choice.prompt_tokens is None:
        return
    here = len(tokenizer.encode(_ASKED, add_special_tokens=False))
    if choice.prompt_tokens not in (here, here + 1):
        raise ServerError(
            f"{url}: counts {choice.prompt_tokens} tokens in a text of {here}: another tokenizer; give the model's "
            "own with --tokenizer PATH, or use --api chat"
        )
    server.dialect.adds_bos = choice.prompt_tokens == here + 1


async def listed(client: Client, url: str, model: str = "") -> list[_Entry]:
    """The server's list of models, none where it has no such list. Raises ServerError where it asks for a key."""
    try:
        return await client.ask(f"{url}/models", None, 16 * _SMALL, _entries)
    except Refused as refused:
        if refused.status in (401, 403):
            raise client.refusal(refused, f"{url}/models", model) from None
        return []


async def _listed(client: Client, url: str, model: str) -> _Entry:
    """The server's entry for the model in its list; empty where it lists none or another."""
    data = await listed(client, url, model)
    named = next((entry for entry in data if model in (entry.get("id"), entry.get("root"))), None)
    return named or (data[0] if len(data) == 1 else {})


def _entries(text: str) -> tuple[list[_Entry] | None, str]:
    try:
        data = orjson.loads(text)["data"]
    except (ValueError, KeyError, TypeError):
        return [], ""
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else [], ""


def _context(entry: _Entry) -> int:
    """Tokens that the model is served with, where its entry says so; llama.cpp puts them under ``meta``."""
    meta = entry.get("meta")
    values = [entry.get(name) for name in _CONTEXTS] + [meta.get("n_ctx") if isinstance(meta, dict) else None]
    return next((value for value in values if isinstance(value, int) and value > 0), 0)


async def _props(client: Client, url: str) -> int:
    """The context of llama.cpp's own server, which tells it beside the API."""

    def read(text: str) -> tuple[int | None, str]:
        try:
            return int(orjson.loads(text)["default_generation_settings"]["n_ctx"]), ""
        except (ValueError, KeyError, TypeError):
            return 0, ""

    try:
        return await client.ask(f"{url.removesuffix('/v1')}/props", None, _SMALL, read)
    except (Refused, ServerError):
        return 0
