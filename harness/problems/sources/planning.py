"""Blocksworld of 3 to 5 blocks in PlanBench's one-shot wording (arXiv 2206.10498), with a shortest plan.

Colours are drawn from PlanBench's twelve. The published prompts name a problem's n blocks by the first n of them, so
problems and examples with those are passed over, as are the contents that mini_blocks keeps for its evaluation.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from harness.problems.benchmarks.planbench import blocks_gold
from harness.problems.embedded import mini_blocks, split_of
from harness.problems.embedded.mini_blocks import INTRO, PALETTE, QUESTION, Facts, Move
from harness.records import Problem, Split

BLOCKS = (3, 4, 5)
_TO_TRAIN_ON: tuple[Split, ...] = ("pretrain", "search", "dev")  # of mini_blocks
_PLAN = "\n\nMy plan is as follows:\n\n[PLAN]"


class Task(NamedTuple):
    """What holds, what is to hold, and a shortest plan."""

    facts: Facts
    goals: Facts
    plan: Sequence[Move]


def drawn(seed: int) -> Iterator[Problem]:
    """Endless problems, each after an example of its own."""
    for number in count():
        rng = random.Random(f"planning/{seed}/{number}")
        example, asked = _task(rng), _task(rng)
        worked = [action for step in example.plan for action in mini_blocks.actions(step)]
        text = prompt(example, worked, asked)
        plan = [action for step in asked.plan for action in _actions(step)]
        gold = blocks_gold(text, "blocksworld") | {"reference": plan, "optimal": len(plan)}
        level = len(gold["objects"]) - BLOCKS[0] + 1
        yield Problem(
            id=f"planning-{seed}-{number:05d}", family="blocksworld", prompt=text, gold=gold, level=level,
            split="search",
        )  # fmt: skip


def prompt(example: Task, worked: Sequence[str], asked: Task) -> str:
    """A published one-shot prompt: an example with its plan in words, and the problem."""
    lines = "".join(f"\n{line}" for line in worked)
    return f"{INTRO}{_said(example)}{_PLAN}{lines}\n[PLAN END]\n\n[STATEMENT]\n{_said(asked)}{_PLAN}"


def _said(task: Task) -> str:
    return mini_blocks.statement(task.facts, task.goals).removeprefix(INTRO).removesuffix(QUESTION)


def _task(rng: random.Random) -> Task:
    while True:
        blocks = sorted(rng.sample(PALETTE, rng.choice(BLOCKS)), key=PALETTE.index)
        state, target = mini_blocks.stacks(rng, blocks), mini_blocks.positions(mini_blocks.stacks(rng, blocks))
        goal = [[block, target[block]] for block in blocks if target[block] != "table"]
        content = mini_blocks.content({"init": state, "goal": goal})
        published = blocks == list(PALETTE[: len(blocks)])
        if published or not goal or split_of("mini_blocks", content) not in _TO_TRAIN_ON:
            continue
        if plan := mini_blocks.shortest(state, goal):
            return Task(mini_blocks.facts(state), [["on", *pair] for pair in goal], plan)


def _actions(step: Move) -> list[str]:
    """The two actions of a move as the published plans write them."""
    block, source, target = step
    take = f"(pick-up {block})" if source == "table" else f"(unstack {block} {source})"
    return [take, f"(put-down {block})" if target == "table" else f"(stack {block} {target})"]
