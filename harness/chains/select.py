"""Which chains to train on: SFT rows by length rule, preference pairs by length rule and shared prefix.

Lengths are relative within one problem (arXiv 2503.01461, section 3): "shortest" is the shortest chain of its tree.
Chains come grouped by problem (``by_problem``), so that no more than one problem's need be in memory.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Literal

from harness.records import Chain, Pair
from harness.spec import Spec, knob
from harness.thoughts import common_prefix

LengthRule = Literal["shortest", "medium", "longest", "mixed", "balanced"]
PrefixRule = Literal["shortest", "longest", "random"]


class SftRule(Spec):
    """Correct chains of a problem for SFT."""

    rule: LengthRule = knob("longest", "Length of the correct chains.", option="--sft")
    per_problem: int = knob(1, "SFT rows, and pairs, of one problem.", ge=1)


class PairRule(Spec):
    """Correct chains of a problem, each against a wrong one."""

    chosen: LengthRule = knob("shortest", "Length of the chosen chain, by the same rules.")
    prefix: PrefixRule = knob("shortest", "Common prefix of a pair.")
    per_problem: int = knob(1, "Pairs of one problem.", ge=1)
    min_distance: float = knob(0.0, "Least share of edited tokens between the chains of a pair.", ge=0, le=1)


def by_problem(chains: Iterable[Chain]) -> list[list[Chain]]:
    ordered = sorted(chains, key=lambda chain: (chain.problem_id, not chain.correct, chain.rank))
    return [list(group) for _, group in groupby(ordered, key=lambda chain: chain.problem_id)]


def pick(chains: Sequence[Chain], rule: LengthRule, number: int, rng: random.Random) -> list[Chain]:
    """``number`` chains by the length rule, fewer if there are fewer.

    ``mixed`` draws without regard to length; ``balanced`` takes evenly spaced lengths, a single one at random among
    shortest, medium and longest.
    """
    ordered = sorted(chains, key=lambda chain: (chain.length, chain.node))
    if rule == "shortest":
        return ordered[:number]
    if rule == "longest":
        return ordered[::-1][:number]
    if rule == "medium":
        middle = (len(ordered) - 1) / 2
        nearest = sorted(range(len(ordered)), key=lambda i: (abs(i - middle), i))[:number]
        return [ordered[i] for i in nearest]
    if rule == "mixed":
        return rng.sample(ordered, min(number, len(ordered)))
    last, wanted = len(ordered) - 1, min(number, len(ordered))  # balanced
    if wanted == 1:
        return [ordered[round(rng.choice((0.0, 0.5, 1.0)) * last)]]
    return [ordered[round(i * last / (wanted - 1))] for i in range(wanted)]


class Picker:
    """Draws from one problem's chains after the other. The order of problems matters where a rule draws at random."""

    def __init__(self, sft: SftRule | None = None, pair: PairRule | None = None, seed: int = 0) -> None:
        self._sft, self._pair = sft or SftRule(), pair or PairRule()
        self._rows, self._pairs = random.Random(f"sft/{seed}"), random.Random(f"pairs/{seed}")

    def rows(self, group: Sequence[Chain]) -> list[Chain]:
        """Correct chains of one problem for SFT."""
        right = [chain for chain in group if chain.correct]
        return pick(right, self._sft.rule, self._sft.per_problem, self._rows)

    def pairs(self, group: Sequence[Chain]) -> Iterator[Pair]:
        """Preference pairs of one problem: correct chains by length, each against a wrong chain by shared prefix.

        The paper pairs a correct path with the wrong path that shares the shortest prefix with it. A wrong chain is
        used once as long as others are left. Ties in prefix length, common in trees that fork at the root, go to the
        shorter wrong chain.
        """
        from rapidfuzz.distance.Levenshtein import normalized_distance

        rule, left = self._pair, list[Chain]()
        right = [chain for chain in group if chain.correct]
        for chain in pick(right, rule.chosen, rule.per_problem, self._pairs):
            left = left or [other for other in group if not other.correct]
            least = rule.min_distance
            # By edit distance as a share of the longer one.
            far = [o for o in left if least <= 0 or normalized_distance(chain.token_ids, o.token_ids) >= least]
            if not far:
                continue
            if rule.prefix == "random":
                partner = self._pairs.choice(far)
            else:
                shared = [common_prefix(chain.token_ids, other.token_ids) for other in far]
                partner = far[shared.index(min(shared) if rule.prefix == "shortest" else max(shared))]
            left.remove(partner)
            yield Pair(
                problem_id=chain.problem_id, family=chain.family, prompt_ids=chain.prompt_ids,
                chosen_ids=chain.token_ids, rejected_ids=partner.token_ids,
                fork=common_prefix(chain.token_ids, partner.token_ids), chosen_node=chain.node,
                rejected_node=partner.node,
            )  # fmt: skip


def sft_chains(chains: Iterable[Chain], rule: SftRule, seed: int = 0) -> list[Chain]:
    """Correct chains for SFT, problem by problem in the order of their ids."""
    picker = Picker(sft=rule, seed=seed)
    return [chain for group in by_problem(chains) for chain in picker.rows(group)]


def pairs(chains: Iterable[Chain], rule: PairRule, seed: int = 0) -> list[Pair]:
    """Preference pairs, problem by problem in the order of their ids."""
    picker = Picker(pair=rule, seed=seed)
    return [pair for group in by_problem(chains) for pair in picker.pairs(group)]
