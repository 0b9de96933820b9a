"""Our copy of the released policy against figures of the released engine (fake model, demo table, 200-300 seeds).

With a chance p of a right answer that does not depend on the path, the unmodified engine takes these means.
"""

from __future__ import annotations

import random
import statistics

import pytest

from harness.search.grammar import Weighted, load
from harness.search.run.work import ending
from harness.search.spec import Goals
from harness.search.tree.nodes import Result
from harness.search.tree.policies import OriginalTree

# p: rollouts, nodes, share never visited, counted rewards, distinct correct chains
RELEASED = {
    0.05: (60.1, 328, 0.46, 5.3, 2.7),
    0.10: (36.9, 183, 0.44, 6.5, 3.1),
    0.20: (25.7, 118, 0.42, 7.6, 4.6),
    0.50: (15.2, 66, 0.38, 8.0, 7.0),
}


def search(seed: int, p: float) -> OriginalTree:
    tree = OriginalTree(load("marco_o1_demo"), Goals(requests=0), seed=seed)
    rng = random.Random(seed)
    asked = 0
    while expansion := tree.ask():
        asked += 1
        verdict = ("correct" if rng.random() < p else "wrong") if expansion.kind == "answer" else ""
        tree.tell(expansion.node, Result(f"text {asked}", (1,), "stop", verdict))
    return tree


def test_an_ending_says_whether_the_thresholds_were_met():
    endings = {0.0: "hopeless", 0.5: "goals"}
    assert {p: ending(search(3, p)) for p in endings} == endings
    short = OriginalTree(load("marco_o1_demo"), Goals(requests=5, give_up=1), seed=3)
    while expansion := short.ask():
        verdict = "wrong" if expansion.kind == "answer" else ""
        short.tell(expansion.node, Result(f"text {expansion.node}", (1,), "stop", verdict))
    assert ending(short) == "requests"


@pytest.mark.parametrize("p", RELEASED)
def test_means_are_those_of_the_released_engine(p):
    trees = [search(seed, p) for seed in range(120)]
    rollouts, nodes, unvisited, counted, distinct = RELEASED[p]
    written = [len(tree.written()) for tree in trees]
    found = {
        "rollouts": (rollouts, [tree.rollout for tree in trees]),
        "nodes": (nodes, written),
        "never visited": (unvisited, [len(t.unvisited()) / n for t, n in zip(trees, written, strict=True)]),
        "counted": (counted, [tree.counted for tree in trees]),
        "distinct": (distinct, [len(tree.correct) for tree in trees]),
    }
    for name, (expected, values) in found.items():
        error = statistics.stdev(values) / len(values) ** 0.5
        assert abs(statistics.fmean(values) - expected) < 4 * error + 0.06 * expected, name


def test_reflections_are_ready_made_and_mostly_unfollowed():
    followed = written = 0
    for seed in range(40):
        a, b = search(seed, 0.2).reflections()
        written, followed = written + a, followed + b
    assert 0.05 < followed / written < 0.25  # the released engine leaves 86% of them


def test_budgets_hold_and_weighted_tables_work():
    tree = OriginalTree(load("marco_o1_demo"), Goals(requests=9), seed=1)
    while asked := tree.ask():
        tree.tell(asked.node, Result(f"text {asked.node}", (1,), "stop", "wrong"))
    assert tree.requests == 9
    grammar = load("marco_o1_demo")
    weighted = Weighted(width=2, weights={"double-check": 0.7, "thinking": 0.3})
    kinds = grammar.kinds | {"thinking": grammar.kinds["thinking"].model_copy(update={"next": weighted})}
    tree = OriginalTree(grammar.model_copy(update={"kinds": kinds}), Goals(requests=60), seed=1)
    while asked := tree.ask():
        tree.tell(asked.node, Result(f"text {asked.node}", (1,), "stop", "wrong", answer="12"))
    assert tree.rollout > 3


def test_siblings_share_a_prefill_and_nothing_else_is_in_flight():
    tree = OriginalTree(load("marco_o1_demo"), Goals(), seed=3)
    first, second = tree.ask(), tree.ask()
    assert tree.ask() is None
    assert first.kind == second.kind == "sub-task"
    assert first.prefill == second.prefill
