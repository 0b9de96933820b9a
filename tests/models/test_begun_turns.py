"""Conversations that a model continues: examples as earlier turns, turns that were begun."""

from __future__ import annotations

import asyncio

from harness.models.backends import opened
from harness.models.base import Conversation, Request
from harness.models.loading import load_tokenizer
from harness.models.prompts import conversation_ids, prompt_ids
from harness.models.spec import ModelSpec
from harness.models.thinking_budget import Budgeted
from harness.search.grammar import load
from tests.models.server.chat_service import Service, serving

TALK = [
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": "<think>Two.</think>2"},
    {"role": "user", "content": "2 + 2?"},
]


def test_earlier_turns_are_rendered_as_turns(student):
    tokenizer = load_tokenizer(student)
    text = tokenizer.apply_chat_template(TALK, add_generation_prompt=True, tokenize=False)
    assert conversation_ids(tokenizer, TALK) == tuple(tokenizer.encode(text, add_special_tokens=False))
    assert conversation_ids(tokenizer, TALK[:1]) == prompt_ids(tokenizer, "1 + 1?")


def test_where_a_template_drops_thoughts_or_is_missing_it_is_one_message(student):
    tokenizer = load_tokenizer(student)
    told = "1 + 1?\n\n<think>Two.</think>2\n\n2 + 2?"
    dropping = "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}"
    tokenizer.chat_template = dropping
    assert conversation_ids(tokenizer, TALK) == prompt_ids(tokenizer, told)
    tokenizer.chat_template = None
    assert conversation_ids(tokenizer, TALK) == tuple(tokenizer.encode(told))


def test_a_grammar_asks_with_its_rules_first_and_its_problem_last():
    grammar = load("math")
    first, *_, last = messages = grammar.messages("How many?")
    assert [each["role"] for each in messages] == ["user", "assistant"] * len(grammar.examples) + ["user"]
    assert first["content"].startswith(grammar.rules.rstrip())
    assert grammar.examples[0].problem in first["content"]
    assert last["content"] == "Problem: How many?"


def test_a_turn_that_was_begun_grows():
    talk = Conversation(TALK)
    assert talk.begun == ""
    more = talk.continued("<think>Four").continued(".</think>")
    assert more.begun == "<think>Four.</think>"
    assert len(more.messages) == 4


def test_a_thought_is_closed_at_its_budget_over_chat(tokenizer, tmp_path, student):
    service = Service(tokenizer=tokenizer, continues="flags", content="<think>one two three", thought="")
    with serving(service):
        spec = ModelSpec(model="some", tokenizer=student, backend="openai", base_url=service.url)
        with opened(spec, tmp_path) as (model, _):
            service.finish = "length"
            budgeted = Budgeted(model, tokenizer, ("<think>", "</think>"), 4)
            ids = prompt_ids(tokenizer, "2 + 2?")
            talk = Conversation([{"role": "user", "content": "2 + 2?"}])
            got = asyncio.run(budgeted.complete(Request(ids, 400, conversation=lambda: talk)))
    begun = service.bodies[-1]["messages"][-1]
    assert begun == {"role": "assistant", "content": "<think>one two three</think>"}
    assert got.forced
    assert got.text.startswith("<think>one two three</think>")


def test_a_thought_that_the_server_splits_off_is_closed_at_its_budget_too(tokenizer, tmp_path, student):
    service = Service(tokenizer=tokenizer, continues="flags", content=None, thought="one two three", finish="length")
    with serving(service):
        spec = ModelSpec(model="some", tokenizer=student, backend="openai", base_url=service.url)
        with opened(spec, tmp_path) as (model, _):
            budgeted = Budgeted(model, tokenizer, ("<think>", "</think>"), 4)
            talk = Conversation([{"role": "user", "content": "2 + 2?"}])
            asked = Request(prompt_ids(tokenizer, "2 + 2?"), 400, conversation=lambda: talk)
            got = asyncio.run(budgeted.complete(asked))
    assert service.bodies[-1]["messages"][-1]["content"] == "<think>one two three</think>"
    assert got.forced
    assert got.text.startswith("<think>one two three</think>")
    assert got.thought == ""
