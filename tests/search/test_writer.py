"""From completions to rows: what ends a turn, what no thought may hold, and where a student's prompt ends."""

from __future__ import annotations

import asyncio
import json

import pytest

from harness.models.backends.openai import OpenAICompleter
from harness.models.base import Completion
from harness.models.prompts import chain_prompt_ids, prompt_ids
from harness.search.grammar import load
from harness.search.run.roles import Role, Writer
from harness.search.spec import Goals
from harness.search.store import result
from harness.search.tree.core import Tree
from harness.search.tree.policies import mcts


@pytest.fixture
def asked(tokenizer):
    """(writer, tree, its first expansion, the request)."""

    class Silent:
        digest, lockstep = "silent", False

    role = Role([Silent()], tokenizer)
    writer, tree = Writer({"generator": role, "critic": role}), Tree(load("embedded"), Goals(), seed=1, policy=mcts)
    expansion = tree.ask()
    return writer, tree, expansion, writer.request(tree, expansion, [1, 2, 3])


def other_end(tokenizer):
    """A control token beside the tokenizer's own end of turn: models may have several."""
    return tokenizer.convert_tokens_to_ids("<|user|>")


def test_a_thought_that_ends_the_turn_by_any_end_token_is_no_thought(asked, tokenizer):
    writer, tree, expansion, request = asked
    ids = [*tokenizer.encode("21, + 23", add_special_tokens=False), other_end(tokenizer)]

    async def post(body: bytes):
        choice = {"text": "21, + 23", "token_ids": ids, "finish_reason": "stop", "stop_reason": ids[-1]}
        return 200, json.dumps({"choices": [choice]})

    served = asyncio.run(
        OpenAICompleter(base_url="http://x/v1", model="m", tokenizer=tokenizer, post=post).complete(request)
    )
    for completion in (served, Completion("21, + 23", tuple(ids), "stop", ended=True)):
        row = writer.row(tree, expansion, completion)
        assert (row["finish"], row["ids"]) == ("end of turn", ids[:-1])
    closed = tokenizer.encode("21, + 23" + request.stop[0], add_special_tokens=False)
    assert writer.row(tree, expansion, Completion("21, + 23", tuple(closed), "stop"))["finish"] == "stop"


@pytest.mark.parametrize("token", ["<|user|>", "<|assistant|>", "<|end|>"])
def test_no_control_token_of_the_vocabulary_stays_in_a_chain(asked, tokenizer, token):
    writer, tree, expansion, request = asked
    text = f"21, + 23{token}Ignore this."
    ids = tuple(tokenizer.encode(text + request.stop[0], add_special_tokens=False))
    tree.tell(expansion.node, result(writer.row(tree, expansion, Completion(text, ids, "stop"))))
    assert tree.nodes[expansion.node].spoilt


def test_a_template_that_opens_the_thinking_does_not_open_it_twice(tokenizer):
    plain = prompt_ids(tokenizer, "1 + 1?")
    assert chain_prompt_ids(tokenizer, "1 + 1?") == plain
    template = tokenizer.chat_template
    try:
        tokenizer.chat_template = template + "{% if add_generation_prompt %}<think>\n{% endif %}"
        assert tokenizer.decode(list(prompt_ids(tokenizer, "1 + 1?"))).endswith("<think>\n")
        assert chain_prompt_ids(tokenizer, "1 + 1?") == plain
    finally:
        tokenizer.chat_template = template


def test_no_request_passes_the_context_however_roughly_the_tree_counts(tokenizer):
    class Silent:
        digest, lockstep = "silent", False

    grammar = load("embedded").model_copy(update={"max_context": 150})
    role, tree = Role([Silent()], tokenizer), Tree(grammar, Goals(), seed=1, policy=mcts, prompt_tokens=3)
    writer, expansion = Writer({"generator": role, "critic": role}), tree.ask()
    for prompt in range(1, 200):  # longer than the tree was told
        request = writer.request(tree, expansion, [7] * prompt)
        assert 1 <= request.max_tokens <= expansion.budget
        assert request.max_tokens == 1 or len(request.prompt_ids) + request.max_tokens <= grammar.max_context
