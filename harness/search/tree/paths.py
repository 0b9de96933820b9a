"""The path to a node as text and as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.search.grammar.schema import Grammar
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Node
from harness.thoughts import THINK_OPEN


def spans_of(leaf: Node) -> list[tuple[str, str]]:
    """(kind, text) of every node on the way to ``leaf``."""
    return [(node.kind or "", node.result.text) for node in leaf.path if node.result]


def render(grammar: Grammar, spans: Sequence[tuple[str, str]]) -> str:
    """The text of a chain of (kind, text)."""
    return THINK_OPEN + "".join(grammar.opening(kind) + text + grammar.closing(kind) for kind, text in spans)


def writer_of(tree: Tree, node: Node) -> str:
    """The role that wrote a node."""
    return "generator" if tree.whole and not node.on else tree.grammar.kinds[node.kind or ""].role


def chain_ids(leaf: Node, grammar: Grammar, tokenizer: Any) -> list[int]:
    """Token ids of the chain to ``leaf``: the opening of the thinking, every node in its tags, the end of the turn."""

    ids = _encoded(THINK_OPEN, tokenizer)
    for step in leaf.path:
        kind = step.kind or ""
        ids += _encoded(grammar.opening(kind), tokenizer)
        ids += _content(step, tokenizer)
        ids += _encoded(grammar.closing(kind) or tokenizer.eos_token, tokenizer)
    return ids


def _content(node: Node, tokenizer: Any) -> list[int]:
    """Token ids of a node's text: as sampled where this tokenizer reads them so, else the text encoded."""
    assert node.result is not None
    ids = list(node.result.token_ids)
    if ids and max(ids) < len(tokenizer) and tokenizer.decode(ids) == node.result.text:
        return ids
    return _encoded(node.result.text, tokenizer)


def _encoded(text: str, tokenizer: Any) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))
