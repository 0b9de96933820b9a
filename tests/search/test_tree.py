"""The pure core, without any model."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.search.grammar import load
from harness.search.tree import Goals, Result, Tree

GRAMMAR = load("embedded")


def result_for(name: str, seed: int, p: float) -> Result:
    """A world: text and verdict are functions of the node's path, so every order of tells meets the same one."""
    rng = random.Random(f"{name}/{seed}")
    kind = name.rsplit("/", 1)[-1].split(".")[0]
    text = f"{kind} {rng.randint(0, 3)}"
    if rng.random() < 0.05:
        return Result(text, (1, 2), "length")
    verdict = ("correct" if rng.random() < p else "wrong") if kind == "answer" else ""
    return Result(text, (1, 2), "stop", verdict)


def search(seed: int, p: float, in_flight: int = 3, goals: Goals | None = None, shuffle: bool = False) -> Tree:
    goals = goals or Goals()
    tree = Tree(GRAMMAR, goals, seed)
    rng = random.Random(seed)
    while True:
        asked = [e for _ in range(in_flight) if (e := tree.ask()) is not None]
        if not asked:
            return tree
        if shuffle:
            rng.shuffle(asked)
        for expansion in asked:
            tree.tell(expansion.node, result_for(expansion.node, seed, p))
            tree.tell(expansion.node, Result("another text", (), "stop", "correct"))  # a repeated tell changes nothing


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.integers(1, 5))
def test_invariants(seed, p, in_flight):
    tree = search(seed, p, in_flight)
    for node in tree.nodes.values():
        assert node.result is not None or node.kind is None
        assert 0 <= node.value <= node.finished <= node.started
        if node.children:
            assert node.finished == sum(child.finished for child in node.children)
            assert node.value == pytest.approx(sum(child.value for child in node.children))
        if node.kind == "answer":
            assert node.closed
            assert not node.children
        assert len(node.path) <= GRAMMAR.max_depth
    assert tree.rollouts <= tree.goals.rollouts + len(tree.wrong)
    assert tree.root.value >= len(tree.correct)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_the_search_is_a_function_of_seed_and_tells(seed):
    a, b = search(seed, 0.4), search(seed, 0.4)
    assert {n: v.result for n, v in a.nodes.items()} == {n: v.result for n, v in b.nodes.items()}


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_the_order_of_tells_within_a_round_loses_nothing(seed):
    tree = search(seed, 0.4, shuffle=True)
    assert not tree._in_flight
    assert tree.root.finished == sum(child.finished for child in tree.root.children)


def test_enough_distinct_chains_stop_the_search():
    tree = search(1, 1.0, goals=Goals(correct=3, wrong=0))
    assert len(tree.correct) >= 3
    assert tree.rollouts < 16


def test_a_wrong_verdict_puts_a_reflection_beside_the_answer_and_it_is_followed():
    tree = search(2, 0.0)
    written, followed = tree.reflections()
    assert written > 0
    assert followed >= written - tree.goals.rollouts // 4
    for node in tree.nodes.values():
        if node.kind == "reflection":
            siblings = [child.kind for child in node.parent.children]
            assert "answer" in siblings
            assert sum(step.kind == "reflection" for step in node.path) <= GRAMMAR.backtrack.per_chain


def test_equal_siblings_are_no_second_chain():
    tree = Tree(GRAMMAR, Goals(), 0)
    names = []
    while expansion := tree.ask():
        names.append(expansion.node)
        tree.tell(expansion.node, Result("same", (1,), "stop", "correct" if "answer" in expansion.node else ""))
    reasons = {n.discarded for n in tree.nodes.values() if n.discarded}
    assert reasons == {"duplicate"}
    assert len(tree.correct) == len({tuple(n.kind for n in leaf.path) for leaf in tree.correct.values()})


def test_foreign_tags_and_cut_nodes_are_no_part_of_a_chain():
    tree = Tree(GRAMMAR, Goals(), 0)
    first = tree.ask()
    tree.tell(first.node, Result("a <reflection> inside", (1,), "stop"))
    second = tree.ask()
    tree.tell(second.node, Result("cut", (1,), "length"))
    assert tree.nodes[first.node].discarded == "foreign tag"
    assert tree.nodes[second.node].discarded == "ended by length"


def test_telling_an_unknown_node_is_an_error():
    with pytest.raises(KeyError):
        Tree(GRAMMAR, Goals(), 0).tell("nowhere.0", Result("", (), "stop"))
