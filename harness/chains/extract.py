"""From finished trees to chains: every verified answer with the thoughts that led to it, ranked by length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.records import Chain, Problem
from harness.search.tree import Node, Tree
from harness.thoughts import THINK_OPEN, Span, closing, opening, render


def chains_of(tree: Tree, problem: Problem, prompt_ids: Sequence[int], tokenizer: Any) -> list[Chain]:
    """All distinct correct and wrong chains of one tree, shortest first, correct before wrong.

    ``rank`` counts within the problem and verdict; chains of one length keep their order of discovery.
    """
    out: list[Chain] = []
    for correct in (True, False):
        nodes = list((tree.correct if correct else tree.wrong).values())
        found = [_chain(node, tree, problem, prompt_ids, tokenizer, correct) for node in nodes]
        found.sort(key=lambda chain: chain.length)
        out += [chain.model_copy(update={"rank": rank}) for rank, chain in enumerate(found)]
    return out


def _chain(node: Node, tree: Tree, problem: Problem, prompt_ids: Sequence[int], tokenizer: Any, correct: bool) -> Chain:
    def ids_of(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    ids = ids_of(THINK_OPEN)
    spans = []
    for step in node.path:
        assert step.kind is not None
        assert step.result is not None
        ids += [*ids_of(opening(step.kind)), *step.result.token_ids]
        ids += ids_of(closing(step.kind) or tokenizer.eos_token)
        spans.append(Span(step.kind, step.result.text))
    assert node.result is not None
    return Chain(
        problem_id=problem.id,
        family=problem.family,
        node=node.id,
        kinds=[span.kind for span in spans],
        writers=[tree.grammar.kinds[span.kind].role for span in spans],
        text=render(spans),
        token_ids=ids,
        prompt_ids=list(prompt_ids),
        correct=correct,
        reason=node.result.reason,
    )
