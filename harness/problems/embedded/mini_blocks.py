"""``mini_blocks``: Blocksworld with 3 to 5 blocks in the wording of PlanBench (arXiv 2206.10498)."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache

from harness.records import Gold

SUITE_LEVELS = {1: 0.25, 2: 0.5, 3: 0.25}
SEARCH_LEVELS = SUITE_LEVELS

# level: (block counts, smallest and largest number of moves of a shortest plan; a move is two actions)
_SIZES = {1: ((3,), 1, 2), 2: ((3, 4), 1, 3), 3: ((4, 5), 2, 4), 4: ((5,), 3, 6)}

# PlanBench's, in its order; this family has the first eight.
PALETTE = (
    "red", "blue", "orange", "yellow", "white", "magenta", "black", "cyan", "green", "violet", "silver", "gold",
)  # fmt: skip
COLORS = PALETTE[:8]

INTRO = """I am playing with a set of blocks where I need to arrange the blocks into stacks. \
Here are the actions I can do

Pick up a block
Unstack a block from on top of another block
Put down a block
Stack a block on top of another block

I have the following restrictions on my actions:
I can only pick up or unstack one block at a time.
I can only pick up or unstack a block if my hand is empty.
I can only pick up a block if the block is on the table and the block is clear. \
A block is clear if the block has no other blocks on top of it and if the block is not picked up.
I can only unstack a block from on top of another block if the block I am unstacking was really on top of \
the other block.
I can only unstack a block from on top of another block if the block I am unstacking is clear.
Once I pick up or unstack a block, I am holding the block.
I can only put down a block that I am holding.
I can only stack a block on top of another block if I am holding the block being stacked.
I can only stack a block on top of another block if the block onto which I am stacking the block is clear.
Once I put down or stack a block, my hand becomes empty.
Once you stack a block on top of a second block, the second block is no longer clear.

[STATEMENT]
"""
QUESTION = "\n\nWhat is the plan to achieve my goal? Just give the actions in the plan."

FACTS = {
    "on": "the {} block is on top of the {} block", "ontable": "the {} block is on the table",
    "clear": "the {} block is clear", "handempty": "the hand is empty",
}  # fmt: skip

Facts = list[list[str]]
State = tuple[tuple[str, ...], ...]  # stacks of blocks, each from the table up
Move = tuple[str, str, str]  # (block, where from, where to); "table" is a place


def positions(state: State) -> dict[str, str]:
    """What each block stands on."""
    return {block: stack[height - 1] if height else "table" for stack in state for height, block in enumerate(stack)}


def moves(state: State) -> list[Move]:
    """All legal moves of one clear block, in the order of the stacks."""
    out: list[Move] = []
    for stack in state:
        block, source = stack[-1], stack[-2] if len(stack) > 1 else "table"
        out += [(block, source, other[-1]) for other in state if other is not stack]
        if source != "table":
            out.append((block, source, "table"))
    return out


def move(state: State, step: Move) -> State:
    """The state after a legal move; a block put on the table starts the last stack."""
    block, _, target = step
    stacks = [stack[:-1] if stack[-1] == block else stack for stack in state]
    stacks = [(*stack, block) if stack and stack[-1] == target else stack for stack in stacks]
    return tuple(stack for stack in [*stacks, (block,) if target == "table" else ()] if stack)


def satisfied(state: State, goal: Iterable[Sequence[str]]) -> bool:
    places = positions(state)
    return all(places.get(block) == under for block, under in goal)


def shortest(state: State, goal: list[list[str]]) -> list[Move]:
    """A shortest list of moves to the goal, by breadth-first search; goals here are always reachable."""
    return list(_shortest(state, tuple((a, b) for a, b in goal)))


@lru_cache(maxsize=65536)
def _shortest(state: State, goal: tuple[tuple[str, str], ...]) -> tuple[Move, ...]:
    queue: deque[tuple[State, tuple[Move, ...]]] = deque([(state, ())])
    seen = {frozenset(state)}
    while queue:
        current, path = queue.popleft()
        if satisfied(current, goal):
            return path
        for step in moves(current):
            after = move(current, step)
            if frozenset(after) not in seen:
                seen.add(frozenset(after))
                queue.append((after, (*path, step)))
    raise ValueError("the goal cannot be reached")


def actions(step: Move) -> list[str]:
    """The two actions of a move in PlanBench's wording."""
    block, source, target = step
    take, put = f"unstack the {block} block from on top of the", f"stack the {block} block on top of the"
    return [
        f"pick up the {block} block" if source == "table" else f"{take} {source} block",
        f"put down the {block} block" if target == "table" else f"{put} {target} block",
    ]


def content(gold: Gold) -> str:
    stacks = " | ".join(sorted(" ".join(stack) for stack in gold["init"]))
    return stacks + " => " + ", ".join(f"{a} on {b}" for a, b in sorted(gold["goal"]))


def draw(rng: random.Random, level: int) -> tuple[str, str, Gold]:
    while True:
        blocks = rng.sample(COLORS, rng.choice(_SIZES[level][0]))
        state, target = stacks(rng, blocks), stacks(rng, blocks)
        facts = [[block, under] for block, under in positions(target).items() if under != "table"]
        if not facts:
            continue
        goal = sorted(rng.sample(facts, rng.randint(1, len(facts))), key=lambda fact: PALETTE.index(fact[0]))
        gold = {"init": [list(stack) for stack in state], "goal": goal}
        return content(gold), _prompt(state, goal), gold


def finish(gold: Gold, level: int) -> Gold | None:
    """With the number of actions of a shortest plan, if that is of this level."""
    _, fewest, most = _SIZES[level]
    optimal = len(shortest(tuple(map(tuple, gold["init"])), gold["goal"]))
    return gold | {"optimal": 2 * optimal} if fewest <= optimal <= most else None


def stacks(rng: random.Random, blocks: list[str]) -> State:
    """A random state of these blocks."""
    out: list[list[str]] = []
    for block in rng.sample(blocks, len(blocks)):
        place = rng.randint(0, len(out))
        if place == len(out):
            out.append([])
        out[place].append(block)
    return tuple(sorted((tuple(stack) for stack in out), key=lambda stack: PALETTE.index(stack[0])))


def _prompt(state: State, goal: list[list[str]]) -> str:
    return statement(facts(state), [["on", *fact] for fact in goal])


def facts(state: State) -> Facts:
    """All that holds in a state, in the order of prompts."""
    places = sorted(positions(state).items(), key=lambda item: PALETTE.index(item[0]))
    out = [["clear", block] for block in sorted((stack[-1] for stack in state), key=PALETTE.index)] + [["handempty"]]
    out += [["on", *place] for place in places if place[1] != "table"]
    return out + [["ontable", block] for block, under in places if under == "table"]


def statement(facts: Facts, goals: Facts) -> str:
    """The prompt of a problem; facts as ["on", "red", "blue"] or ["handempty"]."""
    given, wanted = ([FACTS[name].format(*blocks) for name, *blocks in part] for part in (facts, goals))
    return (
        f"{INTRO}As initial conditions I have that, {_listed(given)}.\n"
        f"My goal is to have that {_listed(wanted)}.{QUESTION}"
    )


def _listed(facts: list[str]) -> str:
    """Facts as a sentence has them: a, b and c."""
    return facts[0] if len(facts) == 1 else ", ".join(facts[:-1]) + " and " + facts[-1]


def plan(gold: Gold) -> str:
    goals = ", ".join(f"{a} on {b}" for a, b in gold["goal"])
    return f"{_shown(gold['init'])}. goal: {goals}."


def attempt(gold: Gold, rng: random.Random, fault: bool, detour: float) -> tuple[str, str, str, bool]:
    start: State = tuple(map(tuple, gold["init"]))
    state = start
    steps: list[Move] = []
    if rng.random() < detour:
        steps.append(rng.choice(moves(state)))
        state = move(state, steps[0])
    rest = shortest(state, gold["goal"])
    if fault and rest:
        keep = rng.randrange(len(rest))
        rest, stray = rest[:keep], rng.random() < 0.6
        for step in rest:
            state = move(state, step)
        if stray:
            rest = [*rest, rng.choice(moves(state))]
    state, lines, answer = start, list[str](), list[str]()
    for step in [*steps, *rest]:
        state = move(state, step)
        answer += actions(step)
        lines.append(f"{step[0]} from {step[1]} to {step[2]}: {_shown(state)}.")
    places = positions(state)
    finding = " ".join(f"{a} on {b} {'yes' if places[a] == b else 'no'}." for a, b in gold["goal"])
    return " ".join(lines) or "done.", "\n".join(answer), finding, satisfied(state, gold["goal"])


def _shown(stacks: Iterable[Sequence[str]]) -> str:
    return " | ".join(map(" ".join, stacks))
