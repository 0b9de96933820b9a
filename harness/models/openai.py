"""Any OpenAI-compatible completions server; ``vllm serve`` is the reference one.

Prompts go as token ids and come back as ids where the server can return them, so nothing is tokenised twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

from harness.models.base import Completion, ModelError, Request
from harness.records import Finish


class OpenAICompleter:
    """``base_url`` ends in ``/v1``. Transport errors and 429/5xx are retried ``retries`` times with backoff."""

    def __init__(
        self, base_url: str, model: str, tokenizer: Any, concurrency: int = 64, timeout: float = 600.0, retries: int = 4
    ) -> None:
        import httpx

        self.digest = f"{model}@{base_url}"
        self.model = model
        self.tokenizer = tokenizer
        self.generated_tokens = 0
        self._retries = retries
        self._url = f"{base_url.rstrip('/')}/completions"
        self._client = httpx.AsyncClient(timeout=timeout)
        self._slots = asyncio.Semaphore(concurrency)

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
        async with self._slots:
            data = await self._post(body)
        if data is None:
            return Completion("", (), "context", len(request.prompt_ids))
        try:
            choice = data["choices"][0]
            text = choice["text"] or ""
        except (KeyError, IndexError, TypeError):
            raise ModelError(f"{self._url}: the reply has no choices; is this a completions endpoint?") from None
        ids = choice.get("token_ids") or self.tokenizer.encode(text, add_special_tokens=False)
        finish: Finish = (
            "length" if choice.get("finish_reason") == "length" or len(ids) >= request.max_tokens else "stop"
        )
        end = self.tokenizer.eos_token
        if end and text.endswith(end):
            text, finish = text[: -len(end)], "stop"
        self.generated_tokens += len(ids)
        return Completion(text, tuple(ids), finish, len(request.prompt_ids))

    async def _post(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """The reply, or None when the prompt does not fit the server's context."""
        import httpx

        problem = ""
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(min(30.0, 0.5 * 2**attempt))
            try:
                reply = await self._client.post(self._url, json=body)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if reply.status_code < 400:
                try:
                    return dict(reply.json())
                except ValueError:
                    raise ModelError(f"{self._url}: the reply is not JSON; is this a completions endpoint?") from None
            if reply.status_code == 400 and "context length" in reply.text:
                return None
            problem = f"HTTP {reply.status_code}: {reply.text[:200]}"
            if reply.status_code != 429 and reply.status_code < 500:
                break
        raise ModelError(f"{self._url}: {problem}; check that the server is up and serves {self.model!r}")
