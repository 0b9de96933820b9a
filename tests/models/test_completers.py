"""What holds for every completer, whichever backend it is."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.errors import ModelError
from harness.models.backends import opened
from harness.models.backends.mock import scripted_server
from harness.models.base import Completer, Completion, Request, complete_all, complete_in_chunks
from harness.models.spec import ModelSpec
from tests.replies import MockCompleter

LONG = "So 1 + 2 = 3. " * 40


@pytest.fixture(scope="module")
def url(tokenizer):
    """A server that says ``LONG``, as many tokens of it as it is asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            ids = tokenizer.encode(LONG, add_special_tokens=False)[: asked["max_tokens"]]
            choice = {"text": tokenizer.decode(ids), "token_ids": ids, "finish_reason": "length"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"choices": [choice]}).encode())

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}/v1"
    http.shutdown()


@pytest.fixture(params=["hf", "openai", "vllm", "scripted server", "mock"])
def completer(request, student, tokenizer, url, tmp_path):
    if request.param == "mock":
        yield MockCompleter(tokenizer, lambda prompt: LONG, context=2048)
    elif request.param == "scripted server":
        yield scripted_server(tokenizer, reply=lambda prompt, seed: LONG, context=2048)
    else:
        spec = ModelSpec(model=student, backend=request.param, base_url="" if request.param == "hf" else url)
        with opened(spec, tmp_path) as (model, _):
            yield model


def test_it_states_all_that_callers_ask_of_it(completer):
    assert isinstance(completer, Completer)
    assert completer.digest
    assert completer.lockstep in (True, False)
    assert completer.context == 2048
    assert completer.batch_size == 64
    assert completer.generated_tokens == 0


def test_a_request_is_shortened_to_what_the_context_leaves(completer):
    asked = [Request((5,) * 2048, 4), Request((5,) * 2046, 4), Request((5,) * 2046, 2), Request((5,) * 2045, 2)]

    async def go() -> list[Completion]:
        return [await completer.complete(request) for request in asked]

    done = asyncio.run(go())
    assert [completion.finish for completion in done] == ["context", "context", "length", "length"]
    assert [len(completion.token_ids) for completion in done] == [0, 2, 2, 2]
    assert [completion.prompt_tokens for completion in done] == [2048, 2046, 2046, 2045]
    assert completer.generated_tokens == 6


def test_it_serves_one_event_loop_after_another(completer):
    asked = [Request((1, 2, 3 + i), 3) for i in range(3)]
    first, second = {}, {}
    assert asyncio.run(complete_all(completer, asked, range(3), lambda found: first.update(found))) == []
    asyncio.run(complete_in_chunks(completer, asked, lambda i: False, lambda found: second.update(found)))
    assert first == second
    assert sorted(first) == [0, 1, 2]


def test_where_a_model_is_served_is_no_part_of_its_identity(student, tmp_path):
    def digest(**settings: object) -> str:
        spec = ModelSpec(**({"model": student, "backend": "openai"} | settings))
        with opened(spec, tmp_path) as (model, _):
            return str(model.digest)

    one = digest(base_url="http://127.0.0.1:1/v1")
    assert digest(base_url="http://127.0.0.1:2/v1", concurrency=3) == digest() == one
    by_name = digest(model="some-model", tokenizer=student)
    assert by_name == "openai:some-model"
    assert len({one, by_name, digest(backend="vllm", base_url="http://x/v1"), digest(backend="hf")}) == 4


def test_a_home_folder_is_found(student, tmp_path, monkeypatch):
    (tmp_path / "model").symlink_to(Path(student))
    monkeypatch.setenv("HOME", str(tmp_path))
    with opened(ModelSpec(model="~/model", backend="hf"), tmp_path) as (model, _):
        assert model.context == 2048
    with pytest.raises(ModelError, match="no such folder"), opened(ModelSpec(model="~/other"), tmp_path):
        raise AssertionError("there is no such model")
