"""The server backend against a scripted server on loopback: retries, context limits, replies of other kinds."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.errors import ModelError
from harness.models.backends import openai
from harness.models.base import Request


@pytest.fixture
def server():
    """``server.script`` holds (status, body) replies in order; ``server.seen`` the bodies that came."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, body, *headers = self.server.script.pop(0)
            self.send_response(status)
            for header in headers:
                self.send_header(*header)
            self.end_headers()
            self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.seen, http.script = [], []
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield http
    http.shutdown()


def complete(server, tokenizer, monkeypatch, slept=None, **settings):
    async def at_once(seconds):
        if slept is not None:
            slept.append(seconds)

    async def go():
        url = f"http://127.0.0.1:{server.server_port}/v1"
        model = openai.OpenAICompleter(base_url=url, model="m", tokenizer=tokenizer, retries=2)
        return await model.complete(Request((1, 2, 3), **({"max_tokens": 9, "stop": ("</x>",), "seed": 7} | settings)))

    monkeypatch.setattr(openai.asyncio, "sleep", at_once)
    return asyncio.run(go())


def choice(text, reason="stop", **more):
    return 200, {"choices": [{"text": text, "finish_reason": reason, **more}]}


def test_ids_go_out_and_come_back(server, tokenizer, monkeypatch):
    server.script = [choice("Add", token_ids=[5, 6])]
    found = complete(server, tokenizer, monkeypatch)
    assert (found.text, found.token_ids, found.finish) == ("Add", (5, 6), "stop")
    assert server.seen[0]["prompt"] == [1, 2, 3]
    assert server.seen[0]["stop"] == ["</x>"]
    assert server.seen[0]["seed"] == 7


def test_a_cut_that_the_server_calls_a_stop_is_a_cut(server, tokenizer, monkeypatch):
    server.script = [choice("a b", token_ids=list(range(9)))]
    assert complete(server, tokenizer, monkeypatch).finish == "length"


def test_the_end_of_turn_is_no_text(server, tokenizer, monkeypatch):
    server.script = [choice("Add" + tokenizer.eos_token, token_ids=[5, tokenizer.eos_token_id])]
    assert complete(server, tokenizer, monkeypatch).text == "Add"


def test_busy_servers_are_asked_again(server, tokenizer, monkeypatch):
    server.script = [(503, "busy"), (429, "slow down"), choice("ok", token_ids=[5])]
    assert complete(server, tokenizer, monkeypatch).text == "ok"
    server.script = [(503, "busy")] * 3
    with pytest.raises(ModelError, match="HTTP 503"):
        complete(server, tokenizer, monkeypatch)
    assert len(server.seen) == 6


def test_a_busy_server_says_when_to_come_back_and_no_two_calls_come_back_together(server, tokenizer, monkeypatch):
    slept = []
    server.script = [(429, "busy", ("Retry-After", "7")), (503, "busy", ("Retry-After", "soon")), choice("ok")]
    assert complete(server, tokenizer, monkeypatch, slept).text == "ok"
    asked, other = slept
    assert 7 <= asked <= 7.7
    assert 0 < other < 30
    server.script = [(503, "busy"), choice("ok")]
    complete(server, tokenizer, monkeypatch, again := [])
    assert again != [other]


def test_a_prompt_beyond_the_context_is_a_finish_not_a_failure(server, tokenizer, monkeypatch):
    server.script = [(400, "This model's maximum context length is 3 tokens")]
    assert complete(server, tokenizer, monkeypatch).finish == "context"
    assert len(server.seen) == 1


def test_what_fits_beside_the_prompt_is_asked_for(server, tokenizer, monkeypatch):
    server.script = [(400, "This model's maximum context length is 8 tokens"), choice("a", "length")]
    assert complete(server, tokenizer, monkeypatch).finish == "context"
    assert [body["max_tokens"] for body in server.seen] == [9, 5]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((200, "<html>"), "not JSON"),
        ((200, "[" * 100_000), "not JSON"),
        ((200, {"error": "?"}), "no choices"),
        ((200, {"choices": []}), "no choices"),
        ((200, {"choices": [{"text": {}, "finish_reason": "stop"}]}), "has no text"),
        ((200, {"choices": [{"text": "a", "finish_reason": "abort"}]}), "neither stop nor length"),
        ((200, {"choices": [{"text": "a", "finish_reason": None}]}), "neither stop nor length"),
        ((200, {"choices": [{"text": "a", "finish_reason": "stop", "token_ids": [-1]}]}), "not ids of tokens"),
        ((200, {"choices": [{"text": "a", "finish_reason": "stop", "token_ids": [1 << 40]}]}), "not ids of tokens"),
        ((200, {"choices": [{"text": "a", "finish_reason": "stop", "token_ids": ["x"]}]}), "not a list of numbers"),
        ((404, "nope"), "HTTP 404"),
    ],
)
def test_what_is_no_completions_server_is_named(server, tokenizer, monkeypatch, reply, message):
    server.script = [reply] * 3
    with pytest.raises(ModelError, match=message):
        complete(server, tokenizer, monkeypatch)


@pytest.mark.parametrize(
    "reply", [choice("a b " * 5000), choice("a", token_ids=[10**6]), choice("a", token_ids=[5] * 500)]
)
def test_far_more_than_was_asked_for_is_refused(server, tokenizer, monkeypatch, reply):
    server.script = [reply]
    with pytest.raises(ModelError, match=r"tokens of 9 asked for, or ids past the vocabulary"):
        complete(server, tokenizer, monkeypatch)


def test_the_end_of_a_turn_is_told_from_a_stop_string(server, tokenizer, monkeypatch):
    for ended in (choice("Add", "eos_token"), choice("Add", stop_reason=None)):
        server.script = [ended]
        assert complete(server, tokenizer, monkeypatch).token_ids[-1] == tokenizer.eos_token_id
    server.script = [choice("Add", stop_reason="</x>")]
    assert complete(server, tokenizer, monkeypatch).token_ids[-1] != tokenizer.eos_token_id


def test_half_of_a_surrogate_pair_is_no_text(server, tokenizer, monkeypatch):
    server.script = [choice("a \ud800 b")]
    assert complete(server, tokenizer, monkeypatch).text == "a ? b"


def test_nobody_there(tokenizer, monkeypatch):
    class Nobody:
        server_port = 9

    with pytest.raises(ModelError, match="check that the server is up"):
        complete(Nobody, tokenizer, monkeypatch)
