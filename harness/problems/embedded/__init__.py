"""The embedded suite: three procedural families in plain English, with disjoint splits.

A family is a module: ``draw(rng, level)`` gives (content, prompt, gold) of a random problem, ``content(gold)`` what a
problem is beside its wording, ``plan(gold)`` and ``attempt(gold, rng, fault, detour)`` the parts of a worked chain: the
attempt, perhaps with an error or (by the chance ``detour``) a needless step, is (its text, the answer that it leads to,
what an honest check of it says, whether it is right). ``finish(gold, level)``, where a family has it, is the slow part
of drawing, done for problems of the right split alone: the whole gold answer, or None for a problem of another level.

The split of a problem is a function of its content (``split_of``), so no problem of ``eval`` can appear in
``pretrain``, ``search`` or ``dev`` whatever the seeds, levels or counts.
"""

from __future__ import annotations

import hashlib
import random
from types import ModuleType

from harness.problems.embedded import mini_blocks, mini_math, mini_rules
from harness.records import Problem, Split

FAMILIES: dict[str, ModuleType] = {"mini_math": mini_math, "mini_blocks": mini_blocks, "mini_rules": mini_rules}
LEVELS = (1, 2, 3, 4)  # of every family

# Share of all contents, in hundredths. ``dev`` is where doses and levels are chosen, never ``eval``.
_BOUNDS: tuple[tuple[int, Split], ...] = ((70, "pretrain"), (82, "search"), (88, "dev"), (100, "eval"))


def split_of(family: str, content: str) -> Split:
    """The split that a problem's content belongs to, by hash. Surface wording is not part of the content."""
    bucket = int.from_bytes(hashlib.sha256(f"{family}\n{content}".encode()).digest()[:8], "big") % 100
    return next(split for bound, split in _BOUNDS if bucket < bound)


def draw(family: str, rng: random.Random, level: int, split: Split) -> Problem:
    """One random problem of this level and split; contents of other splits are passed over."""
    finish = getattr(FAMILIES[family], "finish", lambda gold, level: gold)
    while True:
        content, prompt, gold = FAMILIES[family].draw(rng, level)
        if split_of(family, content) == split and (gold := finish(gold, level)) is not None:
            digest = hashlib.sha256(f"{content}\n{prompt}".encode()).hexdigest()[:12]
            return Problem(id=f"{family}-{digest}", family=family, prompt=prompt, gold=gold, level=level, split=split)


def problems(family: str, split: Split, n: int, seed: int = 0, levels: dict[int, float] | None = None) -> list[Problem]:
    """``n`` problems with distinct contents. ``levels`` maps level to weight; the default is the family's mix.

    The mix of ``search`` is set so that the generators are good but fallible, the mix of ``dev`` and ``eval`` so that
    the student has room on both sides (docs/tiny-models.md).

    Raises ValueError when the levels asked for do not hold ``n`` distinct contents.
    """
    module = FAMILIES[family]
    mix = levels or (module.SEARCH_LEVELS if split == "search" else module.SUITE_LEVELS)
    rng = random.Random(f"{family}/{split}/{seed}")
    drawn: dict[str, Problem] = {}
    misses = 0  # in a row: a fresh content has become rare
    while len(drawn) < n:
        problem = draw(family, rng, rng.choices(list(mix), weights=list(mix.values()))[0], split)
        fresh = drawn.setdefault(module.content(problem.gold), problem) is problem
        misses = 0 if fresh else misses + 1
        if misses > 5000:
            raise ValueError(
                f"{family}: levels {sorted(mix)} hold fewer than {n} distinct {split} problems; "
                "ask for fewer or add a higher level"
            )
    return list(drawn.values())
