"""Between trees and models: an expansion becomes a request in token ids, a completion becomes a row of the journal.

The assistant's turn is continued by its token ids, never by text that a server would tokenise again: nodes of the same
vocabulary keep the ids that were sampled, others are encoded for the model that reads them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import ModelError
from harness.models.base import Completion, Request
from harness.models.prompts import is_prefilled, prompt_ids
from harness.records import Problem
from harness.search.grammar.schema import Grammar
from harness.search.rows import NodeRow, Part
from harness.search.run.roles import Role
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Expansion, Node
from harness.search.tree.paths import render, writer_of
from harness.thoughts import THINK_OPEN, THINK_TAGS
from harness.tokens import special_tokens


class Writer:
    """Requests and rows of one search. ``roles`` maps generator and critic to their models."""

    def __init__(self, roles: dict[str, Role]) -> None:
        self.roles = roles
        for name, of in roles.items():
            if of.tokenizer.eos_token is None:
                raise ModelError(f"the {name}'s tokenizer has no end-of-turn token (eos_token), so no chain could end")
        self._vocabularies = {role: _vocabulary(of.tokenizer) for role, of in roles.items()}
        self._decoders = {role: _decoder(of.tokenizer) for role, of in roles.items()}
        self._ends = {role: (of.tokenizer.eos_token, of.tokenizer.eos_token_id) for role, of in roles.items()}
        self._special = special_tokens([of.tokenizer for of in roles.values()])
        self._encoded: dict[tuple[str, str], list[int]] = {}

    def prompt(self, grammar: Grammar, problem: Problem, role: str) -> list[int]:
        """The user's message and the opening of the thinking (once, also where the template opens it itself)."""
        tokenizer = self.roles[role].tokenizer
        ids = list(prompt_ids(tokenizer, grammar.prompt.replace("{problem}", problem.prompt)))
        if not is_prefilled(tokenizer.decode(ids[-8:]), THINK_TAGS):
            ids += self._ids(role, THINK_OPEN)
        return ids

    def role(self, tree: Tree, expansion: Expansion) -> str:
        """The role that writes an expansion."""
        return "generator" if expansion.whole else tree.grammar.kinds[expansion.kind].role

    def request(self, tree: Tree, expansion: Expansion, prompt: Sequence[int]) -> Request:
        """The request for the model of the expansion's role; ``prompt`` in its vocabulary."""
        role, grammar = self.role(tree, expansion), tree.grammar
        ids = list(prompt)
        for ancestor in expansion.ancestors:
            ids += self.span(tree, tree.nodes[ancestor], role)
        ids += self._ids(role, grammar.opening(expansion.kind) + expansion.prefill)
        closing = grammar.closing(expansion.kind)
        stop = () if expansion.whole or not closing else (closing,)
        # The tree counts the tokens of tags and of quoted answers roughly; the context's cap holds in any case.
        room = max(1, grammar.max_context - len(ids)) if grammar.max_context else expansion.budget
        most = min(expansion.budget, room)
        return Request(
            prompt_ids=tuple(ids), max_tokens=most, temperature=grammar.temperature, top_p=grammar.top_p,
            seed=expansion.seed, stop=stop,
        )  # fmt: skip

    def span(self, tree: Tree, node: Node, role: str) -> list[int]:
        """Token ids of a finished node with its tags, in the vocabulary of ``role``."""
        assert node.result is not None
        assert node.kind is not None
        grammar, writer = tree.grammar, writer_of(tree, node)
        content: Sequence[int] = node.result.token_ids
        if not content or self._vocabularies.get(writer) != self._vocabularies[role]:
            content = self._plain(role, node.result.text)
        end = grammar.closing(node.kind) or self._ends[role][0]
        return [*self._ids(role, grammar.opening(node.kind)), *content, *self._ids(role, end)]

    def row(self, tree: Tree, expansion: Expansion, completion: Completion) -> NodeRow:
        """What the journal keeps of a completion, without a verdict."""
        role, grammar = self.role(tree, expansion), tree.grammar
        end_text, end_id = self._ends[role]
        generated = len(completion.token_ids)
        if expansion.whole:
            first, rest = self._cut(tree, expansion, role, completion)
            whole: NodeRow = {
                "node": expansion.node, "role": role, "generated": generated, "text": first["text"],
                "ids": first["ids"], "finish": first["finish"],
            }  # fmt: skip
            if rest:
                whole["rest"] = rest
            return whole
        ids = list(completion.token_ids)
        # A thought that ends the whole turn did not close its tag: it is no part of a chain.
        ended = expansion.kind != "answer" and (completion.ended or ids[-1:] == [end_id])
        end = self._ids(role, grammar.closing(expansion.kind) or end_text)
        if ids[-len(end) :] == end:
            ids = ids[: -len(end)]
        elif completion.ended and self._decoders[role](ids[:-1]) == completion.text:
            ids = ids[:-1]  # another of the model's end tokens
        if self._decoders[role](ids) != completion.text:
            ids = self._plain(role, completion.text)
        text = expansion.prefill + completion.text
        if self._special and self._special.search(completion.text):
            ended = True  # another turn, spelt out
        ids = [*self._ids(role, expansion.prefill), *ids] if expansion.prefill else ids
        return {
            "node": expansion.node, "role": role, "generated": generated, "text": text, "ids": ids,
            "finish": "end of turn" if ended else completion.finish,
        }  # fmt: skip

    def _cut(
        self, tree: Tree, expansion: Expansion, role: str, completion: Completion
    ) -> tuple[Part, list[Part]]:  # fmt: skip
        """A whole chain cut into nodes at its tags: the first, and the others.

        What stands between two thoughts spoils the one before.
        """
        grammar = tree.grammar
        kinds = {grammar.opening(kind): kind for kind in grammar.kinds}
        parts: list[Part] = []
        kind, rest = expansion.kind, expansion.prefill + completion.text
        while True:
            closing = grammar.closing(kind)
            text, closed, rest = rest.partition(closing) if closing else (rest, "", "")
            finish: str = "stop" if closed or (not closing and completion.finish == "stop") else completion.finish
            special = self._special and self._special.search(text)
            if special or (closing and not closed and finish == "stop"):
                finish = "end of turn"
            parts.append({"kind": kind, "text": text, "ids": self._plain(role, text), "finish": finish})
            opening = re.match(r"\s*(" + "|".join(map(re.escape, kinds)) + ")", rest)
            if not closed or opening is None:
                if rest.strip():
                    parts[-1]["finish"] = "text outside tags"
                break
            kind, rest = kinds[opening[1]], rest[opening.end() :]
        head, *others = parts
        del head["kind"]
        return head, others

    def response(self, tree: Tree, row: NodeRow, expansion: Expansion) -> str | None:
        """The chain that a row ends, as the text that is graded; None if it does not end one.

        Prefills and tags stay out of the answer: the grader reads what follows the thinking.
        """
        grammar = tree.grammar
        last = [(expansion.kind, row["text"]), *((part.get("kind", ""), part["text"]) for part in row.get("rest", ()))]
        if last[-1][0] != "answer":
            return None
        nodes = [tree.nodes[name] for name in expansion.ancestors]
        return render(grammar, [(n.kind or "", n.result.text) for n in nodes if n.result] + last)

    def _ids(self, role: str, text: str) -> list[int]:
        """Token ids of tags and prefills, which recur."""
        if (role, text) not in self._encoded:
            if len(self._encoded) > 4096:
                self._encoded.clear()
            self._encoded[role, text] = self._plain(role, text)
        return self._encoded[role, text]

    def _plain(self, role: str, text: str) -> list[int]:
        return list(self.roles[role].tokenizer.encode(text, add_special_tokens=False))


def _decoder(tokenizer: Any) -> Callable[[list[int]], str]:
    """Ids to text, special tokens and all; past transformers' checks of every id where the tokenizer is a fast one."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    return tokenizer.decode if fast is None else lambda ids: str(fast.decode(ids, skip_special_tokens=False))


def _vocabulary(tokenizer: Any) -> int:
    return hash(frozenset(tokenizer.get_vocab().items()))
