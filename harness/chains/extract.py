"""From finished trees to chains: every verified answer with the thoughts that led to it, ranked by length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from harness.models.prompts import chain_prompt_ids
from harness.records import Chain, Problem
from harness.search.stats import SearchYield
from harness.search.store import Forest
from harness.search.tree.core import Tree
from harness.search.tree.nodes import chain_ids, render, spans_of
from harness.thoughts import special_tokens


def chains_of(tree: Tree, problem: Problem, prompt_ids: Sequence[int], tokenizer: Any) -> list[Chain]:
    """All distinct correct and wrong chains of one tree, shortest first, correct before wrong.

    ``rank`` counts within the verdict; chains of one length keep the order of their nodes. Nodes that were cut or
    leaked a foreign tag lead to no answer, so they are on no chain; nor is a text that spells a control token of the
    vocabulary to be trained.
    """
    out, special = list[Chain](), special_tokens([tokenizer])
    for correct in (True, False):
        chains = []
        for leaf in tree.correct if correct else tree.wrong:
            assert leaf.result is not None
            spans = spans_of(leaf)
            if special is not None and any(special.search(text) for _, text in spans):
                continue
            chain = Chain(
                problem_id=problem.id, family=problem.family, node=leaf.id, kinds=[kind for kind, _ in spans],
                writers=[tree.writer(node) for node in leaf.path], text=render(tree.grammar, spans),
                token_ids=chain_ids(leaf, tree.grammar, tokenizer), prompt_ids=list(prompt_ids), correct=correct,
                reason=leaf.result.reason,
            )  # fmt: skip
            chains.append(chain)
        chains.sort(key=lambda chain: chain.length)
        out += [chain.model_copy(update={"rank": rank}) for rank, chain in enumerate(chains)]
    return out


def chains_of_search(
    forest: Forest, ids: Iterable[str], tokenizer: Any, total: SearchYield
) -> Iterator[tuple[Problem, list[Chain]]]:
    """Every problem with its chains, in the order of ``ids`` and one at a time; ``total`` sums up what they yielded."""
    for name in ids:
        stored, tree, _ = forest.folded(name)
        problem = stored.problem
        total.add(problem, tree, stored.rows, stored.why)
        yield problem, chains_of(tree, problem, chain_prompt_ids(tokenizer, problem.prompt), tokenizer)
