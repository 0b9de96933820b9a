"""Policies: which node of a tree is written next. Each is a function of the tree alone, so any may be resumed.

- ``mcts``: step by step, UCT with statistics of what is in flight; reflections first, then rollouts already begun.
- ``chain_first``: the same choices, but each request writes a chain to its end; it is cut into nodes afterwards, and
  later rollouts fork it (as EPTree in TreeRL, arXiv 2506.11902, and FastMCTS, arXiv 2502.11476).
- ``rejection``: independent chains by the same grammar, nothing shared, no backtracking: the baseline.
- ``decoding``: for test time, where no verdict is known.

The paper's own policy is ``original``.
"""

from __future__ import annotations

import math

from harness.models.base import seed_of
from harness.search.tree.core import Policy, Tree
from harness.search.tree.nodes import Choice


def mcts(tree: Tree) -> Choice | None:
    """A reflection that waits, else a rollout begun before, else a new rollout where UCT leads."""
    return _reflection(tree) or _continuation(tree) or _new(tree, _uct)


def chain_first(tree: Tree) -> Choice | None:
    """As ``mcts``, but the first half of the rollouts starts at the root, whatever its table says about counts."""
    first = tree.rollouts < (tree.goals.rollouts + 1) // 2
    return _reflection(tree) or _continuation(tree) or _new(tree, _fresh if first else _uct)


def rejection(tree: Tree) -> Choice | None:
    """Go on with a chain, or start another one at the root."""
    return _continuation(tree) or _new(tree, _fresh)


def decoding(tree: Tree) -> Choice | None:
    """Test-time search, without verdicts: half of the answers by fresh chains, then forks where UCT leads.

    Fresh chains again where the tree has nothing left to widen.
    """
    if tree.rollouts < (tree.goals.answers + 1) // 2:
        return _continuation(tree) or _new(tree, _fresh)
    return _continuation(tree) or _new(tree, _uct) or (None if tree.root.pending else _new(tree, _fresh))


POLICIES: dict[str, Policy] = {policy.__name__: policy for policy in (mcts, chain_first, rejection, decoding)}


def _reflection(tree: Tree) -> Choice | None:
    if not tree.waiting or tree.reflected >= tree.goals.reflections:
        return None
    ready = [leaf for leaf, choice in tree.waiting.items() if not any(step.discarded for step in choice[0].path)]
    return tree.waiting[min(ready)] if ready else None


def _continuation(tree: Tree) -> Choice | None:
    """The deepest node that waits for its child: chains are finished before others begin."""
    if not tree.frontier:
        return None
    node = min(tree.frontier.values(), key=lambda n: (-n.context, n.id))
    return Choice(node, node.slots[0])


def _new(tree: Tree, where: Policy) -> Choice | None:
    return None if tree.rollouts >= tree.goals.rollouts or _served(tree) else where(tree)


def _served(tree: Tree) -> bool:
    """Whether the rollouts in flight will probably bring what is still wanted, so that others may use the slots."""
    ended, pending = tree.ended, tree.root.pending
    if not pending:
        return False
    wanted = ((len(tree.distinct["correct"]), tree.goals.correct), (len(tree.distinct["wrong"]), tree.goals.wrong))
    return all(n >= goal or pending * (n + 1) / (ended + 2) >= goal - n for n, goal in wanted)


def _uct(tree: Tree) -> Choice | None:
    """The node to widen: down from the root by UCT, stopping where a further child is due.

    Exploration counts rollouts begun, the mean those finished (WU-UCT, arXiv 1810.11755). A node has at most
    1 + sqrt(rollouts begun) children (progressive widening).
    """
    node, constant = tree.root, tree.grammar.exploration
    while True:
        ready = [c for c in node.children if not c.closed and c.result is not None]
        if node.slots and (not ready or len(node.children) < 1 + math.isqrt(node.started)):
            return Choice(node, node.slots[0])
        if not ready:
            return None
        log = math.log(node.started + 1)
        # Ties go by id, never by the order in which children were told.
        node = max(ready, key=lambda c: (tree.mean(c) + constant * math.sqrt(log / (c.started + 1)), c.id))


def _fresh(tree: Tree) -> Choice | None:
    """Another child of the root, beyond the counts of the table; its kind is drawn from the tree's seed."""
    drawn, allowed = seed_of(tree.seed, "fresh", len(tree.root.children)), tree.allowed(tree.root)
    kinds = [kind for kind in tree.grammar.slots("", drawn) if kind in allowed]
    return Choice(tree.root, kinds[0]) if kinds else None
