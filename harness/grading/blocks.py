"""Blocksworld as STRIPS: the four actions, their obfuscated twin (Mystery), and a simulator that names what failed.

The fast path of plan grading. ``pddl.check`` must agree with it on every plan (tests/grading/test_pddl.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

Atom = tuple[str, ...]
Action = tuple[str, ...]

# action: (parameters, preconditions, added, deleted); "0" and "1" stand for the action's first and second object.
ACTIONS: dict[str, tuple[int, tuple[Atom, ...], tuple[Atom, ...], tuple[Atom, ...]]] = {
    "pick-up": (
        1, (("handempty",), ("clear", "0"), ("ontable", "0")), (("holding", "0"),),
        (("clear", "0"), ("ontable", "0"), ("handempty",)),
    ),
    "put-down": (1, (("holding", "0"),), (("clear", "0"), ("handempty",), ("ontable", "0")), (("holding", "0"),)),
    "stack": (
        2, (("holding", "0"), ("clear", "1")), (("handempty",), ("clear", "0"), ("on", "0", "1")),
        (("clear", "1"), ("holding", "0")),
    ),
    "unstack": (
        2, (("handempty",), ("clear", "0"), ("on", "0", "1")), (("holding", "0"), ("clear", "1")),
        (("on", "0", "1"), ("clear", "0"), ("handempty",)),
    ),
}  # fmt: skip

# PlanBench's Mystery Blocksworld (arXiv 2206.10498): the same domain under other names.
MYSTERY = {
    "pick-up": "attack", "put-down": "succumb", "stack": "overcome", "unstack": "feast", "clear": "province",
    "ontable": "planet", "handempty": "harmony", "holding": "pain", "on": "craves",
}  # fmt: skip
VOCABULARIES = {"blocksworld": {name: name for name in MYSTERY}, "mystery_blocksworld": MYSTERY}

_LACKS = {
    "clear": "{} is not clear", "ontable": "{} is not on the table", "holding": "the hand does not hold {}",
    "on": "{} is not on {}", "handempty": "the hand holds {}",
}  # fmt: skip


class Outcome(NamedTuple):
    """``step``: the failing step counted from 1, 0 if every action was legal. ``missed``: goals not reached."""

    step: int
    reason: str
    missed: tuple[Atom, ...] = ()


def simulate(objects: Iterable[str], init: Iterable[Atom], goal: Sequence[Atom], plan: Sequence[Action]) -> Outcome:
    """Run a plan of plain Blocksworld action names from ``init`` (closed world)."""
    known, state = set(objects), set(init)
    for step, (name, *blocks) in enumerate(plan, 1):
        if name not in ACTIONS:
            return Outcome(step, f"there is no action {name!r}")
        arity, needs, adds, deletes = ACTIONS[name]
        if len(blocks) != arity:
            return Outcome(step, f"{name} takes {arity} block(s), got {len(blocks)}")
        unknown = [block for block in blocks if block not in known]
        if unknown:
            return Outcome(step, f"there is no block {unknown[0]!r}")
        for atom in _bound(needs, blocks):
            if atom not in state:
                held = next((a[1] for a in state if a[0] == "holding"), "something")
                return Outcome(step, _LACKS[atom[0]].format(*(atom[1:] or [held])))
        state -= set(_bound(deletes, blocks))
        state |= set(_bound(adds, blocks))
    return Outcome(0, "", tuple(atom for atom in goal if atom not in state))


def _bound(atoms: Iterable[Atom], blocks: Sequence[str]) -> list[Atom]:
    return [(name, *(blocks[int(place)] for place in places)) for name, *places in atoms]


def from_stacks(stacks: Sequence[Sequence[str]]) -> tuple[list[str], list[Atom]]:
    """(blocks, facts) of stacks given from the table up."""
    facts: list[Atom] = [("handempty",)]
    for stack in stacks:
        facts += [("ontable", stack[0]), ("clear", stack[-1])]
        facts += [("on", upper, lower) for lower, upper in pairwise(stack)]
    return [block for stack in stacks for block in stack], facts
