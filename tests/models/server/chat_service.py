"""A chat service on loopback, with the manners of hosted ones; only what it is asked for varies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(kw_only=True)
class Service:
    """``busy_every``: which calls meet 429. ``refuses``: fields of a body that are unknown to it.

    ``continues``: how it is asked to continue the assistant's turn; otherwise it closes it and begins another.
    ``drops_thoughts``: its template leaves them out of what the assistant has said.
    """

    tokenizer: Any
    key: str = ""
    context: int = 512
    busy_every: int = 0
    retry_after: str = "2"
    refuses: tuple[str, ...] = ()
    model: str = "served-1"
    lists: tuple[str, ...] = ()
    content: str | None = "The answer is \\boxed{4}."
    thought: str = "2 + 2 = 4."
    finish: str = "stop"
    redirect: str = ""
    continues: str = ""
    drops_thoughts: bool = False
    endless: bool = False
    bodies: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0
    url: str = ""

    def reply(self, path: str, body: dict[str, Any], key: str | None) -> tuple[int, Any, dict[str, str]]:
        if self.redirect:
            return 307, {}, {"Location": self.redirect}
        if self.key and key != f"Bearer {self.key}":
            return 401, {"error": f"wrong key {key}"}, {}
        if path == "/v1/models" and self.lists:
            return 200, {"data": [{"id": name, "max_model_len": self.context} for name in self.lists]}, {}
        if path != "/v1/chat/completions":
            return 404, {"error": "not found"}, {}
        for name in self.refuses:
            if name in body:
                return 400, {"error": {"message": f"Unrecognized request argument supplied: {name}"}}, {}
        self.calls += 1
        if self.busy_every and self.calls % self.busy_every == 0:
            return 429, {"error": "slow down"}, {"Retry-After": self.retry_after}
        self.bodies.append(body)
        rendered, content = self.rendered(body), self.content
        if rendered.endswith("{"):  # an answer that was begun
            content = "4}."
        elif body["stop"]:
            content = " it is 2 + 2 = 4."
        prompt = len(self.tokenizer.encode(rendered, add_special_tokens=False))
        if prompt + body["max_tokens"] > self.context:
            asked = body["max_tokens"]
            page = (
                f"This model's maximum context length is {self.context} tokens. However, you requested "
                f"{prompt + asked} tokens ({prompt} in the messages, {asked} in the completion)."
            )
            return 400, {"error": {"message": page}}, {}
        message = {"content": content, "reasoning_content": self.thought or None}
        usage = {"prompt_tokens": prompt, "completion_tokens": 20}
        choice = {"message": message, "finish_reason": self.finish}
        return 200, {"model": self.model, "choices": [choice], "usage": usage}, {}

    def rendered(self, body: dict[str, Any]) -> str:
        messages = [dict(message) for message in body["messages"]]
        *_, last = messages
        flagged = {"flags": body.get("continue_final_message"), "prefix": last.pop("prefix", False)}
        if self.drops_thoughts and last["role"] == "assistant":
            last["content"] = last["content"].partition("<think>")[0] or "So"
        how: dict[str, bool] = {"add_generation_prompt": True}
        if last["role"] == "assistant" and flagged.get(self.continues):
            how = {"continue_final_message": True}
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, **how))


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer({})

        def do_POST(self):
            self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def answer(self, body):
            status, data, headers = service.reply(self.path, body, self.headers.get("Authorization"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                while service.endless and status == 200:
                    self.wfile.write(b"x" * 65536)
                self.wfile.write(json.dumps(data).encode())
            except OSError:
                service.bodies.append({"cut": True})

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    service.url = f"http://127.0.0.1:{http.server_port}/v1"
    try:
        yield service
    finally:
        http.shutdown()
