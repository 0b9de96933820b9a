"""Which chains to train on: SFT rows by length rule, preference pairs by length rule and shared prefix.

Chains come grouped by problem (``by_problem``), so that no more than one problem's need be in memory.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import groupby

from harness.chains.spec import LengthRule, PairRule, PrefixRule, SftRule
from harness.records import Chain, Pair
from harness.thoughts import common_prefix


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

    def pairs(self, group: Sequence[Chain]) -> list[Pair]:
        """Preference pairs of one problem: correct chains by length, each against a wrong chain by shared prefix.

        The paper pairs a correct path with the wrong path that shares the shortest prefix with it. A wrong chain is
        used once as long as others are left. Ties in prefix length, common in trees that fork at the root, go to the
        shorter wrong chain.
        """
        rule, out = self._pair, list[Pair]()
        right = [chain for chain in group if chain.correct]
        wrong = [chain for chain in group if not chain.correct]
        left = list(wrong)
        for chain in pick(right, rule.chosen, rule.per_problem, self._pairs):
            if not wrong:
                break
            left = left or list(wrong)
            least = rule.min_distance
            far = [other for other in left if least <= 0 or _distance(chain, other) >= least]
            if not far:
                continue
            partner = _partner(chain, far, rule.prefix, self._pairs)
            left.remove(partner)
            pair = Pair(
                problem_id=chain.problem_id, family=chain.family, prompt_ids=chain.prompt_ids,
                chosen_ids=chain.token_ids, rejected_ids=partner.token_ids,
                fork=common_prefix(chain.token_ids, partner.token_ids), chosen_node=chain.node,
                rejected_node=partner.node,
            )  # fmt: skip
            out.append(pair)
        return out


def sft_chains(chains: Iterable[Chain], rule: SftRule, seed: int = 0) -> list[Chain]:
    """Correct chains for SFT, problem by problem in the order of their ids."""
    picker = Picker(sft=rule, seed=seed)
    return [chain for group in by_problem(chains) for chain in picker.rows(group)]


def pairs(chains: Iterable[Chain], rule: PairRule, seed: int = 0) -> list[Pair]:
    """Preference pairs, problem by problem in the order of their ids."""
    picker = Picker(pair=rule, seed=seed)
    return [pair for group in by_problem(chains) for pair in picker.pairs(group)]


def _distance(a: Chain, b: Chain) -> float:
    """Edit distance of two token sequences as a share of the longer one."""
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_distance(a.token_ids, b.token_ids))


def _partner(chain: Chain, wrong: Sequence[Chain], rule: PrefixRule, rng: random.Random) -> Chain:
    if rule == "random":
        return rng.choice(wrong)
    best = min if rule == "shortest" else max  # the first of several
    return best(wrong, key=lambda other: common_prefix(chain.token_ids, other.token_ids))
