"""``harness check --base-url``: who a server is; and what eval says of settings that a server does not take."""

from __future__ import annotations

import json

import pytest

from tests.commands import here as harness
from tests.models.server.chat_service import Service, serving


@pytest.fixture
def service(tokenizer):
    unknown = ("return_token_ids", "skip_special_tokens", "repeat_penalty", "top_k", "min_p")
    with serving(Service(tokenizer=tokenizer, refuses=unknown, lists=("some",))) as service:
        yield service


@pytest.fixture
def check(service, tmp_path):
    def run(*more, code=0):
        common = ("--base-url", service.url, "--tokenizer", "shipped:student", "--store", tmp_path)
        return harness("check", *common, *more, code=code)

    return run


def findings(done):
    return {row["what"]: (row["status"], row["text"]) for row in json.loads(done.stdout)["findings"]}


def test_a_server_says_who_it_is(check, service):
    said = findings(check("--json"))
    assert said["server"] == ("ok", service.url)
    assert said["model"] == ("ok", "some, answers as served-1")
    assert said["api"] == ("ok", "chat; prompts as chat messages")
    assert said["served context"] == ("ok", "512 tokens")
    assert "min_p, repeat_penalty" in said["sampling"][1]


def test_prompts_are_held_against_the_served_context(check):
    said = findings(check("--tasks", "mini_math", "--limit", 5, "--max-tokens", 500, "--json", code=1))
    assert "past the context of 512" in said["mini_math prompts"][1]


def test_a_context_that_is_not_told_is_no_number(check, service):
    service.lists = ()
    said = findings(check("--model", "some", "--tasks", "mini_math", "--limit", 2, "--json"))
    assert said["served context"] == ("note", "not told")
    assert said["mini_math prompts"][1].endswith("of a context that is not known")


def test_a_model_that_is_not_listed_is_noted(check):
    assert findings(check("--model", "other", "--json"))["model"] == (
        "note",
        "other, answers as served-1; the server lists some",
    )


def test_a_server_of_several_models_needs_a_name(check, service):
    service.lists = ("one", "two")
    done = check(code=2)
    assert done.stderr == f"harness: {service.url}: lists one, two; name one with --model\n"
    service.lists = ()
    assert "lists no models; name one with --model" in check(code=2).stderr


def test_a_server_that_cannot_be_reached_is_one_line(tmp_path):
    done = harness("check", "--base-url", "http://127.0.0.1:9/v1", "--store", tmp_path, code=3)
    assert done.stdout == ""
    assert done.stderr.startswith("harness: http://127.0.0.1:9/v1/models: ")
    assert done.stderr.count("\n") == 1


def test_which_template_is_used_is_said(tmp_path):
    common = (
        "check",
        "--tasks",
        "mini_math",
        "--limit",
        2,
        "--model",
        "shipped:student",
        "--store",
        tmp_path,
        "--json",
    )
    assert findings(harness(*common))["template"][1].startswith("the tokenizer's chat template")
    said = findings(harness(*common, "--few-shot", 3, code=0))
    assert said["template"][1].startswith("the tokenizer's chat template")
    assert said["template"][1].endswith("; 3 examples as turns before each problem")
    assert int(said["mini_math prompts"][1].split("up to ")[1].split()[0]) > 200
    base = findings(harness(*common, "--no-chat-template"))
    assert base["template"][1] == "none (--no-chat-template sets the tokenizer's aside): the bare prompt"


@pytest.mark.parametrize(
    ("temperature", "refused", "named"),
    [
        (0.6, ("top_k", "min_p"), "top_k, min_p"),
        (0.0, ("top_k", "min_p"), ""),
        (0.6, ("repetition_penalty",), ""),
        (0.0, ("repetition_penalty", "repeat_penalty", "top_k"), "repetition_penalty"),
    ],
)
def test_eval_says_which_settings_are_the_servers_own(service, tmp_path, temperature, refused, named):
    service.refuses = ("return_token_ids", "skip_special_tokens", *refused)
    command = (
        "eval", "--model", "some", "--tokenizer", "shipped:student", "--backend", "openai", "--base-url", service.url,
        "--tasks", "mini_math", "--limit", 3, "--max-tokens", 50, "--temperature", temperature, "--out", tmp_path,
    )  # fmt: skip
    line = f"the server takes no {named}: its own defaults apply"
    assert (line in " ".join(harness(*command, code=0).stdout.split())) is bool(named)
    said = json.loads(harness(*command, "--json", code=0).stdout)
    assert said["left_to_server"] == [name for name in named.split(", ") if name]
