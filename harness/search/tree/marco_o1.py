"""The search policy of AIDC-AI/Marco-o1 (src/v2) as released, with its constants, for comparison.

Kept on purpose: all child types of a node are generated at once, one request after the other with n siblings each;
plain UCT with the constant 1.414 and an inner factor 2; finished answers stay selectable and count at every visit; a
visited wrong answer adds another pre-written reflection beside it, without a model; siblings share a drawn prefill;
texts cut by the limit count as complete. Ours alone: seeds, ties broken by them, and the grammar's caps on depth and
context, without which a table with a loop never comes to an answer.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict

from harness.models.base import seed_of
from harness.search.grammar import Grammar, Weighted, children
from harness.search.spec import Goals
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Expansion, Node, Result

EXPLORATION = 1.414
ROLLOUTS = 32  # max_rollout_time
THRESHOLD = (4, 8)  # search_reward_threshold


class OriginalTree(Tree):
    """Ask/tell like ``Tree``, strictly sequential: at most the siblings of one request are in flight.

    A function of the seed and of all earlier results; unlike ``Tree`` it must be replayed in the order of asking.
    """

    def __init__(self, grammar: Grammar, goals: Goals, *, seed: int, prompt_tokens: int = 0) -> None:
        super().__init__(grammar, goals, seed=seed, policy=lambda tree: None, prompt_tokens=prompt_tokens)
        self.random = random.Random(seed_of(seed, "original"))
        self.visited: defaultdict[str, int] = defaultdict(int)
        self.sums: defaultdict[str, float] = defaultdict(float)
        self.counted, self.rollout, self.over = 0.0, 0, False
        # The siblings of each request that are still to be asked, as (parent, kind, prefill).
        self._batches: list[list[tuple[Node, str, str]]] = []
        self._at = self.root
        self._expanded: set[str] = set()

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
