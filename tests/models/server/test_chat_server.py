"""Servers that speak chat alone, want a key, ask for patience, and hold little."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import ModelError, ServerError, Usage
from harness.models.backends import opened
from harness.models.base import Completion, Conversation, Request
from harness.models.spec import ModelSpec
from tests.models.server.chat_service import Service, serving


@pytest.fixture
def service(tokenizer):
    with serving(Service(tokenizer=tokenizer)) as service:
        yield service


def ask(
    service: Service, folder: Path, tokenizer: str, times: int = 1, max_tokens: int = 64, **given
) -> list[Completion]:
    spec = ModelSpec(model="some", tokenizer=tokenizer, backend="openai", base_url=service.url, **given)
    talk = Conversation([{"role": "system", "content": "Be short."}, {"role": "user", "content": "What is 2 + 2?"}])

    async def go(model) -> list[Completion]:
        asked = [Request((5, 6, 7), max_tokens, seed=i, conversation=lambda: talk) for i in range(times)]
        return await asyncio.gather(*(model.complete(each) for each in asked))

    with opened(spec, folder) as (model, _):
        return asyncio.run(go(model))


def test_messages_go_out_and_the_thought_comes_back(service, tmp_path, student):
    (got,) = ask(service, tmp_path, student)
    assert (got.thought, got.text, got.finish) == ("2 + 2 = 4.", "The answer is \\boxed{4}.", "stop")
    assert service.bodies[-1]["messages"][1] == {"role": "user", "content": "What is 2 + 2?"}
    facts = json.loads((tmp_path / "server.json").read_text())
    assert facts["api"] == "chat"
    assert facts["usage"] == {"prompt_tokens": facts["usage"]["prompt_tokens"], "completion_tokens": 20, "calls": 1}


def test_every_sampling_parameter_is_sent(service, tmp_path, student):
    ask(service, tmp_path, student)
    sent = service.bodies[-1]
    assert (sent["temperature"], sent["top_p"], sent["top_k"], sent["min_p"]) == (0.0, 1.0, 0, 0.0)
    assert (sent["repetition_penalty"], sent["repeat_penalty"]) == (1.0, 1.0)


def test_fields_that_it_does_not_know_are_left_out(service, tmp_path, student):
    service.refuses = ("return_token_ids", "top_k", "min_p", "repetition_penalty", "repeat_penalty", "seed")
    (got,) = ask(service, tmp_path, student)
    assert got.text
    assert not set(service.refuses) & set(service.bodies[-1])
    assert json.loads((tmp_path / "server.json").read_text())["fields_refused"] == sorted(service.refuses)


def test_a_budget_past_the_context_is_cut_to_what_fits(service, tmp_path, student):
    (got,) = ask(service, tmp_path, student, max_tokens=4096)
    assert got.text
    _, first, second = service.bodies
    assert first["max_tokens"] == 4096
    assert 400 < second["max_tokens"] < 512


def test_a_prompt_past_the_context_is_the_contexts_fault(service, tmp_path, student):
    spec = ModelSpec(model="some", tokenizer=student, backend="openai", base_url=service.url)
    talk = Conversation([{"role": "user", "content": "long " * 600}])
    with opened(spec, tmp_path) as (model, _):
        got = asyncio.run(model.complete(Request((5,), 8, conversation=lambda: talk)))
    assert (got.finish, got.text) == ("context", "")


def test_too_many_calls_are_made_again_after_the_time_it_names(service, tmp_path, student):
    service.busy_every, service.retry_after = 3, "0.05"
    got = ask(service, tmp_path, student, times=12)
    assert [each.text for each in got] == ["The answer is \\boxed{4}."] * 12
    assert service.calls > 15


def test_a_key_is_sent_and_never_written(service, tmp_path, student, monkeypatch):
    service.key = "sekret-123"
    monkeypatch.setenv("MY_KEY", "sekret-123")
    assert ask(service, tmp_path, student, api_key_env="MY_KEY")[0].text
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and "sekret-123" in f.read_text()]
    monkeypatch.setenv("MY_KEY", "wrong-456")
    with pytest.raises(ServerError, match="name another variable with --api-key-env") as caught:
        ask(service, tmp_path / "other", student, api_key_env="MY_KEY")
    assert "wrong-456" not in str(caught.value)


def test_a_key_that_is_not_set_is_one_line(service, tmp_path, student):
    with pytest.raises(ServerError, match="variable NO_SUCH_KEY is not set"):
        ask(service, tmp_path, student, api_key_env="NO_SUCH_KEY")


def test_headers_may_come_from_the_environment(service, tmp_path, student, monkeypatch):
    service.key = "k-1"
    monkeypatch.setenv("TOKEN", "Bearer k-1")
    assert ask(service, tmp_path, student, header=["Authorization: $TOKEN"])[0].text
    with pytest.raises(Usage, match="use 'Name: value'"):
        ask(service, tmp_path, student, header=["no colon"])


def test_fields_of_the_users_own_are_sent(service, tmp_path, student):
    ask(service, tmp_path, student, extra_body='{"priority": 3}')
    assert service.bodies[-1]["priority"] == 3
    for bad in ("{", "[1]"):
        with pytest.raises(Usage, match="--extra-body"):
            ask(service, tmp_path, student, extra_body=bad)


def test_another_model_at_the_address_is_noticed_on_resume(service, tmp_path, student):
    ask(service, tmp_path, student)
    service.model = "served-2"
    with pytest.raises(ServerError, match="answered_as is now 'served-2', was 'served-1'"):
        ask(service, tmp_path, student)
    assert ask(service, tmp_path / "new", student)[0].text


def test_another_model_in_the_middle_is_noticed(service, tmp_path, student):
    spec = ModelSpec(model="some", tokenizer=student, backend="openai", base_url=service.url)

    talk = Conversation([{"role": "user", "content": "What is 2 + 2?"}])

    async def go(model) -> None:
        await model.complete(Request((5,), 8, conversation=lambda: talk))
        service.model = "served-2"
        await model.complete(Request((6,), 8, conversation=lambda: talk))

    with opened(spec, tmp_path) as (model, _), pytest.raises(ServerError, match="now come from 'served-2'"):
        asyncio.run(go(model))


def test_a_redirect_is_not_followed(service, tmp_path, student):
    service.redirect = "http://elsewhere.example/v1"
    with pytest.raises(ServerError, match=r"redirects to http://elsewhere\.example/v1"):
        ask(service, tmp_path, student)


def test_a_reply_without_end_is_cut_off(service, tmp_path, student):
    service.endless = True
    with pytest.raises(ServerError, match="the reply is longer than"):
        ask(service, tmp_path, student)


def test_a_thought_that_the_limit_cut_has_no_answer(service, tmp_path, student):
    service.content, service.finish = None, "length"
    (got,) = ask(service, tmp_path, student)
    assert (got.thought, got.text, got.finish) == ("2 + 2 = 4.", "", "length")


def searched(service, folder, student):
    problems = folder / "problems.jsonl"
    problems.write_text(json.dumps({"id": "p", "family": "number", "prompt": "2 + 2?", "gold": {"answer": 4}}) + "\n")
    command = [
        "search", "run", "--model", "some", "--tokenizer", student, "--backend", "openai", "--base-url", service.url,
        "--problems", str(problems), "--grammar", "math", "--out", str(folder / "trees"), "--requests", "16",
    ]  # fmt: skip
    return subprocess.run([sys.executable, "-m", "harness", *command], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("way", ["flags", "prefix"])
def test_a_search_continues_turns_over_chat(service, tmp_path, student, way):
    service.continues, service.context, service.thought = way, 4096, ""
    if way == "prefix":
        service.refuses = ("continue_final_message",)
    done = searched(service, tmp_path, student)
    assert done.returncode == 0, done.stderr
    begun = [body["messages"][-1]["content"] for body in service.bodies if body["messages"][-1]["role"] == "assistant"]
    assert any(re.match("<think><(sub-task|hypothesis|thinking)>", text) for text in begun)
    assert any(text.endswith("\\boxed{") for text in begun)
    assert "a correct chain" in done.stdout


def test_a_server_that_begins_another_turn_instead_is_refused_in_one_line(service, tmp_path, student):
    service.context = 4096
    done = searched(service, tmp_path, student)
    assert done.returncode == 3
    assert "speaks chat alone and does not continue a turn" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_template_that_drops_thoughts_is_refused_in_one_line(service, tmp_path, student):
    service.context, service.continues, service.drops_thoughts = 4096, "flags", True
    done = searched(service, tmp_path, student)
    assert done.returncode == 3
    assert "its chat template changes what the assistant has said" in " ".join(done.stderr.split())


def test_a_prompt_that_is_no_conversation_is_refused_over_chat(service, tmp_path, student):
    spec = ModelSpec(model="some", tokenizer=student, backend="openai", base_url=service.url)
    with opened(spec, tmp_path) as (model, _), pytest.raises(ServerError, match="speaks chat alone"):
        asyncio.run(model.complete(Request((5,), 8)))


def test_a_served_model_needs_a_tokenizer_to_count_by(service, tmp_path):
    spec = ModelSpec(model="no/such-model", backend="openai", base_url=service.url)
    with pytest.raises(ModelError, match="name the tokenizer that counts: --tokenizer PATH"), opened(spec, tmp_path):
        raise AssertionError("there is no tokenizer")


def test_completions_are_not_offered(service, tmp_path, student):
    with pytest.raises(ModelError, match="HTTP 404"):
        ask(service, tmp_path, student, api="completions")
