"""Worked chains for the embedded families: what the tiny models are pretrained on.

A chain is drawn by a ``Style``. The same writers pad a given chain into *formalistic* long CoT (arXiv 2503.01461,
section 2): checks that repeat what is known, in a fixed order of phrases, so that their number is learnable and finite.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from harness.problems.embedded import mini_blocks, mini_math, mini_rules
from harness.records import Gold, Problem
from harness.thoughts import Span

CHECKS = (
    "Let me check.",
    "Wait, let me check again.",
    "Hmm, let me verify it once more.",
    "Wait, maybe I should check another way.",
    "Alternatively, let me verify it again.",
    "Hold on, let me check that again.",
    "But wait, let me verify the other steps again.",
    "Oh, let me check one more time.",
)
RIGHT, WRONG = "This is correct.", "This is wrong."
REFLECTIONS = ("Wait, that is wrong. Let me start again.", "Hmm, there is a mistake. Let me try another way.")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A derivation and the answer it leads to. ``finding`` is what an honest check of it says."""

    text: str
    answer: str
    finding: str
    right: bool


@dataclass(frozen=True, kw_only=True)
class Style:
    """Probabilities of a corpus of chains, each from 0 to 1 except ``checks`` (weights of 0, 1, 2, ... checks).

    ``direct``: no thought at all; ``fault``: an error in the first attempt, ``noticed``: which the chain then mends.
    """

    direct: float = 0.0
    plan: float = 0.85
    fault: float = 0.2
    noticed: float = 1.0
    detour: float = 0.15
    checks: tuple[float, ...] = (0.45, 0.4, 0.1, 0.05)


GENERATOR = Style()
CARELESS = Style(direct=0.3, fault=0.65, noticed=0.3, checks=(0.6, 0.3, 0.07, 0.03))


def chain(problem: Problem, rng: random.Random, style: Style) -> list[Span]:
    """A worked chain for ``problem``. Attempts with an error are marked faulty when the chain goes on to notice it."""
    plan_of, attempt_of = _WRITERS[problem.family]
    if rng.random() < style.direct:
        return [Span("answer", attempt_of(problem.gold, rng, False, 0.0).answer)]
    spans = [Span("sub-task", plan_of(problem.gold))] if rng.random() < style.plan else []
    kind = "thinking"
    for chance in (style.fault, style.fault / 2):
        attempt = attempt_of(problem.gold, rng, rng.random() < chance, style.detour)
        if attempt.right:
            break
        if rng.random() >= style.noticed:
            careless = [Span("double-check", f"{CHECKS[0]} {RIGHT}")] if rng.random() < 0.3 else []
            return [*spans, Span(kind, attempt.text), *careless, Span("answer", attempt.answer)]
        spans.append(Span(kind, attempt.text, faulty=True))
        if rng.random() < 0.75:
            overlooked = rng.random() < 0.25  # so that a reflection after a check that erred is no surprise
            verdict = RIGHT if overlooked else WRONG
            spans.append(Span("double-check", f"{CHECKS[0]} {attempt.finding} {verdict}", faulty=overlooked))
        spans.append(Span("reflection", rng.choice(REFLECTIONS)))
        kind = "thinking-from-scratch"
    else:
        attempt = attempt_of(problem.gold, rng, False, style.detour)
    spans.append(Span(kind, attempt.text))
    number = rng.choices(range(len(style.checks)), weights=style.checks)[0]
    spans += [Span("double-check", f"{CHECKS[i]} {attempt.finding} {RIGHT}") for i in range(number)]
    return [*spans, Span("answer", attempt.answer)]


def padding(problem: Problem, rng: random.Random, fewest: int = 5) -> list[Span]:
    """Formalistic re-checks of a right attempt: ``fewest`` to eight of them, about 16 reflection words."""
    _, attempt_of = _WRITERS[problem.family]
    finding = attempt_of(problem.gold, random.Random(0), False, 0.0).finding
    number = rng.randint(fewest, len(CHECKS))
    return [Span("double-check", f"{CHECKS[i]} {finding} {RIGHT}") for i in range(number)]


# --- mini_math -------------------------------------------------------------------------------------------------


def _math_plan(gold: Gold) -> str:
    return ", ".join([str(gold["start"]), *(f"{op} {operand}" for op, operand in gold["steps"])])


def _math_attempt(gold: Gold, rng: random.Random, fault: bool, detour: float) -> Attempt:
    where = rng.randrange(len(gold["steps"])) if fault else -1
    value, lines = gold["start"], []
    for index, (op, operand) in enumerate(gold["steps"]):
        after = mini_math.apply(value, op, operand)
        if index == where:
            after = max(0, after + rng.choice((-10, -2, -1, 1, 2, 10)))
        lines.append(f"{value} {op} {operand} = {after}.")
        value = after
    right = value == gold["answer"]
    finding = f"{', '.join(str(exact) for exact in mini_math.values(gold))}. I had {value}."
    answer = f"The answer is \\boxed{{{value}}}."
    return Attempt(text=" ".join(lines), answer=answer, finding=finding, right=right)


# --- mini_blocks -----------------------------------------------------------------------------------------------


def _stacks(state: mini_blocks.State) -> str:
    return " | ".join(" ".join(stack) for stack in state)


def _blocks_plan(gold: Gold) -> str:
    goals = ", ".join(f"{a} on {b}" for a, b in gold["goal"])
    return f"{_stacks(_initial(gold))}. goal: {goals}."


def _initial(gold: Gold) -> mini_blocks.State:
    return tuple(tuple(stack) for stack in gold["init"])


def _blocks_attempt(gold: Gold, rng: random.Random, fault: bool, detour: float) -> Attempt:
    state, steps = _initial(gold), []
    if rng.random() < detour:
        steps.append(rng.choice(mini_blocks.moves(state)))
        state = mini_blocks.move(state, steps[0])
    rest = mini_blocks.shortest(state, gold["goal"])
    if fault and rest:
        keep = rng.randrange(len(rest))
        rest, stray = rest[:keep], rng.random() < 0.6
        for step in rest:
            state = mini_blocks.move(state, step)
        if stray:
            rest = [*rest, rng.choice(mini_blocks.moves(state))]
    lines, plan = [], []
    state = _initial(gold)
    for step in [*steps, *rest]:
        state = mini_blocks.move(state, step)
        plan += mini_blocks.actions(step)
        lines.append(f"{step[0]} from {step[1]} to {step[2]}: {_stacks(state)}.")
    places = mini_blocks.positions(state)
    finding = " ".join(f"{a} on {b} {'yes' if places[a] == b else 'no'}." for a, b in gold["goal"])
    right = mini_blocks.satisfied(state, gold["goal"])
    return Attempt(text=" ".join(lines) or "done.", answer="\n".join(plan), finding=finding, right=right)


# --- mini_rules ------------------------------------------------------------------------------------------------


def _rules_plan(gold: Gold) -> str:
    spec = gold["spec"]
    if spec["form"] == "repeat":
        parts = [f"{spec['word']} {spec['times']} times."]
    else:
        parts = [f"{spec['number']} of {' '.join(spec['words'])}.", f"not {' '.join(spec['forbidden'])}."]
    parts += [f"{key} {spec[key]}." for key in ("separator", "case", "start", "end") if key in spec]
    return " ".join([*parts, *(["quotes."] if "quotes" in spec else [])])


def _rules_attempt(gold: Gold, rng: random.Random, fault: bool, detour: float) -> Attempt:
    spec = gold["spec"]
    if spec["form"] == "repeat":
        number = spec["times"] + (rng.choice((-2, -1, 1, 2)) if fault else 0)
        words = [spec["word"]] * max(1, number)
        finding = f"{len(words)} of {spec['times']}."
    else:
        allowed = [word for word in spec["words"] if word not in spec["forbidden"]]
        chosen = set(rng.sample(allowed, spec["number"]))
        if fault:
            chosen.remove(rng.choice(sorted(chosen)))
            chosen |= {rng.choice(spec["forbidden"])} if rng.random() < 0.6 else set()
        words = [word for word in spec["words"] if word in chosen]
        finding = f"{sum(word in allowed for word in words)} of {spec['number']}."
    text = " ".join(f"{index} {word}" for index, word in enumerate(words, 1)) or "no words"
    careless = fault and rng.random() < 0.3  # then some of the rules are forgotten
    forgotten = {key for key in mini_rules.RULES if careless and key in spec and rng.random() < 0.5}
    answer = mini_rules.write({key: value for key, value in spec.items() if key not in forgotten}, words)
    return Attempt(text=f"{text}.", answer=answer, finding=finding, right=not fault)


# How each family writes its plan, and an attempt: (gold answer, random numbers, whether to err, chance of a detour).
_WRITERS: dict[str, tuple[Callable[[Gold], str], Callable[[Gold, random.Random, bool, float], Attempt]]] = {
    "mini_math": (_math_plan, _math_attempt),
    "mini_blocks": (_blocks_plan, _blocks_attempt),
    "mini_rules": (_rules_plan, _rules_attempt),
}
# Every phrase that a check or a reflection may use, for building the tokenizer.
PHRASES = (*CHECKS, RIGHT, WRONG, *REFLECTIONS)
