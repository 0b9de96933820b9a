"""From rows to batches: the chains of one prompt that are trained together, padded or with shared prefixes.

A row of SFT is a group of one chain, a preference pair a group of two chains and one pair, a searched tree a group of
all its chains and pairs. The objective does not see the difference.

In the shared layout each shared token passes the network once: the rows of a batch are read as a trie whose nodes are
keyed on (token, next token). A fork happens one token early, so every position has exactly one label and the last token
of a row, which predicts nothing, is left out. A position attends to the positions of its own row alone, and its
position id is its depth, so its hidden state is what the ordinary row gives. Same idea as arXiv 2410.20305 (pairs) and
arXiv 2511.00413 (trees).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor

from harness.thoughts import common_prefix
from harness.training.spec import LayoutChoice, Objective

Row = tuple[Sequence[int], ...]  # prompt and completion, or prompt, chosen and rejected


class GroupRow(TypedDict):
    """A group as a row of a data set: completions of ``prompt``, all distinct for pairs, and (chosen, rejected) pairs.

    ``reference`` [chain][token]: the reference's log-probs, once they are known.
    """

    prompt: list[int]
    chains: list[list[int]]
    pairs: list[list[int]]
    reference: NotRequired[list[list[float]]]


class Batch(TypedDict):
    """R rows of at most T tokens, T - 1 targets, P pairs.

    ``input_ids`` and ``attention_mask`` (R, T), ``completion`` (R, T - 1) the targets written by the model, ``pairs``
    (P, 2) and ``fork`` (P,) for preference data, ``reference`` (R, T - 1) where it is known, ``counts`` (2,) the
    batch's sequences (or pairs) and SFT targets, ``layout`` where the batch is to pass in the shared layout.
    """

    input_ids: Tensor
    attention_mask: Tensor
    completion: Tensor
    counts: Tensor
    pairs: NotRequired[Tensor]
    fork: NotRequired[Tensor]
    reference: NotRequired[Tensor]
    layout: NotRequired[Layout]


def passes(rows: int, epochs: float, batch: int, seed: int) -> list[int]:
    """Numbers of rows, pass after pass in an order of its own, in whole batches: the last one is filled up."""
    wanted, out = max(1, math.ceil(rows * epochs / batch - 1e-9)) * batch, list[int]()
    while len(out) < wanted:
        order = list(range(rows))
        random.Random(f"{seed}/{len(out)}").shuffle(order)
        out += order
    return out[:wanted]


def groups_of(rows: Iterable[Row], trees: bool = False) -> list[GroupRow]:
    """Dataset rows: one for each of ``rows``, or with ``trees`` one per prompt with all its chains and pairs.

    Equal chains keep their weight in SFT; a chain of several pairs stands in its group once.
    """
    groups: dict[object, GroupRow] = {}
    for number, (prompt, *sides) in enumerate(rows):
        empty = GroupRow(prompt=list(prompt), chains=[], pairs=[])
        group = groups.setdefault(tuple(prompt) if trees else number, empty)
        chains = group["chains"]
        ids = [list(side) for side in sides]
        if len(ids) == 1:
            chains += ids
        else:
            for chain in ids:
                if chain not in chains:
                    chains.append(chain)
            group["pairs"].append([chains.index(chain) for chain in ids])
    return list(groups.values())


def padding(tokenizer: Any) -> int:
    """The id that fills rows: any will do, no target and no attention is ever on it."""
    return int(next((x for x in (tokenizer.pad_token_id, tokenizer.eos_token_id) if x is not None), 0))


# The shared layout gathers keys and outputs; below this saving in tokens the plain rows are as fast.
PAYS = 1.3


@dataclass(frozen=True, kw_only=True)
class Collator:
    """Groups to a batch. ``choice``: padded rows, the shared-prefix layout, or (auto) whichever is cheaper for it."""

    pad: int
    choice: LayoutChoice = "auto"
    objective: Objective | None = None

    def __call__(self, groups: Sequence[GroupRow]) -> Batch:
        rows = [(group["prompt"], chain) for group in groups for chain in group["chains"]]
        ids = [[*prompt, *chain] for prompt, chain in rows]
        width = max(map(len, ids))
        tokens = np.full((len(ids), width), self.pad)
        attention = np.zeros((len(ids), width), dtype=np.int64)
        completion = np.zeros((len(ids), width - 1), dtype=bool)
        for r, ((prompt, _), row) in enumerate(zip(rows, ids, strict=True)):
            tokens[r, : len(row)], attention[r, : len(row)] = row, 1
            completion[r, len(prompt) - 1 : len(row) - 1] = True
        arrays = {"input_ids": tokens, "attention_mask": attention, "completion": completion}
        if self.objective is None:
            counts = (len(rows), completion.sum())
        else:
            pairs, first = [], 0
            for group in groups:
                pairs += [(first + chosen, first + rejected) for chosen, rejected in group["pairs"]]
                first += len(group["chains"])
            fork = [common_prefix(rows[chosen][1], rows[rejected][1]) for chosen, rejected in pairs]
            arrays |= {"pairs": np.array(pairs), "fork": np.array(fork)}
            left_out = sum(fork) if self.objective.masks_sft else 0
            counts = (len(pairs), sum(len(rows[chosen][1]) for chosen, _ in pairs) - left_out)
        arrays["counts"] = np.array(counts, dtype=np.float32)
        if groups[0].get("reference"):
            known = np.zeros(completion.shape, dtype=np.float32)
            known[completion] = [x for group in groups for chain in group["reference"] for x in chain]
            arrays["reference"] = known
        batch: Batch = {name: torch.from_numpy(array) for name, array in arrays.items()}  # type: ignore[assignment]
        if self.choice == "shared" or (self.choice == "auto" and tokens.size >= PAYS * unique_positions(ids)):
            batch["layout"] = plan(ids, [len(prompt) for prompt, _ in rows])
        return batch


class Block(NamedTuple):
    """Rows of similar size whose new positions attend together.

    ``queries`` (S, L) and ``keys`` (S, K) index the U unique positions, ``mask`` (S, 1, L, K) is true where a query
    sees a key. Padding repeats position 0, is seen by nothing real, and is dropped from the output.
    """

    queries: Tensor
    keys: Tensor
    mask: Tensor


class Layout(NamedTuple):
    """Unique positions of a batch of rows, U of them, and how to come back to the rows.

    ``ids``, ``labels`` and ``positions`` are (1, U), labels already shifted and -100 where no row trains the token.
    ``restore`` (U,) says where in the blocks' flattened outputs each position lies. ``gather`` (R, T - 1) gives for
    every row and target the position that predicts it, 0 on padding.
    """

    ids: Tensor
    labels: Tensor
    positions: Tensor
    blocks: tuple[Block, ...]
    restore: Tensor
    gather: Tensor


class _Row(NamedTuple):
    """One row of the trie: ``path`` indexes the unique positions from its start, the last ``new`` are its alone."""

    path: np.ndarray
    new: int


def unique_positions(rows: Sequence[Sequence[int]]) -> int:
    """U: how many positions of ``rows`` are distinct as a trie of (token, next token)."""
    ordered = sorted(tuple(row) for row in rows)
    return sum(len(row) - 1 for row in ordered) - sum(_shared(*neighbours) for neighbours in pairwise(ordered))


def plan(rows: Sequence[Sequence[int]], trained: Sequence[int]) -> Layout:
    """The layout of ``rows`` (at least 2 tokens each), of which the tokens from ``trained[r]`` on are labels."""
    ids: list[int] = []
    positions: list[int] = []
    placed: dict[int, _Row] = {}
    path, before = np.empty(0, dtype=np.int64), rows[0][:0]
    for r in sorted(range(len(rows)), key=lambda r: tuple(rows[r])):
        row = rows[r]
        shared = _shared(before, row)
        new = len(row) - 1 - shared
        path = np.concatenate([path[:shared], np.arange(len(ids), len(ids) + new)])
        placed[r] = _Row(path, new)
        ids += row[shared:-1]
        positions += range(shared, len(row) - 1)
        before = row
    blocks, restore = _blocks([placed[r] for r in range(len(rows)) if placed[r].new], len(ids))
    gather = np.zeros((len(rows), max(map(len, rows)) - 1), dtype=np.int64)
    labels = np.full((1, len(ids)), -100)
    for r, (path, _) in placed.items():
        gather[r, : len(path)] = path
        first = max(trained[r], 1)
        labels[0, path[first - 1 :]] = rows[r][first:]
    return Layout(
        ids=torch.tensor([ids]), labels=torch.from_numpy(labels), positions=torch.tensor([positions]),
        blocks=blocks, restore=torch.from_numpy(restore), gather=torch.from_numpy(gather),
    )  # fmt: skip


def _shared(before: Sequence[int], row: Sequence[int]) -> int:
    """Leading positions, as (token, next token), that two rows share."""
    n = min(len(before), len(row))
    different = np.flatnonzero(np.asarray(before[:n]) != np.asarray(row[:n]))
    return max(int(different[0]) if len(different) else n, 1) - 1


# A block may be this much larger than what its rows need: fewer, larger calls of the attention kernel.
_WASTE = 1.35


def _blocks(rows: list[_Row], total: int) -> tuple[tuple[Block, ...], np.ndarray]:
    """Rows grouped by size, and where each of the ``total`` positions lies in the flattened outputs."""
    groups: list[list[_Row]] = []
    for row in sorted(rows, key=lambda row: (row.new, len(row.path))):
        larger = [*(groups[-1] if groups else ()), row]
        padded = len(larger) * row.new * max(len(r.path) for r in larger)
        if groups and padded <= _WASTE * sum(r.new * len(r.path) for r in larger):
            groups[-1] = larger
        else:
            groups.append([row])
    restore = np.empty(total, dtype=np.int64)
    blocks, offset = [], 0
    for group in groups:
        length, width = group[-1].new, max(len(row.path) for row in group)
        queries = np.zeros((len(group), length), dtype=np.int64)
        keys = np.zeros((len(group), width), dtype=np.int64)
        depth = np.zeros((len(group), length), dtype=np.int64)  # padding sees the first key: no empty softmax
        for s, (path, new) in enumerate(group):
            queries[s, :new], keys[s, : len(path)] = path[-new:], path
            depth[s, :new] = np.arange(len(path) - new, len(path))
            restore[path[-new:]] = offset + s * length + np.arange(new)
        mask = torch.from_numpy(np.arange(width)[None, None, :] <= depth[:, :, None])[:, None]
        blocks.append(Block(queries=torch.from_numpy(queries), keys=torch.from_numpy(keys), mask=mask))
        offset += len(group) * length
    return tuple(blocks), restore
