"""What a trainer's dataset row is: the chains of one prompt that are trained together, and their pairs.

A row of SFT is a group of one chain, a preference pair a group of two chains and one pair, a searched tree a group of
all its chains and pairs. The objective does not see the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.tokens import common_prefix
from harness.training.layout import plan, unique_positions
from harness.training.spec import LayoutChoice, Objective

Row = tuple[Sequence[int], Sequence[int]]
PairRow = tuple[Sequence[int], Sequence[int], Sequence[int]]


@dataclass(kw_only=True)
class Group:
    """``chains`` are completions of ``prompt``, all distinct for pairs; ``pairs`` index (chosen, rejected) chains."""

    prompt: list[int]
    chains: list[list[int]] = field(default_factory=list)
    pairs: list[list[int]] = field(default_factory=list)

    def add(self, chain: Sequence[int]) -> int:
        """Index of ``chain``, appended if it is new."""
        ids = list(chain)
        if ids not in self.chains:
            self.chains.append(ids)
        return self.chains.index(ids)


def sft_groups(rows: Iterable[Row], trees: bool = False) -> list[dict[str, Any]]:
    """Dataset rows for SFT: one per chain, or with ``trees`` one per prompt (equal chains keep their weight)."""
    if not trees:
        return [vars(Group(prompt=list(p), chains=[list(c)])) for p, c in rows]
    groups: dict[tuple[int, ...], Group] = {}
    for p, c in rows:
        groups.setdefault(tuple(p), Group(prompt=list(p))).chains.append(list(c))
    return [vars(group) for group in groups.values()]


def pair_groups(rows: Iterable[PairRow], trees: bool = False) -> list[dict[str, Any]]:
    """Dataset rows for preference training: one per pair, or with ``trees`` one per prompt with all its pairs."""
    groups: dict[Any, Group] = {}
    for number, (p, chosen, rejected) in enumerate(rows):
        group = groups.setdefault(tuple(p) if trees else number, Group(prompt=list(p)))
        group.pairs.append([group.add(chosen), group.add(rejected)])
    return [vars(group) for group in groups.values()]


# The shared layout gathers keys and outputs; below this saving in tokens the plain rows are as fast.
PAYS = 1.3


@dataclass(frozen=True, kw_only=True)
class Collator:
    """Groups to a batch of R rows of at most T tokens.

    Keys: ``input_ids`` and ``attention_mask`` (R, T), ``completion`` (R, T - 1) the targets written by the model,
    ``pairs`` (P, 2) and ``fork`` (P,) for preference data, ``reference`` (R, T - 1) where present, ``counts`` (2,) the
    batch's sequences (or pairs) and SFT targets, ``layout`` where the batch is to pass in the shared layout.
    ``choice``: padded rows, the shared-prefix layout, or (auto) whichever is cheaper for this batch.
    """

    pad: int
    choice: LayoutChoice = "auto"
    objective: Objective | None = None

    def __call__(self, groups: Sequence[dict[str, Any]]) -> dict[str, Any]:
        import torch

        rows = [(g["prompt"], chain) for g in groups for chain in g["chains"]]
        ids = [[*prompt, *chain] for prompt, chain in rows]
        width = max(map(len, ids))
        tokens = np.full((len(ids), width), self.pad)
        attention = np.zeros((len(ids), width), dtype=np.int64)
        completion = np.zeros((len(ids), width - 1), dtype=bool)
        for r, ((prompt, _), row) in enumerate(zip(rows, ids, strict=True)):
            tokens[r, : len(row)], attention[r, : len(row)] = row, 1
            completion[r, len(prompt) - 1 : len(row) - 1] = True
        arrays = {"input_ids": tokens, "attention_mask": attention, "completion": completion}
        arrays |= self._pairs(groups, rows, completion)
        if groups[0].get("reference"):
            arrays["reference"] = _reference(groups, rows, completion.shape)
        batch: dict[str, Any] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        if self.choice == "shared" or (self.choice == "auto" and tokens.size >= PAYS * unique_positions(ids)):
            batch["layout"] = plan(ids, [len(prompt) for prompt, _ in rows])
        return batch

    def _pairs(self, groups: Any, rows: list[Row], completion: np.ndarray) -> dict[str, np.ndarray]:
        if self.objective is None:
            return {"counts": np.array([len(rows), completion.sum()], dtype=np.float32)}
        pairs: list[tuple[int, int]] = []
        first = 0
        for group in groups:
            pairs += [(first + chosen, first + rejected) for chosen, rejected in group["pairs"]]
            first += len(group["chains"])
        fork = [common_prefix(rows[chosen][1], rows[rejected][1]) for chosen, rejected in pairs]
        left_out = sum(fork) if self.objective.masks_sft else 0
        trained = sum(len(rows[chosen][1]) for chosen, _ in pairs) - left_out
        return {
            "pairs": np.array(pairs),
            "fork": np.array(fork),
            "counts": np.array([len(pairs), trained], dtype=np.float32),
        }


def _reference(groups: Sequence[dict[str, Any]], rows: list[Row], shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape, dtype=np.float32)
    known = [values for group in groups for values in group["reference"]]
    for r, ((prompt, _), values) in enumerate(zip(rows, known, strict=True)):
        out[r, len(prompt) - 1 : len(prompt) - 1 + len(values)] = values
    return out
