"""Which chains to train on: SFT rows by length rule, preference pairs by length rule and shared prefix.

Lengths are relative within one problem (arXiv 2503.01461, section 3): "shortest" is the shortest chain of its tree.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal, get_args

from harness.records import Chain, Pair
from harness.tokens import common_prefix

LengthRule = Literal["shortest", "medium", "longest", "mixed", "balanced"]
PrefixRule = Literal["shortest", "longest", "random"]
LENGTH_RULES: tuple[str, ...] = get_args(LengthRule)
PREFIX_RULES: tuple[str, ...] = get_args(PrefixRule)


def by_problem(chains: Iterable[Chain]) -> list[list[Chain]]:
    ordered = sorted(chains, key=lambda chain: (chain.problem_id, not chain.correct, chain.rank))
    return [list(group) for _, group in groupby(ordered, key=lambda chain: chain.problem_id)]


def pick(chains: Sequence[Chain], rule: LengthRule, number: int, rng: random.Random) -> list[Chain]:
    """``number`` chains by the length rule, fewer if there are fewer.

    ``mixed`` draws without regard to length; ``balanced`` takes evenly spaced lengths, a single one at random among
    shortest, medium and longest. Raises ValueError for an unknown rule.
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
    if rule == "balanced":
        wanted = min(number, len(ordered))
        if wanted == 1:
            return [ordered[round(rng.choice((0.0, 0.5, 1.0)) * (len(ordered) - 1))]]
        return [ordered[round(i * (len(ordered) - 1) / (wanted - 1))] for i in range(wanted)]
    raise ValueError(f"unknown length rule {rule!r}: use {', '.join(LENGTH_RULES)}")


def sft_chains(chains: Iterable[Chain], rule: LengthRule, per_problem: int = 1, seed: int = 0) -> list[Chain]:
    """Correct chains for SFT: ``per_problem`` of each problem by the length rule."""
    rng = random.Random(f"sft/{seed}")
    out: list[Chain] = []
    for group in by_problem(chains):
        out += pick([chain for chain in group if chain.correct], rule, per_problem, rng)
    return out


def pairs(
    chains: Iterable[Chain], chosen: LengthRule, prefix: PrefixRule = "shortest", per_problem: int = 1, seed: int = 0,
    min_distance: float = 0.0,
) -> list[Pair]:  # fmt: skip
    """Preference pairs: correct chains by length rule, each against a wrong chain of its problem by prefix rule.

    The paper pairs a correct path with the wrong path that shares the shortest prefix with it. A wrong chain is used
    once per problem as long as others are left. Ties in prefix length, common in trees that fork at the root, go to the
    shorter wrong chain. ``min_distance``: least edit distance between the two, in tokens, as a share of the longer.
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
            far = [other for other in left if distance(chain.token_ids, other.token_ids, min_distance) >= min_distance]
            if not far:
                continue
            partner = _partner(chain, far, prefix, rng)
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


def distance(a: Sequence[int], b: Sequence[int], wanted: float = 1.0) -> float:
    """Edit distance of two token sequences as a share of the longer one; 1 at once where nothing is ``wanted``."""
    if wanted <= 0:
        return 1.0
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_distance(list(a), list(b)))


def _partner(chain: Chain, wrong: Sequence[Chain], rule: PrefixRule, rng: random.Random) -> Chain:
    if rule == "random":
        return rng.choice(wrong)
    shared = [common_prefix(chain.token_ids, other.token_ids) for other in wrong]
    if rule == "shortest":
        return wrong[shared.index(min(shared))]
    if rule == "longest":
        return wrong[shared.index(max(shared))]
    raise ValueError(f"unknown prefix rule {rule!r}: use shortest, longest or random")
