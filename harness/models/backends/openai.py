"""Any OpenAI-compatible completions server; prompts go as token ids and, where it can, come back as ids."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import Any

import orjson

from harness.errors import ModelError
from harness.models.backends import tokenizer_path
from harness.models.base import Completion, Request
from harness.models.loading import context_length, load_tokenizer, model_digest, resolve
from harness.models.spec import ModelSpec
from harness.records import Finish

# Why a completion ended, in the words of several servers. Anything else (an abort, none at all) is no completion.
_REASONS = {"stop", "length", "eos", "eos_token", "end_turn", "stop_sequence"}

# Sends one request body, returns status and text of the reply. Raises OSError or TimeoutError when there is none.
Post = Callable[[bytes], Awaitable[tuple[int, str]]]
_Choice = dict[str, Any]  # of a server's reply, with the keys that it gives


class OpenAICompleter:
    """``base_url`` ends in ``/v1``. Failures that may pass are tried again ``retries`` times with backoff.

    Those are transport errors, 408, 409, 429 and 5xx, and replies that are no whole completion. ``concurrency``: calls
    in flight, ``timeout``: seconds of each. ``digest``: by default the model's name. ``post`` replaces the network.
    """

    lockstep = False

    def __init__(
        self, *, base_url: str, model: str, tokenizer: Any, digest: str = "", concurrency: int = 64,
        timeout: float = 600.0, retries: int = 5, backoff: float = 0.5, post: Post | None = None, context: int = 0,
    ) -> None:  # fmt: skip
        self.digest = digest or model
        self.model = model
        self.tokenizer = tokenizer
        # Looked up anew for every completion they would cost more than its parsing.
        self._end, self._end_id = tokenizer.eos_token, tokenizer.eos_token_id
        self.context = context
        self.batch_size = concurrency
        self.generated_tokens = 0
        self._retries, self._backoff, self._timeout, self._given_post = retries, backoff, timeout, post
        self._url = f"{base_url.rstrip('/')}/completions"
        # Connections and semaphores belong to one event loop, and every run of a task has its own.
        self._loop: asyncio.AbstractEventLoop | None = None

    async def _here(self) -> tuple[Post, asyncio.Semaphore]:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._slots = loop, asyncio.Semaphore(self.batch_size)
            # The loop closes its generators when it ends, and with this one the connections.
            self._connections = _connections(self._url, self._timeout, self.batch_size)
            self._post = self._given_post if self._given_post is not None else await anext(self._connections)
        return self._post, self._slots

    async def complete(self, request: Request) -> Completion:
        room = request.room(self.context)
        if room <= 0:
            return Completion("", (), "context", len(request.prompt_ids))
        body = {
            "model": self.model, "prompt": list(request.prompt_ids), "max_tokens": room,
            "temperature": request.temperature, "top_p": request.top_p, "seed": request.seed % (1 << 31),
            "stop": list(request.stop) or None, "return_token_ids": True, "skip_special_tokens": False,
        }  # fmt: skip
        post, slots = await self._here()
        async with slots:
            choice = await self._choice(post, orjson.dumps(body))
        if choice is None:
            return Completion("", (), "context", len(request.prompt_ids))
        text = choice["text"] or ""
        ids = choice.get("token_ids") or self.tokenizer.encode(text, add_special_tokens=False)
        cut = choice.get("finish_reason") == "length" or len(ids) >= room
        finish: Finish = request.cut_by(self.context) if cut else "stop"
        by = choice.get("stop_reason")
        ends = {self._end_id} | ({by} if isinstance(by, int) else set())
        ended = finish == "stop" and (not request.stop or _ended_turn(choice) or ids[-1:] == [self._end_id])
        if request.stop and ended and not ends & set(ids[-1:]):
            ids = [*ids, self._end_id]  # so that a stop at a string and the end of the turn differ
        end = self.tokenizer.decode(ids[-1:]) if ends & set(ids[-1:]) else self._end
        if end and text.endswith(end):
            text, finish, ended = text[: -len(end)], "stop", True
        self.generated_tokens += len(ids)
        return Completion(text, tuple(ids), finish, len(request.prompt_ids), ended=ended)

    async def _choice(self, post: Post, body: bytes) -> _Choice | None:
        """The first choice of the reply, or None when the prompt does not fit the server's context."""
        for attempt in range(self._retries + 1):
            if attempt:
                # Of unequal length, so that calls which failed together do not come back together.
                await asyncio.sleep(min(30.0, self._backoff * 2**attempt) * SystemRandom().uniform(0.5, 1.0))
            try:
                status, text = await post(body)
                if status == 400 and "context length" in text:
                    return None
                if status < 400:
                    return _first_choice(text)
                # The beginning of the error page, without what a terminal would obey.
                page = " ".join("".join(c if c.isprintable() else " " for c in text[:400]).split())[:200]
                problem = f"HTTP {status}: {page}"
                if status < 500 and status not in (408, 409, 429):
                    break
            except (OSError, TimeoutError) as error:
                problem = f"{type(error).__name__}: {error}"
            except ValueError as error:
                problem = str(error)
        raise ModelError(f"{self._url}: {problem}; check that the server is up and serves {self.model!r}")


def _ended_turn(choice: _Choice) -> bool:
    """Whether the model ended its turn, where the server says so.

    vLLM names the stop string that it met, nothing at the tokenizer's end token, and the id of any other end token.
    """
    if choice.get("finish_reason") not in ("stop", "stop_sequence"):
        return True
    return "stop_reason" in choice and not isinstance(choice["stop_reason"], str)


def _first_choice(reply: str) -> _Choice:
    """The first choice of a reply. Raises ValueError saying what is wrong with it."""
    try:
        try:
            whole = orjson.loads(reply)
        except ValueError:  # it refuses half of a surrogate pair, which is no reason to ask again
            whole = json.loads(reply)
        choice = dict(whole["choices"][0])
    except (ValueError, RecursionError):
        raise ValueError("the reply is not JSON; is this a completions endpoint?") from None
    except (KeyError, IndexError, TypeError):
        raise ValueError("the reply has no choices; is this a completions endpoint?") from None
    ids, reason = choice.get("token_ids"), choice.get("finish_reason")
    if not isinstance(choice.get("text"), str):
        raise ValueError("the reply has no text")
    if ids is not None and not (isinstance(ids, list) and set(map(type, ids)) <= {int}):
        raise ValueError("the reply's token_ids are not a list of numbers")
    if ids and not 0 <= min(ids) <= max(ids) < 1 << 31:
        raise ValueError("the reply's token_ids are not ids of tokens")
    if reason not in _REASONS:
        raise ValueError(f"the reply ended for the reason {str(reason)[:40]!r}, which is neither stop nor length")
    choice["text"] = choice["text"].encode("utf-8", "replace").decode()  # half of a surrogate pair is no text
    return choice


async def _connections(url: str, timeout: float, concurrency: int) -> AsyncGenerator[Post, None]:
    """A way to post to ``url`` over kept connections, closed with the generator.

    aiohttp, which datasets brings: with 64 requests in flight it spends 0.3 ms of processor time on each, httpx 9 ms.
    """
    import aiohttp

    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(timeout)) as session:

        async def post(body: bytes) -> tuple[int, str]:
            try:
                async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as reply:
                    text, after = (await reply.read()).decode(errors="replace"), reply.headers.get("Retry-After", "")
                if reply.status >= 400 and after.isdecimal():  # seconds
                    await asyncio.sleep(min(60.0, float(after)))
                return reply.status, text
            except aiohttp.ClientError as error:
                raise ConnectionError(f"{type(error).__name__}: {error}") from error

        yield post


@contextmanager
def running(spec: ModelSpec, folder: Path) -> Iterator[tuple[OpenAICompleter, Any]]:
    """A client of the spec's server; without an address, of one at port 8000 of this machine."""
    yield client(spec, spec.base_url or "http://127.0.0.1:8000/v1", spec.model)


def client(spec: ModelSpec, url: str, name: str) -> tuple[OpenAICompleter, Any]:
    """A client of the server at ``url`` for the model it calls ``name``, with the tokenizer.

    The weights identify the model where a folder or a name on the hub locates them, else its name; no address does.
    """
    path, tokenizer = resolve(spec.model), load_tokenizer(tokenizer_path(spec))
    is_local = Path(path).is_dir()
    digest = model_digest(path) if is_local or spec.backend == "vllm" else spec.model
    return OpenAICompleter(
        base_url=url, model=name, tokenizer=tokenizer, concurrency=spec.concurrency, timeout=spec.timeout,
        digest=f"{spec.backend}:{digest}", context=context_length(path) if is_local else 0,
    ), tokenizer  # fmt: skip
