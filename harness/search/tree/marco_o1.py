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
from collections import Counter
from dataclasses import dataclass

from harness.models.base import seed_of
from harness.search.grammar.schema import Grammar, Weighted, children
from harness.search.spec import Goals
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Choice, Expansion, Node, Result

EXPLORATION = 1.414
ROLLOUTS = 32  # max_rollout_time
THRESHOLD = (4, 8)  # search_reward_threshold


@dataclass(kw_only=True)
class _Batch:
    """Siblings of one request: what is still to be asked, and what must be told before the search goes on."""

    parent: Node
    kind: str
    left: int
    prefill: str


def _none(tree: Tree) -> Choice | None:
    """The paper's tree asks by itself."""


class OriginalTree(Tree):
    """Ask/tell like ``Tree``, strictly sequential: at most the siblings of one request are in flight.

    A function of the seed and of all earlier results; unlike ``Tree`` it must be replayed in the order of asking.
    """

    def __init__(self, grammar: Grammar, goals: Goals, *, seed: int, prompt_tokens: int = 0) -> None:
        super().__init__(grammar, goals, seed=seed, policy=_none, prompt_tokens=prompt_tokens)
        self.random = random.Random(seed_of(seed, "original"))
        self.visited: dict[str, int] = {}
        self.sums: dict[str, float] = {}
        self.counted = 0.0
        self.rollout = 0
        self.over = False
        self._batches: list[_Batch] = []
        self._at = self.root
        self._expanded: set[str] = set()

    @property
    def enough(self) -> bool:
        return self.over and self.counted >= THRESHOLD[0]

    @property
    def hopeless(self) -> bool:
        return self.over and self.counted < THRESHOLD[0]

    @property
    def correct(self) -> list[Node]:
        """Distinct correct answers that a rollout came to: the others were never verified."""
        return [leaf for leaf in super().correct if leaf.id in self.visited]

    @property
    def wrong(self) -> list[Node]:
        return [leaf for leaf in super().wrong if leaf.id in self.visited]

    def unvisited(self) -> list[Node]:
        return [node for node in self.written() if node.id not in self.visited]

    def reflections(self) -> tuple[int, int]:
        kind = self.grammar.backtrack.kind if self.grammar.backtrack else ""
        written = [node for node in self.written() if node.kind == kind]
        return len(written), sum(node.id in self.visited for node in written)

    def ask(self) -> Expansion | None:
        goals = self.goals
        while not self.over:
            if self._batches and self._batches[0].left:
                limit = self.grammar.kinds[self._batches[0].kind].max_tokens
                heavy = goals.tokens and self.generated + sum(self.asked.values()) + limit > goals.tokens
                if heavy or (goals.requests and self.requests >= goals.requests):
                    return None
                return self._next(self._batches[0])
            if self.asked:
                return None
            if self._batches:
                self._batches.pop(0)
                continue
            self._walk()
        return None

    def _next(self, batch: _Batch) -> Expansion:
        batch.left -= 1
        name = self._name(batch.parent, batch.kind, "")
        self._grow(batch.parent, name, batch.kind, "")
        limit = self.grammar.kinds[batch.kind].max_tokens
        self.asked[name] = limit
        self.requests += 1
        path = tuple(n.id for n in batch.parent.path)
        return Expansion(
            node=name, kind=batch.kind, ancestors=path, seed=seed_of(self.seed, name), budget=limit,
            prefill=batch.prefill,
        )  # fmt: skip

    def tell(self, name: str, result: Result) -> None:
        node = self.nodes[name]
        if node.result is not None:
            return
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
                allowed = self.allowed(node)
                following = self.grammar.following(node.kind)
                table = dict(children(following))
                if isinstance(following, Weighted):
                    table = dict(Counter(self.grammar.slots(node.kind, seed_of(self.seed, "slots", node.id))))
                for kind, number in table.items():
                    if kind in allowed:
                        self._batches.append(
                            _Batch(parent=node, kind=kind, left=int(number), prefill=self._drawn(kind))
                        )
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
        best, among = -math.inf, []
        for child in node.children:
            n = self.visited.get(child.id, 0)
            if n == 0:
                return child
            mean = self.sums.get(child.id, 0.0) / n
            score = mean + EXPLORATION * math.sqrt(2 * math.log(self.visited[node.id]) / n)
            if score > best:
                best, among = score, [child]
            elif score == best:
                among.append(child)
        return self.random.choice(among)

    def _finish(self, leaf: Node) -> None:
        reward = float(leaf.result is not None and leaf.result.verdict == "correct")
        for node in [self.root, *leaf.path]:
            self.visited[node.id] = self.visited.get(node.id, 0) + 1
            self.sums[node.id] = self.sums.get(node.id, 0.0) + reward
        if not reward and leaf.kind == "answer":
            self._reflect(leaf)
        self.counted += reward
        late, enough = self.rollout > ROLLOUTS, self.counted >= THRESHOLD[0]
        hopeless = self.rollout > 4 * ROLLOUTS and not enough
        self.over = hopeless or (late and enough) or self.counted >= THRESHOLD[1]
        self.rollout += 1

    def _reflect(self, leaf: Node) -> None:
        """A ready-made reflection under the nearest double-check (or the kind of the grammar): no model is asked."""
        back = self.grammar.backtrack
        target = leaf.parent
        while back and target is not None and back.to and target.kind != back.to:
            target = target.parent
        if back is None or target is None or target.kind is None:
            return
        name = self._name(target, back.kind, "")
        node = self._grow(target, name, back.kind, "")
        answer = self._quotable(leaf.result.answer) if leaf.result else ""
        text = (self._drawn(back.kind) or "Wait, something is wrong.").replace("{answer}", answer)
        self._settle(node, Result(text, (), "stop"))
