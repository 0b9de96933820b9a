"""A scripted model for tests and dry runs: no weights, every kind of ending, and a server's faults on demand."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from harness.models.base import Completion, Request
from harness.models.openai import OpenAICompleter


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


def scripted_text(prompt: str, seed: int) -> str:
    """A reply that depends on prompt and seed alone: mostly a closed thought and a number, sometimes each failure."""
    dice = hashlib.sha256(f"{seed}\x1f{prompt}".encode()).digest()
    number = dice[1] % 20
    thought = "".join(f"So {n} + {number} = {n + number}. " for n in range(2 + dice[2] % 6))
    return {
        0: f"<think>{thought}",  # never closed
        1: f"<think>{thought}</think>",  # no answer
        2: "<think>" + "Wait, let me check that again. " * 40,  # a loop
        3: f"{thought}</think>The answer is \\boxed{{{number}}}.",  # an orphan close
    }.get(dice[0] % 16, f"<think>{thought}</think>The answer is \\boxed{{{number}}}.")


def scripted_server(
    tokenizer: Any, concurrency: int = 64, faults: float = 0.0, latency: float = 0.0, retries: int = 12
) -> OpenAICompleter:
    """The server backend over a scripted server in this process.

    ``faults``: share of calls that fail, in equal parts a 5xx, a reset, a timeout, JSON cut short. Which calls fail
    depends on the request and the attempt alone.
    """
    import httpx

    attempts: Counter[str] = Counter()

    async def handle(call: httpx.Request) -> httpx.Response:
        if latency:
            await asyncio.sleep(latency)
        body = json.loads(call.content)
        which = hashlib.sha256(call.content).hexdigest()
        attempts[which] += 1
        dice = hashlib.sha256(f"{which}{attempts[which]}".encode()).digest()
        fault = dice[0] / 256 < faults
        if fault and dice[1] % 4 == 0:
            return httpx.Response(503 if dice[2] % 2 else 500, text="overloaded")
        if fault and dice[1] % 4 == 1:
            raise httpx.ReadError("connection reset by peer", request=call)
        if fault and dice[1] % 4 == 2:
            raise httpx.ReadTimeout("timed out", request=call)
        text = scripted_text(tokenizer.decode(body["prompt"]), body["seed"])
        ids = tokenizer.encode(text, add_special_tokens=False)
        reason = "length" if len(ids) > body["max_tokens"] else "stop"
        ids = ids[: body["max_tokens"]]
        text = tokenizer.decode(ids) if reason == "length" else text
        reply = json.dumps({"choices": [{"text": text, "token_ids": ids, "finish_reason": reason}]})
        return httpx.Response(200, text=reply[: len(reply) // 2] if fault else reply)

    completer = OpenAICompleter(
        "http://mock/v1", "mock", tokenizer, concurrency, retries=retries, backoff=0.001,
        transport=httpx.MockTransport(handle),
    )  # fmt: skip
    completer.digest = "mock"
    return completer
