"""Any OpenAI-compatible completions server; ``vllm serve`` is the reference one.

Prompts go as token ids and come back as ids where the server can return them, so nothing is tokenised twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

from harness.models.base import Completion, ModelError, Request
from harness.records import Finish


class OpenAICompleter:
    """``base_url`` ends in ``/v1``. Failures that may pass are tried again ``retries`` times with backoff.

    Those are transport errors, 408, 409, 429 and 5xx, and replies that are no whole completion. ``transport`` replaces
    the network (httpx), as the mock backend does.
    """

    def __init__(
        self, base_url: str, model: str, tokenizer: Any, concurrency: int = 64, timeout: float = 600.0,
        retries: int = 5, backoff: float = 0.5, transport: Any = None,
    ) -> None:  # fmt: skip
        import httpx

        self.digest = f"{model}@{base_url}"
        self.model = model
        self.tokenizer = tokenizer
        self.generated_tokens = 0
        self._retries = retries
        self._backoff = backoff
        self._url = f"{base_url.rstrip('/')}/completions"
        self._limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._timeout = timeout
        self._transport = transport
        self._concurrency = concurrency
        # Connections and semaphores belong to one event loop, and every run of a task has its own.
        self._loop: asyncio.AbstractEventLoop | None = None

    def _here(self) -> tuple[Any, asyncio.Semaphore]:
        import httpx

        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._client = httpx.AsyncClient(timeout=self._timeout, limits=self._limits, transport=self._transport)
            self._slots = asyncio.Semaphore(self._concurrency)
        return self._client, self._slots

    async def complete(self, request: Request) -> Completion:
        body = {
            "model": self.model,
            "prompt": list(request.prompt_ids),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed % (1 << 31),
            "stop": list(request.stop) or None,
            "return_token_ids": True,
            "skip_special_tokens": False,
        }
        client, slots = self._here()
        async with slots:
            choice = await self._choice(client, body)
        if choice is None:
            return Completion("", (), "context", len(request.prompt_ids))
        text = choice["text"] or ""
        ids = choice.get("token_ids") or self.tokenizer.encode(text, add_special_tokens=False)
        finish: Finish = (
            "length" if choice.get("finish_reason") == "length" or len(ids) >= request.max_tokens else "stop"
        )
        end = self.tokenizer.eos_token
        if end and text.endswith(end):
            text, finish = text[: -len(end)], "stop"
        self.generated_tokens += len(ids)
        return Completion(text, tuple(ids), finish, len(request.prompt_ids))

    async def _choice(self, client: Any, body: dict[str, Any]) -> dict[str, Any] | None:
        """The first choice of the reply, or None when the prompt does not fit the server's context."""
        import httpx

        problem = ""
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(min(30.0, self._backoff * 2**attempt))
            try:
                reply = await client.post(self._url, json=body)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if reply.status_code == 400 and "context length" in reply.text:
                return None
            if reply.status_code >= 400:
                problem = f"HTTP {reply.status_code}: {reply.text[:200]}"
                if reply.status_code in (408, 409, 429) or reply.status_code >= 500:
                    continue
                break
            try:
                choice = reply.json()["choices"][0]
                if isinstance(choice["text"], str | None):
                    return dict(choice)
                problem = "the reply's text is no text"
            except ValueError:
                problem = "the reply is not JSON; is this a completions endpoint?"
            except (KeyError, IndexError, TypeError):
                problem = "the reply has no choices; is this a completions endpoint?"
        raise ModelError(f"{self._url}: {problem}; check that the server is up and serves {self.model!r}")
