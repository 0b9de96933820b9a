"""Length rules and pairs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chains.select import PairRule, SftRule, pairs, pick, sft_chains
from harness.records import Chain
from harness.thoughts import common_prefix


def chain(ids, correct=True, problem="p", node=None) -> Chain:
    return Chain(
        problem_id=problem,
        family="mini_math",
        node=node or str(ids),
        kinds=["answer"],
        writers=["generator"],
        text="",
        token_ids=ids,
        prompt_ids=[0],
        correct=correct,
        reason="",
    )


tokens = st.lists(st.integers(0, 3), min_size=1, max_size=8)
several = st.lists(tokens, min_size=1, max_size=6, unique_by=tuple)


@given(tokens, tokens)
def test_common_prefix(a, b):
    n = common_prefix(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


@given(several, st.integers(1, 4))
def test_length_rules(rows, number):
    chains = [chain(ids) for ids in rows]
    rng = random.Random(0)
    lengths = sorted(len(ids) for ids in rows)
    wanted = min(number, len(rows))
    assert sorted(c.length for c in pick(chains, "shortest", number, rng)) == lengths[:wanted]
    assert sorted(c.length for c in pick(chains, "longest", number, rng)) == lengths[len(rows) - wanted :]
    assert len({c.node for c in pick(chains, "mixed", number, rng)}) == wanted
    middle = pick(chains, "medium", 1, rng)[0].length
    assert lengths[(len(rows) - 1) // 2] <= middle <= lengths[len(rows) // 2]


@given(several, several, st.integers(1, 3))
def test_pairs_follow_the_prefix_rule(right, wrong, per_problem):
    chains = [chain(ids, True) for ids in right] + [chain(ids, False, node=f"w{ids}") for ids in wrong]
    for rule, best in (("shortest", min), ("longest", max)):
        found = pairs(chains, PairRule(chosen="longest", prefix=rule, per_problem=per_problem))
        assert len(found) == min(per_problem, len(right))
        first = found[0]
        assert first.fork == best(common_prefix(first.chosen_ids, ids) for ids in wrong)
        assert len(first.chosen_ids) == max(map(len, right))
        for pair in found:
            assert pair.fork == common_prefix(pair.chosen_ids, pair.rejected_ids)
            assert pair.chosen_ids in right
            assert pair.rejected_ids in wrong


def test_problems_without_both_yield_no_pair_and_wrong_chains_no_row():
    chains = [chain([1, 2], True, "a"), chain([1, 3], False, "b"), chain([1], True, "c"), chain([2], False, "c")]
    assert [p.problem_id for p in pairs(chains, PairRule(chosen="shortest"))] == ["c"]
    assert [c.problem_id for c in sft_chains(chains, SftRule(rule="longest"))] == ["a", "c"]


def test_unknown_rules_are_errors():
    with pytest.raises(ValueError, match="rule"):
        SftRule(rule="tallest")
    with pytest.raises(ValueError, match="prefix"):
        PairRule(prefix="sideways")
