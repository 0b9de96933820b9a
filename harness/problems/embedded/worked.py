"""Worked chains for the embedded families, drawn by a ``Style``: what the tiny models are pretrained on.

Padding makes a chain *formalistic* (arXiv 2503.01461, section 2): checks of what is known, in a fixed, finite order.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from harness.problems.embedded import FAMILIES
from harness.records import Problem
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
# Every phrase that a check or a reflection may use, for building the tokenizer.
PHRASES = (*CHECKS, RIGHT, WRONG, *REFLECTIONS)


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
    family, gold = FAMILIES[problem.family], problem.gold
    if rng.random() < style.direct:
        _, answer, _, _ = family.attempt(gold, rng, False, 0.0)
        return [Span("answer", answer)]
    spans = [Span("sub-task", family.plan(gold))] if rng.random() < style.plan else []
    kind = "thinking"
    for chance in (style.fault, style.fault / 2):
        text, answer, finding, right = family.attempt(gold, rng, rng.random() < chance, style.detour)
        if right:
            break
        if rng.random() >= style.noticed:
            careless = [Span("double-check", f"{CHECKS[0]} {RIGHT}")] if rng.random() < 0.3 else []
            return [*spans, Span(kind, text), *careless, Span("answer", answer)]
        spans.append(Span(kind, text, faulty=True))
        if rng.random() < 0.75:
            overlooked = rng.random() < 0.25  # so that a reflection after a check that erred is no surprise
            verdict = RIGHT if overlooked else WRONG
            spans.append(Span("double-check", f"{CHECKS[0]} {finding} {verdict}", faulty=overlooked))
        spans.append(Span("reflection", rng.choice(REFLECTIONS)))
        kind = "thinking-from-scratch"
    else:
        text, answer, finding, _ = family.attempt(gold, rng, False, style.detour)
    number = rng.choices(range(len(style.checks)), weights=style.checks)[0]
    checks = [Span("double-check", f"{check} {finding} {RIGHT}") for check in CHECKS[:number]]
    return [*spans, Span(kind, text), *checks, Span("answer", answer)]


def padding(problem: Problem, rng: random.Random, fewest: int = 5) -> list[Span]:
    """Formalistic re-checks of a right attempt: ``fewest`` to eight of them, about 16 reflection words."""
    _, _, finding, _ = FAMILIES[problem.family].attempt(problem.gold, random.Random(0), False, 0.0)
    number = rng.randint(fewest, len(CHECKS))
    return [Span("double-check", f"{check} {finding} {RIGHT}") for check in CHECKS[:number]]
