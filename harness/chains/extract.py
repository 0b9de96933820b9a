"""From finished trees to chains: every verified answer with the thoughts that led to it, ranked by length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from harness.records import Chain, Problem
from harness.search.grammar.schema import Grammar
from harness.search.run.writer import render
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Node
from harness.thoughts import THINK_OPEN
from harness.tokens import special_tokens


def chains_of(tree: Tree, problem: Problem, prompt_ids: Sequence[int], tokenizer: Any) -> list[Chain]:
    """All distinct correct and wrong chains of one tree, shortest first, correct before wrong.

    ``rank`` counts within the problem and verdict; chains of one length keep the order of their nodes. Nodes that
    were cut or leaked a foreign tag lead to no answer, so they are on no chain; equal chains count once.
    """
    out: list[Chain] = []
    special = special_tokens([tokenizer])
    for correct in (True, False):
        leaves = [leaf for leaf in (tree.correct if correct else tree.wrong) if not _holds(leaf, special)]
        found = [_chain(leaf, tree, problem, prompt_ids, tokenizer, correct) for leaf in leaves]
        found.sort(key=lambda chain: chain.length)
        out += [chain.model_copy(update={"rank": rank}) for rank, chain in enumerate(found)]
    return out


def _holds(leaf: Node, special: re.Pattern[str] | None) -> bool:
    """Whether a text on the way to ``leaf`` spells a control token of the vocabulary to be trained."""
    texts = (node.result.text for node in leaf.path if node.result)
    return special is not None and any(special.search(text) for text in texts)


def _chain(leaf: Node, tree: Tree, problem: Problem, prompt_ids: Sequence[int], tokenizer: Any, correct: bool) -> Chain:
    grammar = tree.grammar
    assert leaf.result is not None
    spans = spans_of(leaf)
    return Chain(
        problem_id=problem.id,
        family=problem.family,
        node=leaf.id,
        kinds=[kind for kind, _ in spans],
        writers=["generator" if tree.whole and not n.on else grammar.kinds[n.kind or ""].role for n in leaf.path],
        text=render(grammar, spans),
        token_ids=chain_ids(leaf, grammar, tokenizer),
        prompt_ids=list(prompt_ids),
        correct=correct,
        reason=leaf.result.reason,
    )


def spans_of(leaf: Node) -> list[tuple[str, str]]:
    """(kind, text) of every node on the way to ``leaf``."""
    return [(node.kind or "", node.result.text) for node in leaf.path if node.result]


def chain_ids(leaf: Node, grammar: Grammar, tokenizer: Any) -> list[int]:
    """Token ids of the chain to ``leaf``: the opening of the thinking, every node in its tags, the end of the turn."""

    def ids_of(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    ids = ids_of(THINK_OPEN)
    for step in leaf.path:
        kind = step.kind or ""
        ids += [*ids_of(grammar.opening(kind)), *content_ids(step, tokenizer)]
        ids += ids_of(grammar.closing(kind) or tokenizer.eos_token)
    return ids


def content_ids(node: Node, tokenizer: Any) -> list[int]:
    """Token ids of a node's text: as sampled where this tokenizer reads them so, else the text encoded."""
    assert node.result is not None
    ids = list(node.result.token_ids)
    if ids and max(ids) < len(tokenizer) and tokenizer.decode(ids) == node.result.text:
        return ids
    return list(tokenizer.encode(node.result.text, add_special_tokens=False))
