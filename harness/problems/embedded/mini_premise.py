"""``mini_premise``: problems of mini_math and mini_blocks with a needed premise removed, each beside its complete twin.

After MiP-Overthinking (arXiv 2504.06514), made by rule rather than by a model, so that every removal can be checked:
two completions of what is left are computed whose answers differ (of plans: that no one plan serves). The prompts are
those of the two families, and say nothing about questions that cannot be answered. ``mini_rules`` has no such problems:
without a rule its answers are fewer rules away from right, never undetermined.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from harness.problems.embedded import FAMILIES, draw, mini_blocks, mini_math
from harness.problems.embedded.mini_blocks import Facts, State
from harness.records import Gold, Problem, Split

NAME = "mini_premise"
SOURCES = ("mini_math", "mini_blocks")  # in turn
ANSWER = "cannot be determined"

_CEILING = 99  # of mini_math's values
_GOAL = re.compile(r"\nMy goal is to have that .*?\.(?=\n)")


class Removal(NamedTuple):
    """What is left of a problem, what is gone, and two completions of it: (what was put there, the answer then)."""

    prompt: str
    removed: str
    completions: list[tuple[str, str]]


def problems(split: Split, n: int, seed: int = 0) -> list[Problem]:
    """``n`` problems, twins side by side, the one without its premise first; half of the pairs from each family.

    The split of a pair is that of its complete problem in its own family. Pair number k does not depend on ``n``.
    """
    pairs = _pairs(split, seed)
    return [problem for _ in range((n + 1) // 2) for problem in next(pairs)][:n]


def _pairs(split: Split, seed: int) -> Iterator[tuple[Problem, Problem]]:
    rng, seen = random.Random(f"{NAME}/{split}/{seed}"), set[str]()
    while True:
        for family in SOURCES:
            mix = FAMILIES[family].SUITE_LEVELS
            for _ in range(100_000):
                whole = draw(family, rng, rng.choices(list(mix), weights=list(mix.values()))[0], split)
                content = FAMILIES[family].content(whole.gold)
                if content not in seen and (removal := remove(whole, rng)) is not None:
                    break
            else:
                raise ValueError(f"{NAME}: {family} holds no more {split} problems; ask for fewer")
            seen.add(content)
            yield twins(whole, removal)


def twins(whole: Problem, removal: Removal) -> tuple[Problem, Problem]:
    """The problem without its premise, and the complete one; each names the other."""
    stem = f"{NAME}-{whole.id.removeprefix('mini_')}"
    ids = {half: f"{stem}-{half}" for half in ("missing", "complete")}
    source = {"family": whole.family, "gold": whole.gold}
    missing: Gold = {
        "half": "missing", "twin": ids["complete"], "answer": ANSWER, "removed": removal.removed,
        "completions": [list(each) for each in removal.completions],
        "reference": f"It is not said {removal.removed}. The answer {ANSWER}.", **source,
    }  # fmt: skip
    complete: Gold = {"half": "complete", "twin": ids["missing"], **source}
    made = Problem(
        id=ids["missing"], family=NAME, prompt=removal.prompt, gold=missing, level=whole.level, split=whole.split
    )
    return made, made.model_copy(update={"id": ids["complete"], "prompt": whole.prompt, "gold": complete})


def remove(whole: Problem, rng: random.Random) -> Removal | None:
    """The problem without one premise, which its answer is verified to depend on; None where none was found."""
    return _without_number(whole, rng) if whole.family == "mini_math" else _without_fact(whole, rng)


# --- a number of mini_math --------------------------------------------------------------------------------------------


def _without_number(whole: Problem, rng: random.Random) -> Removal | None:
    gold = whole.gold
    place = rng.randrange(len(gold["steps"]) + 1)  # 0: the start
    answers = {value: answer for value in range(_CEILING + 1) if (answer := _answer(gold, place, value)) is not None}
    given = gold["steps"][place - 1][1] if place else gold["start"]
    others = [value for value, answer in answers.items() if answer != gold["answer"]]
    if answers.get(given) != gold["answer"] or not others:
        return None  # 0 times anything is 0, say
    other = rng.choice(others)
    sentences = re.split(r"(?<=\.) ", whole.prompt)
    sentence = sentences[place]
    if place == 0 and rng.random() < 0.5:
        del sentences[0]
        what = "what there is at the start"
    else:
        sentences[place] = _vague(sentence)
        what = f'which number belongs in "{sentences[place]}"'
    completions = [(str(value), str(answers[value])) for value in (given, other)]
    return Removal(" ".join(sentences), what, completions)


def _answer(gold: Gold, place: int, value: int) -> int | None:
    """The result with another number in one place; None where the family would not draw it (values from 0 to 99)."""
    steps = [list(step) for step in gold["steps"]]
    start = gold["start"]
    if place == 0:
        start = value
    else:
        steps[place - 1][1] = value
    if value < (2 if place and steps[place - 1][0] == "*" else 1):
        return None
    values = mini_math.values({"start": start, "steps": steps})
    return values[-1] if all(0 <= each <= _CEILING for each in values) else None


def _vague(sentence: str) -> str:
    """A sentence of mini_math without its number."""
    if " grows " in sentence:
        return re.sub(r" grows \d+ times", " grows", sentence)
    story = re.search(r"\d+ (?=more |[a-z])", sentence)
    return sentence.replace(story.group(), "some ") if story else re.sub(r"\d+", "a number", sentence)


# --- the goal, or where a block stands, of mini_blocks ----------------------------------------------------------------


def _without_fact(whole: Problem, rng: random.Random) -> Removal | None:
    gold = whole.gold
    state: State = tuple(map(tuple, gold["init"]))
    goal = [tuple(pair) for pair in gold["goal"]]
    if rng.random() < 0.5:
        # Any goal could have stood there; one that no plan can bring about together with this one is proof.
        on, under = rng.choice(goal)
        other = [[under, on]]
        if mini_blocks.satisfied(state, other) or mini_blocks.satisfied(state, goal):
            return None
        given = [(_goals(each), _plan(state, each)) for each in (gold["goal"], other)]
        return Removal(_GOAL.sub("", whole.prompt), "what the goal is", given)
    block = rng.choice([block for stack in state for block in stack])
    for elsewhere in rng.sample(moved := _moved(state, block), len(moved)):
        if not _one_plan(state, elsewhere, gold["goal"]):
            known = [fact for fact in mini_blocks.facts(state) if fact in mini_blocks.facts(elsewhere)]
            prompt = mini_blocks.statement(known, [["on", *fact] for fact in gold["goal"]])
            given = [(_stands(each, block), _plan(each, gold["goal"])) for each in (state, elsewhere)]
            return Removal(prompt, f"where the {block} block stands", given)
    return None


def _moved(state: State, block: str) -> list[State]:
    """The states in which a block, with all that stands on it, stands elsewhere; nothing else differs."""
    stack = next(each for each in state if block in each)
    below, pile = stack[: stack.index(block)], stack[stack.index(block) :]
    rest = [each for each in (*(each for each in state if each is not stack), below) if each]
    out = [tuple((*each, *pile) if each is target else each for each in rest) for target in rest if target != below]
    return [*out, (*rest, pile)] if below else out


def _one_plan(first: State, second: State, goal: Facts) -> bool:
    """Whether some list of moves is legal from both states and brings about the goal from both."""
    queue, seen = deque([(first, second)]), set[tuple[frozenset[tuple[str, ...]], ...]]()
    while queue:
        pair = queue.popleft()
        if all(mini_blocks.satisfied(state, goal) for state in pair):
            return True
        for step in set(mini_blocks.moves(pair[0])) & set(mini_blocks.moves(pair[1])):
            after = (mini_blocks.move(pair[0], step), mini_blocks.move(pair[1], step))
            if (key := tuple(map(frozenset, after))) not in seen:
                seen.add(key)
                queue.append(after)
    return False


def _plan(state: State, goal: Facts) -> str:
    return "\n".join(action for step in mini_blocks.shortest(state, goal) for action in mini_blocks.actions(step))


def _goals(goal: Facts) -> str:
    return ", ".join(f"{on} on {under}" for on, under in goal)


def _stands(state: State, block: str) -> str:
    return f"{block} on {mini_blocks.positions(state)[block]}"
