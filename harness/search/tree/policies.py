"""Policies: which node of a tree is written next. Each is a function of the tree alone, so any may be resumed.

The paper's own policy, as released, is a tree of its own kind (``OriginalTree``).
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict

from harness.models.base import seed_of
from harness.search.grammar import Grammar, Weighted, children
from harness.search.spec import Goals
from harness.search.tree.core import Policy, Tree
from harness.search.tree.nodes import Choice, Expansion, Node, Result

EXPLORATION = 1.414  # as the next two: constants of the paper's policy
ROLLOUTS = 32  # max_rollout_time
THRESHOLD = (4, 8)  # search_reward_threshold


def mcts(tree: Tree) -> Choice | None:
    """Step by step: a reflection that waits, else a rollout begun before, else a new one where UCT leads."""
    return _reflection(tree) or _continuation(tree) or _new(tree, _uct)


def chain_first(tree: Tree) -> Choice | None:
    """As ``mcts``, but each request writes a chain to its end; it is cut into nodes afterwards, and later ones fork it.

    So do EPTree in TreeRL (arXiv 2506.11902) and FastMCTS (arXiv 2502.11476). Half of the rollouts starts at the root.
    """
    first = tree.rollouts < (tree.goals.rollouts + 1) // 2
    return _reflection(tree) or _continuation(tree) or _new(tree, _fresh if first else _uct)


def rejection(tree: Tree) -> Choice | None:
    """Independent chains by the same grammar, nothing shared, no backtracking: the baseline."""
    return _continuation(tree) or _new(tree, _fresh)


def decoding(tree: Tree) -> Choice | None:
    """For test time, without verdicts: fresh chains for half of the answers, then UCT; fresh ones where it ends."""
    if tree.rollouts < (tree.goals.answers + 1) // 2:
        return _continuation(tree) or _new(tree, _fresh)
    return _continuation(tree) or _new(tree, _uct) or (None if tree.root.pending else _new(tree, _fresh))


POLICIES: dict[str, Policy] = {policy.__name__: policy for policy in (mcts, chain_first, rejection, decoding)}


def _reflection(tree: Tree) -> Choice | None:
    may = tree.reflected < tree.goals.reflections
    ready = [at for at, (node, *_) in tree.waiting.items() if may and not any(step.discarded for step in node.path)]
    return tree.waiting[min(ready)] if ready else None


def _continuation(tree: Tree) -> Choice | None:
    """The deepest node that waits for its child: chains are finished before others begin."""
    node = min(tree.frontier.values(), key=lambda n: (-n.context, n.id), default=None)
    return Choice(node, node.slots[0]) if node else None


def _new(tree: Tree, where: Policy) -> Choice | None:
    return None if tree.rollouts >= tree.goals.rollouts or _served(tree) else where(tree)


def _served(tree: Tree) -> bool:
    """Whether the rollouts in flight will probably bring what is still wanted, so that others may use the slots."""
    ended, pending = tree.ended, tree.root.pending
    wanted = ((len(tree.distinct["correct"]), tree.goals.correct), (len(tree.distinct["wrong"]), tree.goals.wrong))
    return pending > 0 and all(n >= goal or pending * (n + 1) / (ended + 2) >= goal - n for n, goal in wanted)


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


class OriginalTree(Tree):
    """The search policy of AIDC-AI/Marco-o1 (src/v2) as released, with its constants, for comparison.

    Kept on purpose: all child types of a node are generated at once, one request after the other with n siblings each;
    plain UCT with the constant 1.414 and an inner factor 2; finished answers stay selectable and count at every visit;
    a visited wrong answer adds another pre-written reflection beside it, without a model; siblings share a drawn
    prefill; texts cut by the limit count as complete. Ours alone: seeds, ties broken by them, and the grammar's caps on
    depth and context, without which a table with a loop never comes to an answer.

    At most the siblings of one request are in flight. A function of the seed and of all earlier results; unlike
    ``Tree`` it must be replayed in the order of asking.
    """

    def __init__(self, grammar: Grammar, goals: Goals, *, seed: int, prompt_tokens: int = 0) -> None:
        super().__init__(grammar, goals, seed=seed, policy=lambda tree: None, prompt_tokens=prompt_tokens)
        self.random = random.Random(seed_of(seed, "original"))
        self.visited: defaultdict[str, int] = defaultdict(int)
        self.sums: defaultdict[str, float] = defaultdict(float)
        self.counted, self.rollout, self.over = 0.0, 0, False
        # The siblings of each request that are still to be asked, as (parent, kind, prefill).
        self._batches: list[list[tuple[Node, str, str]]] = []
        self._at, self._expanded = self.root, set[str]()

    @property
    def enough(self) -> bool:
        return self.over and self.counted >= THRESHOLD[0]

    @property
    def hopeless(self) -> bool:
        return self.over and self.counted < THRESHOLD[0]

    def leaves(self, verdict: str) -> list[Node]:
        """Those that a rollout came to: the others were never verified."""
        return [leaf for leaf in super().leaves(verdict) if leaf.id in self.visited]

    def unvisited(self) -> list[Node]:
        return [node for node in self.written() if node.id not in self.visited]

    def reflections(self) -> tuple[int, int]:
        kind = self.grammar.backtrack.kind if self.grammar.backtrack else ""
        written = [node for node in self.written() if node.kind == kind]
        return len(written), sum(node.id in self.visited for node in written)

    def ask(self) -> Expansion | None:
        while not self.over:
            if self._batches and self._batches[0]:
                parent, kind, prefill = self._batches[0][-1]
                if expansion := self._begin(parent, kind, prefill=prefill):
                    self._batches[0].pop()
                return expansion
            if self.asked:
                return None
            if self._batches:
                self._batches.pop(0)
            else:
                self._walk()
        return None

    def tell(self, name: str, result: Result) -> None:
        node = self.nodes[name]
        if node.result is None:
            self.asked.pop(name, None)
            self.generated += result.generated
            self._settle(node, result)

    def _walk(self) -> None:
        """Select on from where the rollout is; ask for children where there are none, or finish it at an answer."""
        node = self._at
        while node.kind != "answer":
            self._at = node
            if node.id not in self._expanded:
                self._expanded.add(node.id)
                allowed, following = self.allowed(node), self.grammar.following(node.kind)
                table = children(following)
                if isinstance(following, Weighted):
                    table = dict(Counter(self.grammar.slots(node.kind, seed_of(self.seed, "slots", node.id))))
                self._batches += [
                    [(node, kind, self._drawn(kind))] * int(number) for kind, number in table.items() if kind in allowed
                ]
                if self._batches:
                    return
            if not node.children:  # the grammar's caps leave nothing to write
                break
            node = self._best(node)
        self._at = self.root
        self._finish(node)

    def _drawn(self, kind: str) -> str:
        prefills = self.grammar.kinds[kind].prefills
        return self.random.choice(prefills) if prefills else ""

    def _best(self, node: Node) -> Node:
        scores = {}
        for child in node.children:
            if child.id not in self.visited:
                return child
            visits = self.visited[child.id]
            explored = EXPLORATION * math.sqrt(2 * math.log(self.visited[node.id]) / visits)
            scores[child.id] = self.sums[child.id] / visits + explored
        best = max(scores.values())
        return self.random.choice([child for child in node.children if scores[child.id] == best])

    def _finish(self, leaf: Node) -> None:
        reward = float(leaf.result is not None and leaf.result.verdict == "correct")
        for node in [self.root, *leaf.path]:
            self.visited[node.id] += 1
            self.sums[node.id] += reward
        if not reward and leaf.kind == "answer":
            self._reflect(leaf)
        self.counted += reward
        late, enough = self.rollout > ROLLOUTS, self.counted >= THRESHOLD[0]
        hopeless = self.rollout > 4 * ROLLOUTS and not enough
        self.over = hopeless or (late and enough) or self.counted >= THRESHOLD[1]
        self.rollout += 1

    def _reflect(self, leaf: Node) -> None:
        """A ready-made reflection under the nearest double-check (or the kind of the grammar): no model is asked."""
        back, target = self.grammar.backtrack, self._before(leaf)
        if back is None or target is None:
            return
        node = self._grow(target, self._name(target, back.kind), back.kind)
        answer = self._quotable(leaf.result.answer) if leaf.result else ""
        text = (self._drawn(back.kind) or "Wait, something is wrong.").replace("{answer}", answer)
        self._settle(node, Result(text, (), "stop"))
