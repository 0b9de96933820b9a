"""Which chains to train on: SFT rows by length rule, preference pairs by length rule and shared prefix.

Lengths are relative within one problem (arXiv 2503.01461, section 3): "shortest" is the shortest chain of its tree.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal

from harness.records import Chain, Pair

LengthRule = Literal["shortest", "medium", "longest", "mixed"]
PrefixRule = Literal["shortest", "longest", "random"]


def by_problem(chains: Iterable[Chain]) -> list[list[Chain]]:
    ordered = sorted(chains, key=lambda chain: (chain.problem_id, not chain.correct, chain.rank))
    return [list(group) for _, group in groupby(ordered, key=lambda chain: chain.problem_id)]


def pick(chains: Sequence[Chain], rule: LengthRule, number: int, rng: random.Random) -> list[Chain]:
    """``number`` chains by the length rule, fewer if there are fewer. ``mixed`` draws without regard to length."""
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
    raise ValueError(f"unknown length rule {rule!r}: use shortest, medium, longest or mixed")


def sft_chains(chains: Iterable[Chain], rule: LengthRule, per_problem: int = 1, seed: int = 0) -> list[Chain]:
    """Correct chains for SFT: ``per_problem`` of each problem by the length rule."""
    rng = random.Random(f"sft/{seed}")
    out: list[Chain] = []
    for group in by_problem(chains):
        out += pick([chain for chain in group if chain.correct], rule, per_problem, rng)
    return out


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of leading tokens that both sequences share."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def pairs(
    chains: Iterable[Chain], chosen: LengthRule, prefix: PrefixRule = "shortest", per_problem: int = 1, seed: int = 0
) -> list[Pair]:
    """Preference pairs: correct chains by length rule, each against a wrong chain of its problem by prefix rule.

    The paper pairs a correct path with the wrong path that shares the shortest prefix with it. A wrong chain is used
    once per problem as long as others are left. Ties in prefix length, common in trees that fork at the root, go to the
    shorter wrong chain.
    """
    rng = random.Random(f"pairs/{seed}")
    out: list[Pair] = []
    for group in by_problem(chains):
        right = [chain for chain in group if chain.correct]
        wrong = [chain for chain in group if not chain.correct]
        left = list(wrong)
        for chain in pick(right, chosen, per_problem, rng):
            if not wrong:
                break
            left = left or list(wrong)
            partner = _partner(chain, left, prefix, rng)
            left.remove(partner)
            out.append(
                Pair(
                    problem_id=chain.problem_id,
                    family=chain.family,
                    prompt_ids=chain.prompt_ids,
                    chosen_ids=chain.token_ids,
                    rejected_ids=partner.token_ids,
                    fork=common_prefix(chain.token_ids, partner.token_ids),
                    chosen_node=chain.node,
                    rejected_node=partner.node,
                )
            )
    return out


def _partner(chain: Chain, wrong: Sequence[Chain], rule: PrefixRule, rng: random.Random) -> Chain:
    if rule == "random":
        return rng.choice(wrong)
    shared = [common_prefix(chain.token_ids, other.token_ids) for other in wrong]
    if rule == "shortest":
        return wrong[shared.index(min(shared))]
    if rule == "longest":
        return wrong[shared.index(max(shared))]
    raise ValueError(f"unknown prefix rule {rule!r}: use shortest, longest or random")
