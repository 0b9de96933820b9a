"""Pretraining documents for the tiny models: prompt, worked chain, end of turn; endless and a function of the seed.

Only problems of the ``pretrain`` split are drawn. Loss falls on the chain, and never on a step that holds an error the
chain goes on to notice: the model learns to notice errors, not to make them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

from harness.problems.embedded import FAMILIES, draw, worked
from harness.records import Problem
from harness.thoughts import THINK_OPEN

IGNORE = -100


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Shares of the corpus: style of the chains (by weight), families, levels; ``pool`` problems per family."""

    styles: tuple[tuple[float, worked.Style], ...]
    families: tuple[tuple[str, float], ...] = (("mini_math", 0.42), ("mini_blocks", 0.33), ("mini_rules", 0.25))
    levels: tuple[tuple[int, float], ...] = ((1, 0.2), (2, 0.35), (3, 0.3), (4, 0.15))
    pool: int = 20000


GENERATOR_MIX = Mix(styles=((1.0, worked.GENERATOR),))
STUDENT_MIX = Mix(styles=((0.3, worked.GENERATOR), (0.7, worked.CARELESS)))


class Document(NamedTuple):
    input_ids: list[int]
    labels: list[int]


def encode(tokenizer: Any, problem: Problem, spans: list[Any]) -> Document:
    """Token ids of prompt and chain, labels with the prompt and noticed errors masked."""
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": problem.prompt}], add_generation_prompt=True, tokenize=True, return_dict=False
    )
    ids, labels = list(prompt), [IGNORE] * len(prompt)
    pieces = [(THINK_OPEN, False)]
    for span in spans:
        pieces += [(span.opening, False), (span.text + span.closing, span.faulty)]
    for text, masked in [*pieces, (tokenizer.eos_token, False)]:
        tokens = tokenizer.encode(text, add_special_tokens=False)
        ids += tokens
        labels += [IGNORE] * len(tokens) if masked else tokens
    return Document(input_ids=ids, labels=labels)


def batches(tokenizer: Any, mix: Mix, seed: int, tokens: int, first: int = 0) -> Iterator[list[Document]]:
    """Batches of about ``tokens`` padded tokens, similar lengths together, from batch ``first`` on."""
    rng = random.Random(f"pool/{seed}")
    pools = {
        family: [draw(family, rng, rng.choices(*zip(*mix.levels, strict=True))[0], "pretrain") for _ in range(mix.pool)]
        for family in FAMILIES
    }
    families, weights = zip(*mix.families, strict=True)
    shares, styles = zip(*mix.styles, strict=True)
    number = 0
    for block in count():
        rng = random.Random(f"block/{seed}/{block}")
        documents = []
        for _ in range(768):
            problem = rng.choice(pools[rng.choices(families, weights)[0]])
            documents.append(encode(tokenizer, problem, worked.chain(problem, rng, rng.choices(styles, shares)[0])))
        documents.sort(key=lambda document: len(document.input_ids))
        cut: list[list[Document]] = [[]]
        for document in documents:
            if cut[-1] and len(document.input_ids) * (len(cut[-1]) + 1) > tokens:
                cut.append([])
            cut[-1].append(document)
        rng.shuffle(cut)
        for batch in cut:
            if number >= first:
                yield batch
            number += 1
