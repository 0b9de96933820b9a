"""The driver with a scripted model: roles, exact resume, replay from the journal alone."""

from __future__ import annotations

import json

import pytest

from harness.chains.extract import chains_of
from harness.grading.grade import Grader
from harness.journal import read
from harness.models.base import seed_of
from harness.models.mock import MockCompleter
from harness.models.prompts import prompt_ids
from harness.problems.embedded import problems
from harness.search.driver import Search, figures
from harness.search.grammar import load
from harness.search.tree import Goals

PROBLEMS = problems("mini_math", "search", 6)


def reply(prompt: str) -> str:
    """Text by the open tag; answers are right about half the time, as a function of the whole prompt."""
    tag = prompt[prompt.rfind("<") :]
    gold = next(p for p in PROBLEMS if p.prompt in prompt).gold["answer"]
    roll = seed_of(prompt) % 10
    if tag == "</think>":
        return f"The answer is \\boxed{{{gold + (roll >= 5)}}}."
    return f"{gold} + {roll} = 7."


class Recorder(MockCompleter):
    prompts: list[str]

    async def complete(self, request):
        self.prompts.append(self.tokenizer.decode(request.prompt_ids))
        return await super().complete(request)


def make(tokenizer, grader):
    models = {}
    for role in ("generator", "critic"):
        models[role] = Recorder(tokenizer, reply)
        models[role].prompts = []
    return Search(load("embedded"), Goals(rollouts=8), models, tokenizer, grader, seed=1, chunk=4), models


@pytest.fixture
def grader():
    with Grader() as pool:
        yield pool


def test_roles_resume_and_replay(tokenizer, grader, tmp_path):
    whole, models = make(tokenizer, grader)
    trees = whole.run(PROBLEMS, tmp_path / "whole.jsonl")
    assert all(p.endswith(("<double-check>", "<reflection>")) for p in models["critic"].prompts)
    assert not any(p.endswith(("<double-check>", "<reflection>")) for p in models["generator"].prompts)
    f = figures(trees, tmp_path / "whole.jsonl")
    assert f["with_correct"] > 0.5
    assert f["reflections_followed"] > 0

    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    for cut in (1, len(lines) // 3, len(lines) - 2):
        part = tmp_path / f"part{cut}.jsonl"
        part.write_bytes(b"".join(lines[:cut]) + lines[cut][:7])  # killed in the middle of a line
        resumed, again = make(tokenizer, grader)
        resumed.run(PROBLEMS, part)
        calls = sum(m.calls for m in again.values())
        assert calls <= len(lines) - cut + 2 * 4  # at most the chunk in flight of each role is done twice
        key = lambda row: (row["problem"], row["node"])  # noqa: E731
        assert sorted(read(part), key=key) == sorted(map(json.loads, lines), key=key)

    finished, idle = make(tokenizer, grader)
    finished.run(PROBLEMS, tmp_path / "whole.jsonl")
    assert sum(m.calls for m in idle.values()) == 0

    replayed = finished.replay(PROBLEMS, tmp_path / "whole.jsonl")
    assert {n: list(t.nodes) for n, t in replayed.items()} == {n: list(t.nodes) for n, t in trees.items()}
    with pytest.raises(ValueError, match="is missing"):
        finished.replay(problems("mini_math", "search", 7), tmp_path / "whole.jsonl")


def test_chains_hold_the_tokens_that_were_sampled(tokenizer, grader, tmp_path):
    search, _ = make(tokenizer, grader)
    trees = search.run(PROBLEMS, tmp_path / "t.jsonl")
    total = 0
    for problem in PROBLEMS:
        chains = chains_of(trees[problem.id], problem, prompt_ids(tokenizer, problem.prompt), tokenizer)
        for chain in chains:
            assert tokenizer.decode(chain.token_ids) == chain.text + tokenizer.eos_token
            assert grader.grade("mini_math", problem.gold, chain.text).correct == chain.correct
            assert len(chain.kinds) == len(chain.writers) > 0
        for correct in (True, False):
            ranked = [c for c in chains if c.correct == correct]
            assert [c.rank for c in ranked] == list(range(len(ranked)))
            assert [c.length for c in ranked] == sorted(c.length for c in ranked)
        total += len(chains)
    assert total > 10
