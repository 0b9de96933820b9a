"""``mini_math``: integer arithmetic of several steps, as commands or as a short story; values from 0 to 99."""

from __future__ import annotations

import random
from itertools import accumulate
from typing import Any

from harness.records import Gold

SUITE_LEVELS = {2: 0.3, 3: 0.4, 4: 0.3}
SEARCH_LEVELS = {4: 1.0}

# level: (smallest and largest number of steps, largest added number, largest running value)
_SIZES = {1: (1, 2, 9, 20), 2: (2, 3, 9, 50), 3: (3, 4, 9, 99), 4: (3, 5, 30, 99)}

NAMES = ("Tom", "Ann", "Ben", "Eva", "Sam", "Mia")
NOUNS = ("apples", "books", "coins", "stamps", "shells", "cards")

FORMAT = "Put the final answer in \\boxed{}."

_COMMANDS = {"+": "Add {}.", "-": "Subtract {}.", "*": "Multiply by {}."}
_STORY = {
    "+": ("{who} buys {} more {what}.", "{who} finds {} more {what}."),
    "-": ("{who} gives away {} {what}.", "{who} loses {} {what}."),
    "*": ("Then the number of {what} grows {} times.",),
}


def apply(value: int, op: str, operand: int) -> int:
    return {"+": value + operand, "-": value - operand, "*": value * operand}[op]


def values(gold: Gold) -> list[int]:
    """Running values from the start to the result, one more than there are steps."""
    return list(accumulate(gold["steps"], lambda value, step: apply(value, *step), initial=gold["start"]))


def content(gold: Gold) -> str:
    return " ".join([str(gold["start"]), *(f"{op}{operand}" for op, operand in gold["steps"])])


def draw(rng: random.Random, level: int) -> tuple[str, str, Gold]:
    fewest, most, largest, ceiling = _SIZES[level]
    value = start = rng.randint(2, ceiling // 2)
    steps: list[list[Any]] = []
    for _ in range(rng.randint(fewest, most)):
        op = rng.choices("+-*", weights=(45, 45, 10 if level > 1 else 0))[0]
        tops = {"+": min(largest, ceiling - value), "-": min(largest, value), "*": min(4, ceiling // max(value, 1))}
        top = tops[op]
        low = 2 if op == "*" else 1
        if top < low:
            op, low, top = ("-", 1, min(largest, value)) if value > 0 else ("+", 1, largest)
        operand = rng.randint(low, top)
        steps.append([op, operand])
        value = apply(value, op, operand)
    gold = {"start": start, "steps": steps, "answer": value}
    return content(gold), _prompt(rng, gold), gold


def _prompt(rng: random.Random, gold: Gold) -> str:
    if rng.random() < 0.5:
        lines = [f"Start with {gold['start']}."]
        lines += [_COMMANDS[op].format(operand) for op, operand in gold["steps"]]
        lines += ["What is the result?"]
    else:
        who, what = rng.choice(NAMES), rng.choice(NOUNS)
        lines = [f"{who} has {gold['start']} {what}."]
        lines += [rng.choice(_STORY[op]).format(operand, who=who, what=what) for op, operand in gold["steps"]]
        lines += [f"How many {what} does {who} have now?"]
    return " ".join([*lines, FORMAT])


def plan(gold: Gold) -> str:
    return ", ".join([str(gold["start"]), *(f"{op} {operand}" for op, operand in gold["steps"])])


def attempt(gold: Gold, rng: random.Random, fault: bool, detour: float) -> tuple[str, str, str, bool]:
    where = rng.randrange(len(gold["steps"])) if fault else -1
    value, lines = gold["start"], []
    for index, (op, operand) in enumerate(gold["steps"]):
        after = apply(value, op, operand)
        if index == where:
            after = max(0, after + rng.choice((-10, -2, -1, 1, 2, 10)))
        lines.append(f"{value} {op} {operand} = {after}.")
        value = after
    finding = f"{', '.join(map(str, values(gold)))}. I had {value}."
    return " ".join(lines), f"The answer is \\boxed{{{value}}}.", finding, value == gold["answer"]
