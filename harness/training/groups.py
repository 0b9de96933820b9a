"""What a trainer's dataset row is: the chains of one prompt that are trained together, and their pairs.

A row of SFT is a group of one chain, a preference pair a group of two chains and one pair, a searched tree a group of
all its chains and pairs. The objective does not see the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np

from harness.thoughts import common_prefix
from harness.training.layout import Layout, plan, unique_positions
from harness.training.spec import LayoutChoice, Objective

if TYPE_CHECKING:
    from torch import Tensor

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
        import torch

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
