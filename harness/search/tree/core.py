"""The tree of thoughts: a pure ask/tell core without clock, files or models.

``ask`` names the next node to write, ``tell`` brings its text (and, for an answer, its verdict). Everything a tree
knows is a function of the set of nodes asked and of results told, not of their order or repetition: a journal of
results, in any order, folds to the tree that wrote it. Which node comes next is a policy's matter (``policies``).

Visits count finished answers and nodes that ended a rollout; rewards are 1 for a correct answer.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from typing import Literal

from harness.models.base import seed_of
from harness.search.grammar import Grammar, children
from harness.search.spec import Goals
from harness.search.tree.nodes import Choice, Expansion, Node, Result, alike, normal, order_of, parsed
from harness.thoughts import THINK_CLOSE, THINK_OPEN

TAG_TOKENS = 12  # what the two tags around a text take at most; counted towards the context
Reward = Literal["verdict", "votes"]
Policy = Callable[["Tree"], Choice | None]


class Tree:
    """One problem's tree. ``grammar`` has one pattern; ``prompt_tokens`` count towards its context cap.

    ``reward`` "votes": an answer is worth its share among the tree's answers, and no verdict is looked at.
    ``quotes``: whether prefills may quote a wrong answer; plans, letters and grids are too long for it.
    """

    quotes = True

    def __init__(
        self, grammar: Grammar, goals: Goals, *, seed: int, policy: Policy, prompt_tokens: int = 0,
        reward: Reward = "verdict", whole: bool = False,
    ) -> None:  # fmt: skip
        self.grammar, self.goals, self.seed = grammar.draw(seed), goals, seed
        self.policy, self.reward, self.whole = policy, reward, whole
        self._steps, self._tags = self.grammar.steps, (THINK_OPEN, THINK_CLOSE, *self.grammar.tags)
        self.root = Node("", "", None, context=prompt_tokens)
        self.nodes: dict[str, Node] = {"": self.root}
        self.asked: dict[str, int] = {}  # in flight, with the tokens each may take
        self.frontier: dict[str, Node] = {}  # told, and to be continued
        self.waiting: dict[str, Choice] = {}  # reflections to write, by the wrong answer
        self.requests = self.generated = self.ended = self.reflected = 0
        # By verdict: the first answer of each distinct chain.
        self.distinct: dict[str, dict[bytes, str]] = {"correct": {}, "wrong": {}}
        self._answers: list[Node] = []
        self._early: dict[str, list[tuple[str, Result]]] = {}
        self._open(self.root)

    @property
    def enough(self) -> bool:
        """Whether the wanted numbers of distinct chains are there."""
        goals, correct, wrong = self.goals, len(self.distinct["correct"]), len(self.distinct["wrong"])
        answered = bool(goals.answers) and len(self._answers) >= goals.answers
        return answered or (correct >= goals.correct and wrong >= goals.wrong)

    @property
    def rollouts(self) -> int:
        """Rollouts begun by selection."""
        return self.ended + self.root.pending - self.reflected

    @property
    def hopeless(self) -> bool:
        return bool(self.goals.give_up) and not self.distinct["correct"] and self.ended >= self.goals.give_up

    def ask(self) -> Expansion | None:
        """The next node to write; None while nothing can be asked (done, or all depends on what is in flight)."""
        if self.enough or self.hopeless or self._spent(0) or (choice := self.policy(self)) is None:
            return None
        expansion = self._begin(*choice)
        if expansion is not None:
            self._update(self.nodes[expansion.node])
            self._update(choice.parent)
        return expansion

    def _spent(self, limit: int) -> bool:
        """Whether the budget of the tree has no room for a request of at most ``limit`` tokens."""
        goals = self.goals
        heavy = goals.tokens and self.generated + sum(self.asked.values()) + limit > goals.tokens
        return bool(heavy or (goals.requests and self.requests >= goals.requests))

    def _begin(self, parent: Node, kind: str, on: str = "", prefill: str | None = None) -> Expansion | None:
        """A new node to be written; none where the budget of the tree has no room for it."""
        kinds, whole = self.grammar.kinds, self.whole and not on
        limit = kinds[kind].max_tokens
        if whole:  # as much as the deepest chain from here could take
            limit += (self.grammar.depth - len(parent.path) - 1) * max(other.max_tokens for other in kinds.values())
            if self.grammar.max_context:
                limit = min(limit, self.grammar.max_context - parent.context - TAG_TOKENS)
        if self._spent(limit):
            return None
        name = self._name(parent, kind, on)
        prefill = self._prefill(kind, name, on) if prefill is None else prefill
        node = self._grow(parent, name, kind, on)
        self.asked[name] = limit
        self.requests += 1
        return Expansion(
            node=name, kind=kind, role=self.writer(node), ancestors=tuple(n.id for n in parent.path), budget=limit,
            seed=seed_of(self.seed, name), prefill=prefill, whole=whole,
        )  # fmt: skip

    def _name(self, parent: Node, kind: str, on: str = "") -> str:
        prefix = f"{parent.id}/" if parent.id else ""
        if on:
            return f"{prefix}{kind}({on[len(prefix) :].replace('/', '+')})"
        taken = {child.id for child in parent.children}
        return next(name for i in range(len(taken) + 1) if (name := f"{prefix}{kind}.{i}") not in taken)

    def _prefill(self, kind: str, name: str, on: str) -> str:
        prefills = self.grammar.kinds[kind].prefills
        if not prefills:
            return ""
        text = random.Random(seed_of(self.seed, "prefill", name)).choice(prefills)
        leaf = self.nodes[on].result if on else None
        if leaf and not self.quotes:
            return re.sub(r"(the answer )?\{answer\}", "that answer", text)
        return text.replace("{answer}", self._quotable(leaf.answer)) if leaf else text

    def _quotable(self, answer: str) -> str:
        for tag in self._tags:
            answer = answer.replace(tag, " ")
        return " ".join(answer.split())[:200]

    def tell(self, name: str, result: Result) -> None:
        """Apply the result of a node. A node told twice keeps its first result; a child may be told before its parent.

        Raises KeyError for an id that the grammar cannot have.
        """
        if name not in self.nodes:
            head, kind, on = parsed(name, self.grammar.kinds)
            missing = [of for of in (head, on) if of and not (of in self.nodes and self.nodes[of].result is not None)]
            if missing:
                self._early.setdefault(missing[0], []).append((name, result))
                return
            self._grow(self.nodes[head], name, kind, on)
            self.requests += 1
        node = self.nodes[name]
        if node.result is not None:
            return
        self.asked.pop(name, None)
        self.generated += result.generated
        self._settle(node, result)
        told = [name]
        for kind, more in result.rest:
            if node.spoilt:
                break
            follows = kind in self.allowed(node)
            node = self._grow(node, f"{node.id}/{kind}.0", kind)
            self._settle(node, more, follows)
            told.append(node.id)
        for early in [entry for of in told for entry in self._early.pop(of, [])]:
            self.tell(*early)

    def _settle(self, node: Node, result: Result, follows: bool = True) -> None:
        """Give a node its result and derive everything that follows from it."""
        parent = node.parent
        assert parent is not None
        node.result = result
        node.context = parent.context + len(result.token_ids) + TAG_TOKENS
        node.normal = normal(result.text)
        text = f"{node.kind}\x1f{node.normal}\x1e"
        node.key = hashlib.sha1(parent.key + text.encode(), usedforsecurity=False).digest()
        node.spoilt = self._spoilt(node, result) if follows else "left the grammar"
        if not node.spoilt:
            self._open(node)
            if node.kind != "answer" and not node.slots:
                node.spoilt = "no room for an answer"
        for repeated in self._repeated(node):
            if waiting := self.waiting.pop(repeated.id, None):
                self._close(waiting[0])
            self._update(repeated)
        if node.kind == "answer" and not node.spoilt:
            self._answers.append(node)
            if self.reward == "verdict":
                self._judge(node, result.verdict)
        self._update(node)
        self._update(parent)
        if self.reward == "votes" and node.kind == "answer":
            for other in self._answers:
                self._update(other)

    def _spoilt(self, node: Node, result: Result) -> str:
        if result.finish != "stop":
            return f"ended by {result.finish}"
        if "<" in result.text and any(tag in result.text for tag in self._tags):
            return "foreign tag"
        return "" if result.text.strip() else "empty"

    def _repeated(self, node: Node) -> list[Node]:
        """Nodes that turn out to repeat a sibling of a lower number, now that ``node`` is told."""
        assert node.parent is not None
        place, out = order_of(node), []
        same = 1.0 if node.kind == "answer" else self.grammar.same
        for other in node.parent.children:
            if other is node or other.kind != node.kind or other.result is None:
                continue
            first, second = (other, node) if order_of(other) < place else (node, other)
            if not second.duplicate and not first.spoilt and alike(first.normal, second.normal, same):
                second.duplicate = True
                out.append(second)
        return out

    def _judge(self, node: Node, verdict: str) -> None:
        if verdict in self.distinct:
            first = self.distinct[verdict]
            first[node.key] = min(first.get(node.key, node.id), node.id)
        back = self.grammar.backtrack
        target = self._before(node) if verdict == "wrong" and not node.duplicate else None
        if back is None or target is None or self._name(target, back.kind, node.id) in self.nodes:
            return
        written = sum(step.kind == back.kind for step in target.path)
        if written < back.per_chain and self._fits(target, target.path, back.kind):
            self.waiting[node.id] = Choice(target, back.kind, node.id)
            self._update(target)

    def _before(self, leaf: Node) -> Node | None:
        """The thought that backtracking from a wrong answer goes to."""
        back, target = self.grammar.backtrack, leaf.parent
        while back and back.to and target is not None and target.kind != back.to:
            target = target.parent
        return target if back and target is not None and target.kind else None

    def _grow(self, parent: Node, name: str, kind: str, on: str = "") -> Node:
        node = Node(name, kind, parent, on)
        parent.children.append(node)
        self.nodes[name] = node
        if on:
            self.waiting.pop(on, None)
            self.reflected += 1
            if self.reflected == self.goals.reflections:
                for target, _, _ in list(self.waiting.values()):
                    self._close(target)
        elif kind in parent.slots:
            parent.slots.remove(kind)
        return node

    def writer(self, node: Node) -> str:
        """The role that wrote a node."""
        return "generator" if self.whole and not node.on else self.grammar.kinds[node.kind].role

    def allowed(self, node: Node) -> set[str]:
        """The kinds that may follow a node here: by the table, its caps, the context, and the depth left to answer."""
        path = node.path
        return {kind for kind in children(self.grammar.following(node.kind)) if self._fits(node, path, kind)}

    def _fits(self, node: Node, path: list[Node], kind: str) -> bool:
        """Whether a node of ``kind`` may follow by the caps on number and context, and still come to an answer."""
        rule, most = self.grammar.kinds[kind], self.grammar.max_context
        tokens = rule.max_tokens + TAG_TOKENS + max(map(len, rule.prefills), default=0) // 2
        few = not rule.per_chain or sum(step.kind == kind for step in path) < rule.per_chain
        ends = len(path) + 1 + self._steps[kind] <= self.grammar.depth
        return few and ends and (not most or node.context + tokens <= most)

    def _open(self, node: Node) -> None:
        allowed = self.allowed(node)
        node.slots = [k for k in self.grammar.slots(node.kind, seed_of(self.seed, "slots", node.id)) if k in allowed]

    def _update(self, node: Node) -> None:
        """Bring a node's part of the statistics up to date, and with it all nodes above."""
        told = node.result is not None
        goes_on = told and not node.discarded and node.kind != "answer" and not node.children
        if goes_on and node.slots:
            self.frontier[node.id] = node
        else:
            self.frontier.pop(node.id, None)
        ends = told and (node.kind == "answer" or bool(node.spoilt))
        pending = int(bool(node.kind) and not told) + int(goes_on)
        ended = int(ends or (node.duplicate and not node.children))
        new, old = (int(ends), self._worth(node) if ends else 0.0, pending, ended), node.share
        if new != old:
            node.share = new
            self.ended += new[3] - old[3]
            step: Node | None = node
            while step is not None:
                step.visits += new[0] - old[0]
                step.value += new[1] - old[1]
                step.pending += new[2] - old[2]
                step = step.parent
        self._close(node)

    def _worth(self, node: Node) -> float:
        if node.kind != "answer" or node.spoilt or node.result is None:
            return 0.0
        if self.reward == "verdict":
            return float(node.result.verdict == "correct")
        same = sum(other.result.answer == node.result.answer for other in self._answers if other.result)
        return float(same) if node.result.answer else 0.0

    def mean(self, node: Node) -> float:
        """Mean reward of a node's finished rollouts, in [0, 1]; 0.5 while there is none."""
        scale = len(self._answers) if self.reward == "votes" else 1
        return node.value / node.visits / max(1, scale) if node.visits else 0.5

    def _close(self, node: Node | None) -> None:
        """Close a node once nothing below it can be asked, and look at those above when that changes."""
        while node is not None:
            told = node.result is not None or not node.kind
            dead = bool(node.discarded) or node.kind == "answer"
            idle = not node.slots and all(child.closed for child in node.children)
            # A reflection that waits keeps its place open, as long as its budget lets it be written.
            due = self.reflected < self.goals.reflections and any(t is node for t, _, _ in self.waiting.values())
            closed = told and (dead or (idle and not due))
            if closed == node.closed:
                return
            node.closed = closed
            node = node.parent

    def leaves(self, verdict: str) -> list[Node]:
        """One answer for each distinct chain that is "correct" or "wrong", in the order of their ids."""
        return [self.nodes[name] for name in sorted(self.distinct[verdict].values())]

    @property
    def correct(self) -> list[Node]:
        return self.leaves("correct")

    @property
    def wrong(self) -> list[Node]:
        return self.leaves("wrong")

    def reflections(self) -> tuple[int, int]:
        """(reflections written, reflections followed by a further thought)."""
        written = [node for node in self.written() if node.on]
        return len(written), sum(any(child.result for child in node.children) for node in written)

    def written(self) -> list[Node]:
        """Every node with a text, in the order of their ids."""
        return [self.nodes[name] for name in sorted(self.nodes) if self.nodes[name].result is not None]

    def unvisited(self) -> list[Node]:
        """Nodes that were written and that no finished rollout went through."""
        return [node for node in self.written() if not node.visits]
