"""A world without models: texts and verdicts are functions of a node's path, so every order of tells meets the same."""

from __future__ import annotations

import random

from harness.search.grammar import Grammar, children
from harness.search.spec import Goals
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Expansion, Result
from harness.search.tree.policies import POLICIES


def tree_of(grammar: Grammar, goals: Goals, seed: int, policy: str = "mcts", **more) -> Tree:
    return Tree(grammar, goals, seed=seed, policy=POLICIES[policy], whole=policy == "chain_first", **more)


def one(name: str, kind: str, seed: int, p: float, budget: int) -> Result:
    rng = random.Random(f"{name}/{seed}")
    text = f"{kind} {rng.randint(0, 3)}"
    generated = rng.randint(1, budget)
    if rng.random() < 0.05:
        return Result(text, (1, 2), "length", generated=budget)
    if rng.random() < 0.03:
        return Result(text + " <reflection>", (1, 2), "stop", generated=generated)
    verdict = ("correct" if rng.random() < p else "wrong") if kind == "answer" else ""
    return Result(text, tuple(range(generated % 40)), "stop", verdict, answer=text, generated=generated)


def result_for(tree: Tree, expansion: Expansion, seed: int, p: float) -> Result:
    first = one(expansion.node, expansion.kind, seed, p, expansion.budget)
    if not expansion.whole or expansion.kind == "answer" or first.finish != "stop":
        return first
    name, kind, rest = expansion.node, expansion.kind, []
    rng = random.Random(f"whole/{name}/{seed}")
    while kind != "answer" and len(rest) < 12:
        following = list(children(tree.grammar.following(kind)))
        kind = rng.choice(following if following and rng.random() < 0.95 else list(tree.grammar.kinds))
        name = f"{name}/{kind}.0"
        rest.append((kind, one(name, kind, seed, p, 5)))
    return Result(first.text, first.token_ids, "stop", generated=first.generated, rest=tuple(rest))


def search(tree: Tree, seed: int, p: float, in_flight: int = 3, shuffle: random.Random | None = None):
    """Run to the end; returns the log of (id, result) in the order of telling."""
    log: list[tuple[str, Result]] = []
    outstanding: list[Expansion] = []
    while True:
        while len(outstanding) < in_flight and (asked := tree.ask()) is not None:
            outstanding.append(asked)
        if not outstanding:
            return log
        expansion = outstanding.pop(shuffle.randrange(len(outstanding)) if shuffle else 0)
        log.append((expansion.node, result_for(tree, expansion, seed, p)))
        tree.tell(*log[-1])


def state(tree: Tree) -> dict:
    """Everything that a tree knows, without the order in which it learned it."""
    nodes = {
        n.id: (
            n.kind, n.on, n.result, sorted(c.id for c in n.children), n.slots, n.visits, n.value, n.pending, n.closed,
            n.spoilt, n.duplicate, n.context, n.key,
        )
        for n in tree.nodes.values()
    }  # fmt: skip
    counts = (tree.requests, tree.generated, tree.ended, tree.reflected, tree.rollouts)
    sets = (sorted(tree.frontier), sorted(tree.waiting), sorted(tree.asked))
    found = ([n.id for n in tree.correct], [n.id for n in tree.wrong])
    return {"nodes": nodes, "counts": counts, "sets": sets, "found": found}
