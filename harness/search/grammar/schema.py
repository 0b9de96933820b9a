"""Thought grammars: node kinds and what may follow what, as data (YAML).

A grammar may hold several transition patterns over the same kinds (arXiv 2503.01461, Figure 2); every tree draws one by
weight. ``defects`` names everything that makes a grammar unsearchable; ``load`` reads grammars and raises it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from harness.models.base import seed_of
from harness.records import Record

Role = Literal["generator", "critic"]


class Weighted(Record):
    """``width`` children, each of a kind drawn by weight."""

    width: int = 2
    weights: dict[str, float]


# What may follow a node: how many children of each kind, or a number of children drawn by weight.
Following = dict[str, int] | Weighted


class Kind(Record):
    """One node kind: who writes it, in which tag, how long it may be, what may follow it.

    ``prefills``: beginnings of its text, one is drawn per node; in the kind that backtracking writes, ``{answer}``
    stands for the wrong answer. ``per_chain`` caps how often the kind may stand on one chain (0: no cap but the depth).
    ``tag``: name of the tag around its text, the kind's own name if empty.
    """

    role: Role = "generator"
    max_tokens: int = Field(gt=0)
    next: Following = {}
    prefills: tuple[str, ...] = ()
    per_chain: int = Field(default=0, ge=0)
    tag: str = ""


class Backtrack(Record):
    """After a wrong verdict: a node of ``kind``, at most one for each wrong answer and ``per_chain`` on one chain.

    It continues the nearest ancestor of kind ``to``, or the thought that the wrong answer followed if ``to`` is empty.
    """

    kind: str = "reflection"
    to: str = ""
    per_chain: int = Field(default=1, ge=0)


class Pattern(Record):
    """One transition table over the kinds of its grammar; ``weight``: how often trees draw it."""

    weight: float = 1.0
    start: Following
    next: dict[str, Following] = {}
    backtrack: Backtrack | None = None


class Grammar(Record):
    """``prompt``: the user's message around ``{problem}``, for models that do not know the tags by themselves.

    ``max_depth`` counts thoughts with the answer, ``max_context`` tokens of prompt and chain (0: no cap). Siblings
    whose edit ratio reaches ``same`` and whose numbers are equal count as duplicates (1: only equal texts do).
    ``exploration``: the constant of UCT, for rewards of 0 and 1.
    """

    name: str
    about: str = ""
    prompt: str = "{problem}"
    start: Following = {}
    kinds: dict[str, Kind]
    backtrack: Backtrack | None = None
    patterns: dict[str, Pattern] = {}
    max_depth: int | None = Field(default=None, gt=1)
    max_context: int = Field(default=0, ge=0)
    temperature: float = Field(default=0.8, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    exploration: float = Field(default=0.25, ge=0)
    same: float = Field(default=0.95, gt=0, le=1)

    @cached_property
    def resolved(self) -> dict[str, Grammar]:
        """The grammar of each pattern, itself without patterns, by name (its own name where it has one table)."""
        if not self.patterns:
            return {self.name: self}
        out = {}
        for name, pattern in self.patterns.items():
            kinds = {k: v.model_copy(update={"next": pattern.next.get(k, {})}) for k, v in self.kinds.items()}
            change = {"name": f"{self.name}/{name}", "start": pattern.start, "backtrack": pattern.backtrack}
            out[name] = self.model_copy(update={**change, "kinds": kinds, "patterns": {}})
        return out

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Grammar:
        """A copy with changes; what was derived from the old values is derived anew."""
        copy = super().model_copy(update=update, deep=deep)
        for name in ("resolved", "steps", "tags"):
            copy.__dict__.pop(name, None)
        return copy

    def draw(self, seed: int) -> Grammar:
        """The pattern of one tree, drawn by weight from the tree's seed."""
        names = list(self.resolved)
        weights = [self.patterns[name].weight for name in names] if self.patterns else [1.0]
        return self.resolved[random.Random(seed_of(seed, "pattern")).choices(names, weights)[0]]

    @property
    def depth(self) -> int:
        """Most thoughts of a chain, the answer among them."""
        return self.max_depth or 12

    @cached_property
    def steps(self) -> dict[str, int]:
        """Fewest further thoughts to an answer after each kind that has a way there."""
        steps, more = dict[str, int](), {"answer"}
        while more:  # kinds of one step more in each turn
            steps |= dict.fromkeys(more, max(steps.values(), default=-1) + 1)
            more = {n for n, k in self.kinds.items() if n not in steps and children(k.next).keys() & steps.keys()}
        return steps

    def following(self, kind: str) -> Following:
        """What may follow a node of ``kind``, or the root where it is empty."""
        return self.kinds[kind].next if kind else self.start

    def slots(self, kind: str, seed: int) -> list[str]:
        """The kinds of the children that a node of ``kind`` may have, in an order drawn from ``seed``."""
        following, rng = self.following(kind), random.Random(seed)
        if isinstance(following, Weighted):
            return rng.choices(list(following.weights), list(following.weights.values()), k=following.width)
        out = [child for child, number in following.items() for _ in range(number)]
        rng.shuffle(out)
        return out

    def tag(self, kind: str) -> str:
        return self.kinds[kind].tag or kind

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """All opening and closing tags of thoughts."""
        return tuple(t for kind in self.kinds if kind != "answer" for t in (self.opening(kind), self.closing(kind)))

    def opening(self, kind: str) -> str:
        """Text before a node: its tag; the answer starts with the end of the thinking."""
        return "</think>" if kind == "answer" else f"<{self.tag(kind)}>"

    def closing(self, kind: str) -> str:
        """Text after a node; the answer ends with the turn, so nothing is written."""
        return "" if kind == "answer" else f"</{self.tag(kind)}>"


def children(following: Following) -> dict[str, float]:
    """Kinds that may follow, with their count or weight."""
    return dict(following.weights if isinstance(following, Weighted) else following)
