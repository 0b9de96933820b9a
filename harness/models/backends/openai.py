"""Any OpenAI-compatible server: completions (prompts as token ids where it takes them, else as text) or chat.

``vllm serve`` is the reference one: ids go out and come back, so nothing is tokenised twice.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from harness.errors import ModelError, Refused, ServerError, Usage
from harness.files import about, read_json
from harness.journal import write_whole
from harness.models.backends import tokenizer_path
from harness.models.base import Completion, Request
from harness.models.loading import context_length, load_tokenizer, model_digest, resolve
from harness.models.prompts import ends
from harness.models.server.client import Client
from harness.models.server.dialect import Api, Choice, Dialect, choice_of, ended_turn
from harness.models.server.greeting import Server, continue_turns, greet, listed
from harness.models.server.refusals import Overflow, overflow, refused_fields
from harness.models.server.slots import Slots
from harness.models.server.transport import Reply, Send, connections, headers_of
from harness.models.spec import ModelSpec
from harness.records import Finish

# Sends one request body, returns status and text of the reply. Raises OSError or TimeoutError when there is none.
Post = Callable[[bytes], Awaitable[tuple[int, str]]]
_PADDING = 4096  # ids past the tokenizer's that a padded vocabulary may hold


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a server is asked. ``api`` "auto": its own is found; None: completions with ids, without a first word."""

    api: Api | Literal["auto"] | None = None
    headers: Mapping[str, str]
    extra: Mapping[str, Any]


class OpenAICompleter:
    """``base_url`` ends in ``/v1``. Failures that may pass are tried again ``retries`` times with backoff.

    Those are transport errors, 408, 409, 429 and 5xx, and replies that are no whole completion. ``concurrency``: calls
    in flight, ``timeout``: seconds of each. ``digest``: by default the model's name. ``post`` replaces the network.
    ``memory``: a file that keeps what the server said of itself, so that another one at its address is noticed.
    """

    lockstep = False
    batch_tokens = 0

    def __init__(
        self, *, base_url: str, model: str, tokenizer: Any, digest: str = "", concurrency: int = 64,
        timeout: float = 600.0, retries: int = 5, backoff: float = 0.5, post: Post | None = None, context: int = 0,
        asking: Asking | None = None, memory: Path | None = None,
    ) -> None:  # fmt: skip
        self.digest = digest or model
        self.model = model
        self.tokenizer = tokenizer
        # Looked up anew for every completion they would cost more than its parsing.
        self._end, self._end_id, self._vocabulary = tokenizer.eos_token, tokenizer.eos_token_id, len(tokenizer)
        self.context = context
        self.batch_size = concurrency
        self.generated_tokens = 0
        self.usage: Counter[str] = Counter()  # as the server counts
        self._asking = asking or Asking(headers={}, extra={})
        self._retries, self._backoff, self._timeout, self._given_post = retries, backoff, timeout, post
        self._url, self._memory = base_url.rstrip("/"), memory
        # Connections and slots belong to one event loop, and every run of a task has its own.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None if self._asking.api else Server(dialect=Dialect())

    async def _here(self) -> tuple[Client, Server]:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._client = Client(
                await self._sender(), Slots(self.batch_size), retries=self._retries, backoff=self._backoff,
                patience=max(60.0, self._timeout), secrets=tuple(self._asking.headers.values()),
            )  # fmt: skip
            self._greeting = asyncio.ensure_future(self._greeted())
            self._continuing: asyncio.Future[None] | None = None
        # One greeting for all calls, and one failure of it.
        return self._client, await asyncio.shield(self._greeting)

    async def _sender(self) -> Send:
        if (post := self._given_post) is not None:

            async def send(url: str, body: bytes | None, most: int) -> Reply:
                return Reply(*await post(body or b""))

            return send
        # The loop closes its generators when it ends, and with this one the connections.
        self._connections = connections(self._url, self._timeout, self.batch_size, self._asking.headers)
        return await anext(self._connections)

    async def _greeted(self) -> Server:
        if self._server is None:
            asking = self._asking
            server = await greet(
                self._client, self._url, self.model, self.tokenizer, asking.api or "auto", dict(asking.extra)
            )
            self._remember(server)
            self.context = server.context or self.context
            self._server = server
        return self._server

    async def greet(self) -> Server:
        """What the server says of itself. Raises ServerError."""
        return (await self._here())[1]

    async def complete(self, request: Request) -> Completion:
        client, server = await self._here()
        nothing = Completion("", (), "context", len(request.prompt_ids))
        room = request.room(self.context)
        begun = request.conversation().begun if server.dialect.api == "chat" and request.conversation else ""
        if begun:
            self._continuing = self._continuing or asyncio.ensure_future(
                continue_turns(client, self._url, server.dialect, self.model, self.tokenizer)
            )
            await asyncio.shield(self._continuing)
        async with client.slots.one():
            while room > 0:
                url = f"{self._url}{server.dialect.path}"
                body = orjson.dumps(server.dialect.body(self.model, request, room, self.tokenizer))
                most = (1 << 20) + 256 * room  # bytes of the reply: tokens are short
                try:
                    choice = await client.ask(url, body, most, lambda text: choice_of(text, server.dialect.api))
                except Refused as refused:
                    if (over := overflow(refused.status, refused.page)) is not None:
                        room = self._fitting(request, room, over)
                    elif not self._without(request, server.dialect, refused):
                        raise client.refusal(refused, url, self.model) from None
                    continue
                return self._completion(request, room, server, self._whole(request, begun, choice) if begun else choice)
        return nothing

    def _whole(self, request: Request, begun: str, choice: Choice) -> Choice:
        """More of a turn that was begun, without a split into thought and answer. Raises ServerError."""
        here, there = len(request.prompt_ids), choice.prompt_tokens
        # A text may be encoded otherwise than its pieces, by a few tokens.
        of_text = len(self.tokenizer.encode(begun, add_special_tokens=False))
        if there is not None and abs(there - here) > 4 + of_text // 8:
            raise ServerError(
                f"{self._url}: counts {there} tokens in a conversation of {here}: its chat template changes what the "
                "assistant has said (some drop thoughts), so the turn cannot be continued; use a completions server"
            )
        return choice._replace(text=choice.thought + choice.text, thought="")

    def _fitting(self, request: Request, room: int, over: Overflow) -> int:
        """How much of ``room`` the context leaves after the prompt; none or less: the prompt fills it."""
        if over.limit is None:
            return room // 2
        self.context = min(self.context or over.limit, over.limit)
        fits = over.limit - (over.prompt or len(request.prompt_ids))
        return fits if fits < room else room // 2

    def _without(self, request: Request, dialect: Dialect, refused: Refused) -> bool:
        """Whether the request can be made again without fields that the server does not know."""
        fields = set(refused_fields(refused.status, refused.page, Dialect.optional(request).keys() - dialect.dropped))
        needed = {"top_k": request.top_k, "min_p": request.min_p}
        needed["repetition_penalty"] = needed["repeat_penalty"] = request.repetition_penalty - 1
        if any(needed.get(name) for name in fields):
            return False
        dialect.dropped |= fields
        return bool(fields)

    def _completion(self, request: Request, room: int, server: Server, choice: Choice) -> Completion:
        self._same_model(server, choice)
        self._count(request, server, choice)
        text = choice.text
        ids = choice.ids or self.tokenizer.encode(choice.thought + text, add_special_tokens=False)
        if len(ids) > 2 * room + 64 or (ids and max(ids) >= self._vocabulary + _PADDING):
            raise ServerError(
                f"{self._url}: the reply holds {len(ids)} tokens of {room} asked for, or ids past the vocabulary of "
                f"{self._vocabulary}: does the server use the tokenizer of {self.model!r}? (--tokenizer PATH)"
            )
        cut = choice.reason in ("length", "max_tokens") or (choice.ids is not None and len(ids) >= room)
        limit: Finish = "length" if room == request.max_tokens else "context"
        finish: Finish = limit if cut else "stop"
        ends = {self._end_id} | ({choice.met} if isinstance(choice.met, int) else set())
        ended = finish == "stop" and (not request.stop or ended_turn(choice) or ids[-1:] == [self._end_id])
        if request.stop and ended and not ends & set(ids[-1:]):
            ids = [*ids, self._end_id]  # so that a stop at a string and the end of the turn differ
        end = self.tokenizer.decode(ids[-1:]) if ends & set(ids[-1:]) else self._end
        if end and text.endswith(end):
            text, finish, ended = text[: -len(end)], "stop", True
        self.generated_tokens += len(ids)
        return Completion(text, tuple(ids), finish, len(request.prompt_ids), ended=ended, thought=choice.thought)

    def _same_model(self, server: Server, choice: Choice) -> None:
        """Raises ServerError where the replies come from another model than before."""
        server.answered_as = server.answered_as or choice.model
        if choice.model and choice.model != server.answered_as:
            raise ServerError(
                f"{self._url}: replies now come from {choice.model!r}, not {server.answered_as!r}; samples of two "
                "models are never mixed: serve the first one again, or begin anew with --fresh"
            )

    def _count(self, request: Request, server: Server, choice: Choice) -> None:
        """Add up what the server says it used, and how often it counts a prompt otherwise than the tokenizer."""
        dialect, usage = server.dialect, choice.usage
        details = usage.get("completion_tokens_details")
        reported = {**usage, **(details if isinstance(details, dict) else {})}
        for name in ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cost"):
            if isinstance(value := reported.get(name), int | float):
                self.usage[name] += value  # type: ignore[assignment]
        self.usage["calls"] += 1
        if dialect.api == "completions" and choice.prompt_tokens is not None:
            starts = request.prompt_ids[:1] == (self.tokenizer.bos_token_id,)
            here = len(request.prompt_ids) + (dialect.adds_bos and not starts)
            self.usage["prompts_counted_otherwise"] += choice.prompt_tokens != here

    def _remember(self, server: Server) -> None:
        """Keep what the server said, or compare it with what one said before. Raises ServerError on another model."""
        if self._memory is None:
            return
        now = facts(server)
        if not self._memory.exists():
            write_whole(self._memory, json.dumps(now, indent=1) + "\n")
            return
        before = read_json(self._memory)
        for name in ("api", "id", "root", "parent", "answered_as", "answer"):
            was, is_now = before.get(name), now.get(name)
            if was != is_now and None not in (was, is_now):
                raise ServerError(
                    f"{self._url}: {name} is now {str(is_now)[:80]!r}, was {str(was)[:80]!r} when "
                    f"{self._memory.parent} began: another model or server; serve that one again, or use --fresh"
                )

    def close(self) -> None:
        """Add the usage to what is remembered."""
        if self._memory is not None and self._memory.exists() and self.usage:
            kept = read_json(self._memory)
            kept["context"] = self.context or None
            kept["usage"] = dict(Counter(kept.get("usage") or {}) + self.usage)
            write_whole(self._memory, json.dumps(kept, indent=1) + "\n")


def facts(server: Server) -> dict[str, Any]:
    """What a server said of itself, as JSON data."""
    dialect = server.dialect
    named = {name: server.listed.get(name) for name in ("id", "root", "parent") if server.listed.get(name)}
    # Hosted chat models do not repeat themselves even at temperature 0.
    answer = {} if dialect.api == "chat" else {"prompts": dialect.prompts, "answer": server.answer}
    return {
        "api": dialect.api, **named, **answer, "answered_as": server.answered_as or None,
        "context": server.context or None, "fields_refused": sorted(dialect.dropped),
    }  # fmt: skip


@contextmanager
def running(spec: ModelSpec, folder: Path) -> Iterator[tuple[OpenAICompleter, Any]]:
    """A client of the spec's server; without an address, of one at port 8000 of this machine."""
    with client(spec, spec.base_url or "http://127.0.0.1:8000/v1", spec.model, folder) as both:
        yield both


@contextmanager
def client(
    spec: ModelSpec, url: str, name: str, folder: Path, retries: int = 5
) -> Iterator[tuple[OpenAICompleter, Any]]:
    """A client of the server at ``url`` for the model it calls ``name``, with the tokenizer.

    The weights identify the model where a folder or a name on the hub locates them, else its name; no address does.
    """
    path = resolve(spec.located)
    is_local = Path(path).is_dir()
    try:
        tokenizer = load_tokenizer(tokenizer_path(spec))
    except ModelError as error:
        if spec.tokenizer or is_local:
            raise
        raise ModelError(f"{error}; of a served model, name the tokenizer that counts: --tokenizer PATH") from None
    digest = model_digest(path) if Path(path).exists() or spec.backend == "vllm" else spec.model
    if spec.backend == "vllm" and spec.dtype not in ("auto", "bfloat16"):
        digest += f"+{spec.dtype}"
    try:
        extra = json.loads(spec.extra_body or "{}")
    except ValueError as error:
        raise Usage(f"--extra-body: not JSON ({error})") from None
    if not isinstance(extra, dict):
        raise Usage("--extra-body: use a JSON object, such as '{\"priority\": 1}'")
    if spec.backend == "vllm" and (more := sorted(ends(tokenizer) - {tokenizer.eos_token_id})):
        extra.setdefault("stop_token_ids", more)
        digest += f"+ends-{'-'.join(map(str, more))}"
    asking = Asking(api=spec.api, headers=headers_of(spec.header, spec.api_key_env), extra=extra)
    with about(folder):
        folder.mkdir(parents=True, exist_ok=True)
    completer = OpenAICompleter(
        base_url=url, model=name, tokenizer=tokenizer, concurrency=spec.in_flight, timeout=spec.timeout,
        digest=f"{spec.backend}:{digest}", context=context_length(path) if is_local else 0, asking=asking,
        memory=folder / "server.json", retries=retries,
    )  # fmt: skip
    try:
        yield completer, tokenizer
    finally:
        completer.close()


async def served(spec: ModelSpec, url: str) -> list[str]:
    """Names of the models that a server lists. Raises ServerError where it cannot be asked."""
    headers = headers_of(spec.header, spec.api_key_env)
    opened = connections(url, spec.timeout, 1, headers)  # held: they close with it
    asking = Client(
        await anext(opened), Slots(1), retries=0, backoff=0.0, patience=spec.timeout, secrets=tuple(headers.values())
    )
    return [str(entry["id"]) for entry in await listed(asking, url) if entry.get("id")]
