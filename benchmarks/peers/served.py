"""A simulated server in a process of its own: every answer has the same tokens and takes half to one and a half times
``seconds``. Serves completions (one prompt a request) and chat.

    python -m benchmarks.peers.served TOKENS SECONDS     prints its port
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
import time
from typing import Any

from aiohttp import web

ANSWER = "<think>So 3 + 4 = 7. So 7 + 5 = 12. Let me check that again. 12 is right.</think>The answer is \\boxed{12}. "


class Served:
    """``spans``: (arrival, end) of each request for whole answers."""

    def __init__(self, tokens: int, seconds: float, tokenizer: Any) -> None:
        self.tokens, self.seconds, self.random = tokens, seconds, random.Random(0)
        ids = tokenizer.encode(ANSWER * (2 + tokens // 20), add_special_tokens=False)
        self.answers = [(ids[i : i + tokens], tokenizer.decode(ids[i : i + tokens])) for i in range(32)]
        self.spans: list[tuple[float, float]] = []

    async def handle(self, request: web.Request) -> web.Response:
        arrived, body = time.monotonic(), json.loads(await request.read())
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or self.tokens
        ids, text = self.answers[self.random.randrange(len(self.answers))]
        await asyncio.sleep(min(limit, self.tokens) / self.tokens * self.seconds * (0.5 + self.random.random()))
        usage = {"prompt_tokens": 1, "completion_tokens": self.tokens, "total_tokens": self.tokens + 1}
        choice: dict[str, Any] = {"index": 0, "finish_reason": "length"}
        if request.path.endswith("/chat/completions"):
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice |= {"text": text} | ({"token_ids": ids[:limit]} if body.get("return_token_ids") else {})
        if limit >= self.tokens:
            self.spans.append((arrived, time.monotonic()))
        reply = {"id": "x", "object": "text_completion", "created": 0, "model": "sim", "choices": [choice]}
        return web.Response(text=json.dumps(reply | {"usage": usage}), content_type="application/json")

    async def meter(self, request: web.Request) -> web.Response:
        """Requests in flight on average, from the first arrival to the last."""
        begin, end = self.spans[0][0], self.spans[0][0]
        for arrived, _ in self.spans:
            begin, end = min(begin, arrived), max(end, arrived)
        busy = sum(min(ended, end) - arrived for arrived, ended in self.spans)
        return web.json_response({"requests": len(self.spans), "in_flight": busy / max(end - begin, 1e-9)})


def main() -> None:
    from harness.models.loading import load_tokenizer, resolve

    served = Served(int(sys.argv[1]), float(sys.argv[2]), load_tokenizer(resolve("shipped:student")))
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/completions", served.handle)
    app.router.add_post("/v1/chat/completions", served.handle)
    app.router.add_get("/meter", served.meter)
    place = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(place.getsockname()[1], flush=True)
    web.run_app(app, sock=place, print=None, access_log=None)


if __name__ == "__main__":
    main()
