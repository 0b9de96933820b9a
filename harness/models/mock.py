"""A scripted model for tests and dry runs: replies, latency, errors and truncation as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from harness.models.base import Completion, Request


class MockCompleter:
    """Replies with ``reply(prompt text)``; cuts at ``max_tokens``; raises what ``reply`` raises."""

    def __init__(self, tokenizer: Any, reply: Callable[[str], str], latency: float = 0.0, digest: str = "mock") -> None:
        self.tokenizer = tokenizer
        self.reply = reply
        self.latency = latency
        self.digest = digest
        self.calls = 0

    async def complete(self, request: Request) -> Completion:
        self.calls += 1
        if self.latency:
            await asyncio.sleep(self.latency)
        text = self.reply(self.tokenizer.decode(request.prompt_ids))
        for stop in request.stop:
            text = text.split(stop)[0]
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        if len(ids) > request.max_tokens:
            ids = ids[: request.max_tokens]
            return Completion(self.tokenizer.decode(ids), tuple(ids), "length", len(request.prompt_ids))
        return Completion(text, tuple(ids), "stop", len(request.prompt_ids))
