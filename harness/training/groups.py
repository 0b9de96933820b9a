"""What a trainer's dataset row is: the chains of one prompt that are trained together, and their pairs.

A row of SFT is a group of one chain, a preference pair a group of two chains and one pair, a searched tree a group of
all its chains and pairs. The objective does not see the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np

from harness.tokens import common_prefix
from harness.training.layout import Layout, plan, unique_positions
from harness.training.spec import LayoutChoice, Objective

if TYPE_CHECKING:
    from torch import Tensor

Row = tuple[Sequence[int], Sequence[int]]
PairRow = tuple[Sequence[int], Sequence[int], Sequence[int]]


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


def _group(prompt: Sequence[int]) -> GroupRow:
    return {"prompt": list(prompt), "chains": [], "pairs": []}


def _index(group: GroupRow, chain: Sequence[int]) -> int:
    """Index of ``chain`` in its group, appended if it is new."""
    ids = list(chain)
    if ids not in group["chains"]:
        group["chains"].append(ids)
    return group["chains"].index(ids)


def sft_groups(rows: Iterable[Row], trees: bool = False) -> list[GroupRow]:
    """Dataset rows for SFT: one per chain, or with ``trees`` one per prompt (equal chains keep their weight)."""
    groups: dict[Any, GroupRow] = {}
    for number, (prompt, chain) in enumerate(rows):
        groups.setdefault(tuple(prompt) if trees else number, _group(prompt))["chains"].append(list(chain))
    return list(groups.values())


def pair_groups(rows: Iterable[PairRow], trees: bool = False) -> list[GroupRow]:
    """Dataset rows for preference training: one per pair, or with ``trees`` one per prompt with all its pairs."""
    groups: dict[Any, GroupRow] = {}
    for number, (prompt, chosen, rejected) in enumerate(rows):
        group = groups.setdefault(tuple(prompt) if trees else number, _group(prompt))
        group["pairs"].append([_index(group, chosen), _index(group, rejected)])
    return list(groups.values())


# The shared layout gathers keys and outputs; below this saving in tokens the plain rows are as fast.
PAYS = 1.3


@dataclass(frozen=True, kw_only=True)
class Collator:
    """Groups to a batch. ``choice``: padded rows, the shared-prefix layout, or (auto) whichever is cheaper for it."""

    pad: int
    choice: LayoutChoice = "auto"
    objective: Objective | None = None

    def __call__(self, groups: Sequence[GroupRow]) -> Batch:
        import torch

        rows: list[Row] = [(g["prompt"], chain) for g in groups for chain in g["chains"]]
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
        batch: Batch = {name: torch.from_numpy(array) for name, array in arrays.items()}  # type: ignore[assignment]
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


def _reference(groups: Sequence[GroupRow], rows: list[Row], shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape, dtype=np.float32)
    known = [values for group in groups for values in group["reference"]]
    for r, ((prompt, _), values) in enumerate(zip(rows, known, strict=True)):
        out[r, len(prompt) - 1 : len(prompt) - 1 + len(values)] = values
    return out
