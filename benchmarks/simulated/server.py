"""Simulated model servers: slots, a queue, a block prefix cache and a time model, on any event loop's clock.

A request takes ``prefill`` seconds per prompt token that the cache does not hold, and ``decode * (1 + batch /
half_speed)`` per generated token, with the batch as it was when the request got its slot.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from benchmarks.simulated.world import Text, World, read_prompt

BLOCK = 16


@dataclass(frozen=True)
class Times:
    """Seconds per token; a 70B model on one node has about these. ``scale`` shrinks them all."""

    prefill: float = 0.0001
    decode: float = 0.02
    half_speed: int = 128
    scale: float = 1.0

    def seconds(self, uncached: int, tokens: int, batch: int) -> float:
        return self.scale * (self.prefill * uncached + tokens * self.decode * (1 + batch / self.half_speed))


@dataclass
class Meter:
    """What one server saw. ``idle``: seconds without any request, ``busy``: request-seconds on slots."""

    requests: int = 0
    prompt_tokens: int = 0
    uncached_tokens: int = 0
    generated: int = 0
    idle: float = 0.0
    busy: float = 0.0
    spans: list[tuple[float, float]] = field(default_factory=list)


class SimServer:
    """One model. ``serve`` waits for a slot, sleeps as long as the work takes, returns the text."""

    def __init__(self, world: World, times: Times, slots: int, cache: bool = True) -> None:
        self.world = world
        self.times = times
        self.slots = slots
        self.meter = Meter()
        self._semaphore = asyncio.Semaphore(slots)
        self._running = 0
        self._blocks: set[int] | None = set() if cache else None

    def uncached(self, prompt: list[int]) -> int:
        """Prompt tokens that must be computed; the prompt's full blocks are cached afterwards."""
        if self._blocks is None:
            return len(prompt)
        key, known, hit = 0, 0, True
        for start in range(0, len(prompt) - BLOCK + 1, BLOCK):
            key = hash((key, *prompt[start : start + BLOCK]))
            hit = hit and key in self._blocks
            known += BLOCK * hit
            self._blocks.add(key)
        return len(prompt) - known

    async def serve(self, prompt: list[int], texts: list[Text]) -> None:
        """Take the time that ``texts`` after ``prompt`` cost (siblings share one prompt and run side by side)."""
        loop, meter = asyncio.get_running_loop(), self.meter
        arrived = loop.time()
        async with self._semaphore:
            self._running += len(texts)
            uncached = self.uncached(prompt)
            seconds = self.times.seconds(uncached, max(t.tokens for t in texts), self._running)
            await asyncio.sleep(seconds)
            self._running -= len(texts)
        meter.requests += 1
        meter.prompt_tokens += len(prompt)
        meter.uncached_tokens += uncached
        meter.generated += sum(t.tokens for t in texts)
        meter.busy += seconds * len(texts)
        meter.spans.append((arrived, loop.time()))


def openai_reply(world: World, body: dict[str, Any], tokenizer: Any) -> tuple[list[int], Text, str]:
    """(prompt ids, text, reply body) of a completions request."""
    number, spans, kind, prefill = read_prompt(tokenizer.decode(body["prompt"]))
    text = world.write(number, spans, kind, prefill, body["seed"], body["max_tokens"])
    ids = tokenizer.encode(text.text, add_special_tokens=False)[: body["max_tokens"]]
    reason = "length" if text.cut else "stop"
    choice = {"index": 0, "text": tokenizer.decode(ids), "token_ids": ids, "finish_reason": reason}
    usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids)}
    reply = {"object": "text_completion", "choices": [choice], "usage": usage}
    return body["prompt"], Text(text.text, len(ids), text.cut), json.dumps(reply)


def original_reply(world: World, body: dict[str, Any], nonce: object) -> tuple[list[str], list[Text]]:
    """(prompt words, texts) of a request in the original's own format: {user_question, model_output, n, ...}."""
    prompt = body["user_question"] + body["model_output"]
    number, spans, kind, prefill = read_prompt(prompt)
    seeds = [f"{nonce}/{i}" for i in range(int(body["n"]))]
    return prompt.split(), [world.write(number, spans, kind, prefill, s, int(body["max_tokens"])) for s in seeds]


def idle_share(spans: list[tuple[float, float]], start: float, end: float) -> float:
    """Share of [start, end] in which no span is open."""
    if end <= start:
        return 0.0
    covered, reach = 0.0, start
    for opened, closed in sorted(spans):
        opened, closed = max(opened, reach), min(closed, end)
        if closed > opened:
            covered += closed - opened
            reach = closed
    return 1 - covered / (end - start)


def http_app(servers: dict[str, SimServer], tokenizer: Any) -> Any:
    """Both endpoints over HTTP: /a/v1/completions, /b/v1/completions, /a/generate, /b/generate."""
    from aiohttp import web

    app, nonce = web.Application(client_max_size=1 << 26), iter(range(10**9))

    def completions(server: SimServer) -> Any:
        async def handle(request: Any) -> Any:
            prompt, text, reply = openai_reply(server.world, await request.json(), tokenizer)
            await server.serve(prompt, [text])
            return web.Response(text=reply, content_type="application/json")

        return handle

    def generate(server: SimServer) -> Any:
        async def handle(request: Any) -> Any:
            prompt, texts = original_reply(server.world, await request.json(), next(nonce))
            await server.serve([hash(word) for word in prompt], texts)
            return web.json_response({"response": [t.text for t in texts]})

        return handle

    for name, server in servers.items():
        app.router.add_post(f"/{name}/v1/completions", completions(server))
        app.router.add_post(f"/{name}/generate", generate(server))
    return app
