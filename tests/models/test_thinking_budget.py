"""Thoughts are closed at the budget, answers follow, and what ends by itself is left alone."""

from __future__ import annotations

import asyncio

import pytest

from harness.models.backends import opened
from harness.models.base import Completion, Request
from harness.models.prompts import prompt_ids
from harness.models.spec import ModelSpec
from harness.models.thinking_budget import Budgeted
from harness.problems.load import load
from harness.thoughts import THINK_TAGS


@pytest.fixture(scope="module")
def student_model(student, tmp_path_factory):
    with opened(ModelSpec(model=student), tmp_path_factory.mktemp("logs")) as (model, _):
        yield model


@pytest.fixture(scope="module")
def prompts(tokenizer):
    return [prompt_ids(tokenizer, problem.prompt) for problem in load("mini_math", split="dev")[:12]]


def run(model, prompts, **settings) -> list[Completion]:
    async def go():
        return await asyncio.gather(*(model.complete(Request(ids, 256, **settings)) for ids in prompts))

    return asyncio.run(go())


def thought(text: str) -> str:
    return text.partition(THINK_TAGS[1])[0]


def test_a_budget_that_no_thought_reaches_changes_nothing(student_model, tokenizer, prompts):
    assert run(Budgeted(student_model, tokenizer, THINK_TAGS, 256), prompts) == run(student_model, prompts)


@pytest.mark.parametrize("budget", [1, 5, 16, 40])
def test_no_thought_is_longer_and_every_one_is_answered(student_model, tokenizer, prompts, budget):
    model = Budgeted(student_model, tokenizer, THINK_TAGS, budget)
    plain, short = run(student_model, prompts), run(model, prompts)
    for free, forced in zip(plain, short, strict=True):
        opened, closed, answer = forced.text.partition(THINK_TAGS[1])
        assert closed
        assert opened == tokenizer.decode(free.token_ids[:budget]).partition(THINK_TAGS[1])[0]
        assert len(tokenizer.encode(opened, add_special_tokens=False)) <= budget
        assert answer.strip() or forced.finish == "length"
        assert tokenizer.decode(forced.token_ids).startswith(forced.text)
        assert len(forced.token_ids) <= 256
        assert forced.prompt_tokens == free.prompt_tokens
    assert sum(c.forced for c in short) == sum(
        len(tokenizer.encode(thought(c.text), add_special_tokens=False)) >= budget for c in plain
    )


def test_an_answer_that_never_thought_gets_no_tag(tokenizer, prompts):
    from tests.replies import MockCompleter

    model = MockCompleter(tokenizer, lambda prompt: "So 1 + 2 = 3. " * 30)
    got = run(Budgeted(model, tokenizer, THINK_TAGS, 16), prompts[:1])[0]
    assert THINK_TAGS[1] not in got.text


def test_what_a_budget_yields_is_not_what_plain_sampling_yields(student_model, tokenizer):
    digests = {Budgeted(student_model, tokenizer, THINK_TAGS, n).digest for n in (8, 16)}
    assert len(digests | {student_model.digest}) == 3
