"""Rows that share prefixes, laid out so that each shared token passes the network once.

The rows of a batch are read as a trie whose nodes are keyed on (token, next token): a fork happens one token early, so
every position has exactly one label and the last token of a row, which predicts nothing, is left out. A position
attends to the positions of its own row alone, and its position id is its depth, so its hidden state is what the
ordinary row gives. Same idea as arXiv 2410.20305 (pairs) and arXiv 2511.00413 (trees).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Block:
    """Rows of similar size whose new positions attend together.

    ``queries`` (S, L) and ``keys`` (S, K) index the U unique positions, ``mask`` (S, 1, L, K) is true where a query
    sees a key. Padding repeats position 0, is seen by nothing real, and is dropped from the output.
    """

    queries: Tensor
    keys: Tensor
    mask: Tensor

    def to(self, device: Any, **kwargs: Any) -> Block:
        return Block(*(getattr(self, field.name).to(device, **kwargs) for field in fields(self)))


@dataclass(frozen=True)
class Layout:
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

    @property
    def unique(self) -> int:
        return int(self.ids.shape[1])

    def to(self, device: Any, **kwargs: Any) -> Layout:
        def moved(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(block.to(device, **kwargs) for block in value)
            return value.to(device, **kwargs)

        return Layout(*(moved(getattr(self, field.name)) for field in fields(self)))


@dataclass(frozen=True)
class _Row:
    """One row of the trie: ``path`` indexes the unique positions from its start, those from ``new`` on are its own."""

    path: np.ndarray
    new: int


def unique_positions(rows: Sequence[Sequence[int]]) -> int:
    """U: how many positions of ``rows`` are distinct as a trie of (token, next token)."""
    total, before = 0, None
    for row in sorted(tuple(row) for row in rows):
        total += len(row) - 1 - (_shared(before, row) if before is not None else 0)
        before = row
    return total


def plan(rows: Sequence[Sequence[int]], trained: Sequence[int]) -> Layout:
    """The layout of ``rows`` (at least 2 tokens each), of which the tokens from ``trained[r]`` on are labels."""
    import torch

    order = sorted(range(len(rows)), key=lambda r: tuple(rows[r]))
    paths: list[_Row | None] = [None] * len(rows)
    ids: list[int] = []
    positions: list[int] = []
    before: Sequence[int] | None = None
    path = np.empty(0, dtype=np.int64)
    for r in order:
        row = rows[r]
        new = _shared(before, row) if before is not None else 0
        count = len(row) - 1 - new
        path = np.concatenate([path[:new], np.arange(len(ids), len(ids) + count)])
        paths[r] = _Row(path, new)
        ids += row[new:-1]
        positions += range(new, len(row) - 1)
        before = row
    whole = [row for row in paths if row is not None]
    blocks, restore = _blocks([row for row in whole if row.new < len(row.path)], len(ids))
    gather = np.zeros((len(rows), max(len(row.path) for row in whole)), dtype=np.int64)
    labels = np.full((1, len(ids)), -100)
    for r, placed in enumerate(whole):
        gather[r, : len(placed.path)] = placed.path
        first = max(trained[r], 1)
        labels[0, placed.path[first - 1 :]] = rows[r][first:]
    return Layout(
        torch.tensor([ids]), torch.from_numpy(labels), torch.tensor([positions]), blocks, torch.from_numpy(restore),
        torch.from_numpy(gather),
    )  # fmt: skip


def _shared(before: Sequence[int], row: Sequence[int]) -> int:
    """Leading positions, as (token, next token), that two rows share."""
    n = min(len(before), len(row))
    a, b = np.asarray(before[:n]), np.asarray(row[:n])
    different = np.flatnonzero(a != b)
    return max(int(different[0]) if len(different) else n, 1) - 1


# A block may be this much larger than what its rows need: fewer, larger calls of the attention kernel.
_WASTE = 1.35


def _blocks(rows: list[_Row], total: int) -> tuple[tuple[Block, ...], np.ndarray]:
    """Rows grouped by size, and where each of the ``total`` positions lies in the flattened outputs."""
    import torch

    groups: list[list[_Row]] = []
    for row in sorted(rows, key=lambda row: (len(row.path) - row.new, len(row.path))):
        if groups and _padded([*groups[-1], row]) <= _WASTE * sum(_area(r) for r in [*groups[-1], row]):
            groups[-1].append(row)
        else:
            groups.append([row])
    restore = np.empty(total, dtype=np.int64)
    blocks, offset = [], 0
    for group in groups:
        length, width = max(len(r.path) - r.new for r in group), max(len(r.path) for r in group)
        queries = np.zeros((len(group), length), dtype=np.int64)
        keys = np.zeros((len(group), width), dtype=np.int64)
        depth = np.zeros((len(group), length), dtype=np.int64)  # padding sees the first key: no empty softmax
        for s, row in enumerate(group):
            own = row.path[row.new :]
            queries[s, : len(own)], keys[s, : len(row.path)] = own, row.path
            depth[s, : len(own)] = np.arange(row.new, len(row.path))
            restore[own] = offset + s * length + np.arange(len(own))
        mask = np.arange(width)[None, None, :] <= depth[:, :, None]
        offset += len(group) * length
        blocks.append(Block(torch.from_numpy(queries), torch.from_numpy(keys), torch.from_numpy(mask)[:, None]))
    return tuple(blocks), restore


def _area(row: _Row) -> int:
    return (len(row.path) - row.new) * len(row.path)


def _padded(group: list[_Row]) -> int:
    return len(group) * max(len(r.path) - r.new for r in group) * max(len(r.path) for r in group)
