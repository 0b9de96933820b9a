"""The models of a search by role, and what passes between them and trees.

A role has replicas with slots, a problem pinned to one of them as long as it has room. An expansion becomes a request,
a completion a row of the journal. The assistant's turn is continued by its token ids, never by text that a server would
tokenise again: nodes of the same vocabulary keep the ids that were sampled, others are encoded for their reader.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from harness.errors import ModelError
from harness.models.base import Completer, Completion, Conversation, Request, seed_of
from harness.models.prompts import conversation_ids, is_prefilled
from harness.records import Problem
from harness.search.grammar import Grammar
from harness.search.store import NodeRow
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Expansion, Node, render, spans_of
from harness.thoughts import THINK_OPEN, THINK_TAGS, special_tokens


class Role:
    """One model behind one or more ``replicas``, each with ``slots`` calls at once; ``name``: its weights' digest."""

    def __init__(self, replicas: Sequence[Completer], tokenizer: Any, *, slots: int = 64) -> None:
        self.name = replicas[0].digest
        self.tokenizer, self.replicas, self.slots = tokenizer, list(replicas), slots
        self.lockstep = any(replica.lockstep for replica in replicas)
        self.requests = self.tokens = 0
        self._slots = [_Slots(slots) for _ in replicas]

    async def complete(self, request: Request, problem: str, depth: int = 0) -> Completion:
        """Complete on the problem's replica, so that its prefixes stay cached there; on the idlest if it is full.

        Waiting calls of deeper nodes go first: chains are finished, and their caches used, before others begin.
        """
        index = self._replica(problem)
        async with self._slots[index].taken(-depth):
            completion = await self.replicas[index].complete(request)
        self.count(completion)
        return completion

    def count(self, completion: Completion) -> None:
        """Add a completion to the sums."""
        self.requests += 1
        self.tokens += len(completion.token_ids)

    def _replica(self, problem: str) -> int:
        if len(self.replicas) == 1:
            return 0
        pinned = seed_of("replica", problem) % len(self.replicas)
        if self._slots[pinned].free > 0:
            return pinned
        return max(range(len(self.replicas)), key=lambda i: (self._slots[i].free, i == pinned))


class _Slots:
    """A semaphore whose waiters are served by priority, lowest first; ``free`` is negative while some wait."""

    def __init__(self, number: int) -> None:
        self.free = number
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @asynccontextmanager
    async def taken(self, priority: int) -> AsyncIterator[None]:
        """Hold one of the slots."""
        self.free -= 1
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.free >= 0:
            turn.set_result(None)
        else:
            heapq.heappush(self._waiting, (priority, next(self._order), turn))
        try:
            await turn
            yield
        finally:
            self.free += 1
            held = turn.done() and not turn.cancelled()
            while held and self._waiting:  # the slot goes to the first that still waits
                following = heapq.heappop(self._waiting)[2]
                if not following.done():
                    following.set_result(None)
                    break


class Writer:
    """Requests and rows of one search. ``roles`` maps generator and critic to their models."""

    def __init__(self, roles: dict[str, Role]) -> None:
        self.roles = roles
        for name, of in roles.items():
            if of.tokenizer.eos_token is None:
                raise ModelError(f"the {name}'s tokenizer has no end-of-turn token (eos_token), so no chain could end")
        self._vocabularies = {r: hash(frozenset(of.tokenizer.get_vocab().items())) for r, of in roles.items()}
        self._decoders = {role: _decoder(of.tokenizer) for role, of in roles.items()}
        self._ends = {role: (of.tokenizer.eos_token, of.tokenizer.eos_token_id) for role, of in roles.items()}
        self._special = special_tokens([of.tokenizer for of in roles.values()])
        self._ids = lru_cache(4096)(self._plain)  # of tags and prefills, which recur

    def prompt(self, grammar: Grammar, problem: Problem, role: str) -> list[int]:
        """The conversation and the opening of the thinking (once, also where the template opens it itself)."""
        tokenizer = self.roles[role].tokenizer
        ids = list(conversation_ids(tokenizer, grammar.messages(problem.prompt)))
        return ids if is_prefilled(tokenizer.decode(ids[-8:]), THINK_TAGS) else ids + self._ids(role, THINK_OPEN)

    def request(
        self, tree: Tree, expansion: Expansion, prompt: Sequence[int], messages: Sequence[dict[str, str]] = ()
    ) -> Request:
        """The request for the model of the expansion's role; ``prompt`` in its vocabulary, ``messages`` behind it."""
        role, grammar = expansion.role, tree.grammar
        ids = list(prompt)
        for ancestor in expansion.ancestors:
            ids += self._span(tree, tree.nodes[ancestor], role)
        ids += self._ids(role, grammar.opening(expansion.kind) + expansion.prefill)
        closing = grammar.closing(expansion.kind)
        # The tree counts the tokens of tags and of quoted answers roughly; the context's cap holds in any case.
        room = max(1, grammar.max_context - len(ids)) if grammar.max_context else expansion.budget

        def conversation() -> Conversation:
            return Conversation(messages).continued(THINK_OPEN + self.roles[role].tokenizer.decode(ids[len(prompt) :]))

        return Request(
            conversation=conversation if messages else None,
            prompt_ids=tuple(ids), max_tokens=min(expansion.budget, room), temperature=grammar.temperature,
            top_p=grammar.top_p, seed=expansion.seed, stop=() if expansion.whole or not closing else (closing,),
        )  # fmt: skip

    def _span(self, tree: Tree, node: Node, role: str) -> list[int]:
        """Token ids of a finished node with its tags, in the vocabulary of ``role``."""
        assert node.result is not None
        content: Sequence[int] = node.result.token_ids
        if not content or self._vocabularies.get(tree.writer(node)) != self._vocabularies[role]:
            content = self._plain(role, node.result.text)
        return [*self._ids(role, tree.grammar.opening(node.kind)), *content, *self._end(tree, node.kind, role)]

    def _end(self, tree: Tree, kind: str, role: str) -> list[int]:
        return self._ids(role, tree.grammar.closing(kind) or self._ends[role][0])

    def row(self, tree: Tree, expansion: Expansion, completion: Completion) -> NodeRow:
        """What the journal keeps of a completion, without a verdict."""
        part, *rest = (self._chain if expansion.whole else self._single)(tree, expansion, completion)
        row: NodeRow = {
            "node": expansion.node, "role": expansion.role, "generated": len(completion.token_ids),
            "text": part["text"], "ids": part["ids"], "finish": part["finish"],
        }  # fmt: skip
        if rest:
            row["rest"] = rest
        return row

    def _single(self, tree: Tree, expansion: Expansion, completion: Completion) -> list[NodeRow]:
        ids, role = list(completion.token_ids), expansion.role
        # A thought that ends the whole turn did not close its tag: it is no part of a chain.
        ended = completion.ended or ids[-1:] == [self._ends[role][1]]
        end = self._end(tree, expansion.kind, role)
        if ids[-len(end) :] == end:
            ids = ids[: -len(end)]
        elif completion.ended and self._decoders[role](ids[:-1]) == completion.text:
            ids = ids[:-1]  # another of the model's end tokens
        if self._decoders[role](ids) != completion.text:
            ids = self._plain(role, completion.text)
        another_turn = self._special and self._special.search(completion.text)
        finish = "end of turn" if another_turn or (ended and expansion.kind != "answer") else completion.finish
        ids = [*self._ids(role, expansion.prefill), *ids] if expansion.prefill else ids
        return [{"text": expansion.prefill + completion.text, "ids": ids, "finish": finish}]

    def _chain(self, tree: Tree, expansion: Expansion, completion: Completion) -> list[NodeRow]:
        """A whole chain cut into nodes at its tags; what stands between two thoughts spoils the one before."""
        grammar = tree.grammar
        kinds = {grammar.opening(kind): kind for kind in grammar.kinds}
        parts: list[NodeRow] = []
        kind, rest = expansion.kind, expansion.prefill + completion.text
        while True:
            closing = grammar.closing(kind)
            text, closed, rest = rest.partition(closing) if closing else (rest, "", "")
            finish: str = "stop" if closed or (not closing and completion.finish == "stop") else completion.finish
            special = self._special and self._special.search(text)
            if special or (closing and not closed and finish == "stop"):
                finish = "end of turn"
            parts.append({"kind": kind, "text": text, "ids": self._plain(expansion.role, text), "finish": finish})
            opening = re.match(r"\s*(" + "|".join(map(re.escape, kinds)) + ")", rest)
            if not closed or opening is None:
                if rest.strip():
                    parts[-1]["finish"] = "text outside tags"
                return parts
            kind, rest = kinds[opening[1]], rest[opening.end() :]

    def response(self, tree: Tree, row: NodeRow, expansion: Expansion) -> str | None:
        """The chain that a row ends, as the text that is graded; None if it does not end one.

        Prefills and tags stay out of the answer: the grader reads what follows the thinking.
        """
        last = [(expansion.kind, row["text"]), *((part.get("kind", ""), part["text"]) for part in row.get("rest", ()))]
        if last[-1][0] != "answer":
            return None
        before = spans_of(tree.nodes[expansion.node])  # whose own text the tree does not know yet
        return render(tree.grammar, before + last)

    def _plain(self, role: str, text: str) -> list[int]:
        return list(self.roles[role].tokenizer.encode(text, add_special_tokens=False))


def _decoder(tokenizer: Any) -> Callable[[list[int]], str]:
    """Ids to text, special tokens and all; past transformers' checks of every id where the tokenizer is a fast one."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    return tokenizer.decode if fast is None else lambda ids: str(fast.decode(ids, skip_special_tokens=False))
