"""The tree of thoughts: a pure ask/tell core without clock, files or models.

``ask`` names the next node to write, ``tell`` brings its text (and, for an answer, its verdict). Selection is UCT with
started visits in the exploration term and finished ones in the mean (WU-UCT, arXiv 1810.11755), children appear by
progressive widening, finished leaves and exhausted subtrees close. A wrong verdict puts a reflection at the head of
the queue, beside the wrong answer: its context is the reasoning that led there.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.models.base import seed_of
from harness.search.grammar import Grammar
from harness.thoughts import TAGS, THINK_CLOSE, THINK_OPEN, opening


@dataclass(frozen=True)
class Goals:
    """When a problem is done: enough distinct verified chains, or a budget of rollouts or nodes is spent."""

    correct: int = 6
    wrong: int = 2
    rollouts: int = 16
    nodes: int = 96


@dataclass(frozen=True)
class Expansion:
    """A node to be written: its path id, kind and the ids of the nodes on the way to it, root first."""

    node: str
    kind: str
    ancestors: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Result:
    """What came back for an expansion. ``verdict`` is set for answers: correct, wrong, or anything else (no chain)."""

    text: str
    token_ids: tuple[int, ...]
    finish: str
    verdict: str = ""
    reason: str = ""


@dataclass
class Node:
    id: str
    kind: str | None
    parent: Node | None
    result: Result | None = None
    children: list[Node] = field(default_factory=list)
    slots: list[str] = field(default_factory=list)
    started: int = 0
    finished: int = 0
    value: float = 0.0
    closed: bool = False
    discarded: str = ""  # why the node is no part of any chain: duplicate, cut, foreign tag

    @property
    def path(self) -> list[Node]:
        """Nodes from the first thought to this one."""
        out: list[Node] = []
        node: Node | None = self
        while node is not None and node.kind is not None:
            out.append(node)
            node = node.parent
        return out[::-1]


class Tree:
    """One problem's tree. Deterministic: the order of asks is a function of the tells and of ``seed``."""

    def __init__(self, grammar: Grammar, goals: Goals, seed: int, exploration: float = 1.0) -> None:
        self.grammar = grammar
        self.goals = goals
        self.seed = seed
        self.exploration = exploration
        self.root = Node("", None, None)
        self.nodes: dict[str, Node] = {"": self.root}
        self.correct: dict[str, Node] = {}
        self.wrong: dict[str, Node] = {}
        self.rollouts = 0
        self._open_slots(self.root)
        self._urgent: deque[tuple[Node, str]] = deque()
        self._continuing: deque[Node] = deque()
        self._in_flight: set[str] = set()

    # --- ask -------------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        enough = len(self.correct) >= self.goals.correct and len(self.wrong) >= self.goals.wrong
        spent = self.rollouts >= self.goals.rollouts or len(self.nodes) > self.goals.nodes
        return enough or self.root.closed or (spent and not self._continuing and not self._urgent)

    def ask(self) -> Expansion | None:
        """The next node to write; None while nothing can be asked (done, or all depends on what is in flight)."""
        enough = len(self.correct) >= self.goals.correct and len(self.wrong) >= self.goals.wrong
        if enough or len(self.nodes) > self.goals.nodes + self.goals.rollouts:
            return None
        if self._urgent:
            parent, kind = self._urgent.popleft()
            self._start(parent)
            return self._expand(parent, kind)
        while self._continuing:
            parent = self._continuing.popleft()
            if parent.slots:
                return self._expand(parent, parent.slots.pop(0))
        if self.rollouts >= self.goals.rollouts or len(self.nodes) > self.goals.nodes:
            return None
        leaf = self._select()
        if leaf is None:
            return None
        self._start(leaf)
        return self._expand(leaf, leaf.slots.pop(0))

    def _select(self) -> Node | None:
        node = self.root
        while True:
            ready = [c for c in node.children if not c.closed and c.result is not None]
            width = 1 + math.isqrt(node.started)
            if node.slots and (not ready or len(node.children) < width):
                return node
            if not ready:
                return None
            node = max(ready, key=lambda child: self._score(node, child))

    def _score(self, parent: Node, child: Node) -> float:
        mean = child.value / child.finished if child.finished else 0.5
        return mean + self.exploration * math.sqrt(math.log(parent.started + 1) / (child.started + 1))

    def _start(self, node: Node) -> None:
        """Count a started rollout on the way down to ``node``."""
        self.rollouts += 1
        for step in [self.root, *node.path]:
            step.started += 1

    def _expand(self, parent: Node, kind: str) -> Expansion:
        sibling = sum(child.kind == kind for child in parent.children)
        name = f"{parent.id}/{kind}.{sibling}" if parent.id else f"{kind}.{sibling}"
        child = Node(name, kind, parent, started=1)
        parent.children.append(child)
        self.nodes[name] = child
        self._in_flight.add(name)
        return Expansion(name, kind, tuple(n.id for n in parent.path), seed_of(self.seed, name))

    def _open_slots(self, node: Node) -> None:
        """The children a new node may have, in an order drawn from the tree's seed and the node's path."""
        path = node.path
        depth = len(path)
        following = {
            kind: number
            for kind, number in self.grammar.following(node.kind).items()
            if not (cap := self.grammar.kinds[kind].per_chain) or sum(step.kind == kind for step in path) < cap
        }
        if depth >= self.grammar.max_depth - 1:
            following = {kind: n for kind, n in following.items() if kind == "answer"}
        kinds = [kind for kind, number in following.items() for _ in range(number)]
        random.Random(seed_of(self.seed, "slots", node.id)).shuffle(kinds)
        node.slots = kinds

    # --- tell ------------------------------------------------------------------------------------------------

    def tell(self, name: str, result: Result) -> None:
        """Apply the result of an asked node. Telling a node twice changes nothing; an unknown id is a KeyError."""
        node = self.nodes[name]
        if node.result is not None:
            return
        node.result = result
        self._in_flight.discard(name)
        assert node.parent is not None
        node.discarded = self._why_discarded(node, result)
        if node.discarded:
            self._finish(node, None)
        elif node.kind == "answer":
            self._verdict(node, result)
        else:
            self._open_slots(node)
            if node.slots:
                self._continuing.append(node)
            else:
                node.discarded = "no room for an answer"
                self._finish(node, None)

    def _why_discarded(self, node: Node, result: Result) -> str:
        assert node.parent is not None
        if result.finish != "stop":
            return f"ended by {result.finish}"
        if any(tag in result.text for tag in (THINK_OPEN, THINK_CLOSE, *TAGS)):
            return "foreign tag"
        same = [
            c for c in node.parent.children if c is not node and c.kind == node.kind and c.result and not c.discarded
        ]
        if any(c.result is not None and _normal(c.result.text) == _normal(result.text) for c in same):
            return "duplicate"
        return ""

    def _verdict(self, node: Node, result: Result) -> None:
        text = "".join(opening(n.kind or "") + _normal(n.result.text) for n in node.path if n.result)
        if result.verdict == "correct":
            self.correct.setdefault(text, node)
        elif result.verdict == "wrong":
            self.wrong.setdefault(text, node)
            self._backtrack(node)
        self._finish(node, float(result.verdict == "correct"))

    def _backtrack(self, node: Node) -> None:
        back, parent = self.grammar.backtrack, node.parent
        if back is None or parent is None or parent.kind is None:
            return
        written = sum(step.kind == back.kind for step in node.path)
        beside = any(child.kind == back.kind for child in parent.children)
        if written < back.per_chain and not beside and len(node.path) + 2 < self.grammar.max_depth:
            self._urgent.appendleft((parent, back.kind))

    def _finish(self, node: Node, reward: float | None) -> None:
        """End a rollout. Without a reward (a discarded node) the means stay as they are."""
        node.closed = True
        if reward is not None:
            for step in [self.root, *node.path]:
                step.finished += 1
                step.value += reward
        self._close(node.parent)

    def _close(self, node: Node | None) -> None:
        """Close a node, and then its ancestors, once nothing below it can be asked."""
        while node is not None:
            waiting = any(parent is node for parent, _ in self._urgent)
            if node.slots or waiting or not all(child.closed for child in node.children):
                return
            node.closed = True
            node = node.parent

    # --- what was found ----------------------------------------------------------------------------------------

    def leaves(self) -> Iterator[Node]:
        """Answers with a verdict, one per distinct chain, correct ones first, in order of discovery."""
        yield from self.correct.values()
        yield from self.wrong.values()

    def reflections(self) -> tuple[int, int]:
        """(reflections written, reflections followed by a further thought)."""
        kind = self.grammar.backtrack.kind if self.grammar.backtrack else ""
        written = [n for n in self.nodes.values() if n.kind == kind and n.result and not n.discarded]
        return len(written), sum(any(c.result for c in n.children) for n in written)


def _normal(text: str) -> str:
    return " ".join(text.split()).lower()
