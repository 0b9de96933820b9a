"""The training objectives as pure functions over per-token log-probs: SFT, and the paper's preference objective.

L = L_cDPO + alpha * L_SFT (arXiv 2503.01461, section 4), with m = beta * (log-ratio of chosen - log-ratio of rejected)
and L_cDPO = -(1 - e) * log sigma(m) - e * log sigma(-m). TRL's ``sigmoid`` loss ignores ``label_smoothing``. SimPO has
log-probs for log-ratios and m - gamma for m; in LD-DPO tokens beyond the pair's shorter length count ``ld_alpha``.

With summed log-probabilities masking the shared prefix in the DPO term changes rounding only (masks.py). Every loss is
a sum over the rows at hand divided by totals of the *global* batch: the same under any split of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.training.spec import Normalization, Objective


@dataclass(frozen=True, kw_only=True)
class Masks:
    """Which targets of a batch of B pairs count where, each (2B, T) and boolean, the chosen rows first.

    ``completion``: tokens the model wrote, not prompt and not padding; ``shared``: those in the prefix that a chosen
    and its rejected chain have in common, always within ``completion``. A method for the targets of each term.
    """

    completion: Tensor
    shared: Tensor

    def preference(self, objective: Objective) -> Tensor:
        return self.completion & ~self.shared if objective.masks_dpo else self.completion

    def beyond(self) -> Tensor:
        """Those of a pair's longer completion that come after as many as the shorter one has."""
        shorter = torch.minimum(*self.completion.sum(1).chunk(2)).repeat(2)
        return self.completion.cumsum(1) > shorter[:, None]

    def sft(self, objective: Objective) -> Tensor:
        """Those of the chosen rows, (B, T)."""
        return (self.completion & ~self.shared if objective.masks_sft else self.completion).chunk(2)[0]


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What the global batch holds: pairs (or SFT sequences), and targets of its SFT term."""

    sequences: Any
    tokens: Any


def sequence_scores(logps: Tensor, mask: Tensor, normalized: bool) -> Tensor:
    """(2B,) sums of per-token log-probs over ``mask``; means where ``normalized`` (an empty mask scores 0)."""
    total = (logps * mask).sum(1)
    return total / mask.sum(1).clamp(min=1) if normalized else total


def sft_loss(
    logps: Tensor, mask: Tensor, normalization: Normalization, totals: Totals | None = None, dft: bool = False
) -> Tensor:
    """Negative log-likelihood of the (B, T) targets under ``mask``; without ``totals`` the rows are the whole batch.

    ``sequence_mean``: the mean of the sequences' means, as in LLaMA-Factory and OpenRLHF; ``token_mean``: over all
    tokens of the global batch, as in TRL's SFT. Long chains weigh more under the second. ``dft``: each token's loss
    times its own probability, through which no gradient flows (arXiv 2508.05629).
    """
    nll = -(logps * mask)
    if dft:
        nll = nll * logps.detach().exp()
    if normalization == "token_mean":
        return nll.sum() / (totals.tokens if totals else mask.sum().clamp(min=1))
    means = nll.sum(1) / mask.sum(1).clamp(min=1)
    return means.sum() / (totals.sequences if totals else len(means))


def preference_loss(
    logps: Tensor, reference: Tensor | None, masks: Masks, objective: Objective, totals: Totals | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of B pairs and what it consists of.

    ``logps`` and ``reference`` (2B, T): per-token log-probs of policy and reference, in nats, chosen rows first; no
    reference where the objective is ``reference_free``. The second result holds ``preference`` and ``sft`` (with
    their graph, alpha not applied), and detached means over the pairs: margin (before gamma), log-ratios where there
    is a reference, log-probs, share of pairs ranked right. All are shares of the global batch's value.
    """
    if (reference is None) != objective.reference_free:
        raise ValueError("a reference is needed, unless the objective is reference_free")
    kept, lengthy = masks.preference(objective), objective.ld_alpha != 1
    pairs = totals.sequences if totals else len(logps) // 2
    ratios = logps if reference is None else logps - reference
    counted = torch.where(masks.beyond(), objective.ld_alpha * ratios, ratios) if lengthy else ratios
    scores = sequence_scores(counted, kept, objective.length_normalized)
    margin = objective.beta * torch.sub(*scores.chunk(2))
    e, ahead = objective.label_smoothing, margin - objective.gamma
    preference = (-(1 - e) * F.logsigmoid(ahead) - e * F.logsigmoid(-ahead)).sum() / pairs
    value, parts = preference, {"preference": preference}
    if objective.sft_weight:
        parts["sft"] = sft_loss(logps.chunk(2)[0], masks.sft(objective), objective.sft_normalization, totals)
        value = preference + objective.sft_weight * parts["sft"]
    summed = sequence_scores(logps.detach(), masks.completion, False).chunk(2)
    means = {
        "margin": margin,
        "preferred": margin > 0,
        "logps/chosen": summed[0],
        "logps/rejected": summed[1],
    }
    if reference is not None:  # of whole sides, whatever their tokens weigh
        whole = sequence_scores(ratios, kept, False) if lengthy else scores
        means["chosen_change"], means["rejected_change"] = whole.chunk(2)
    return value, parts | {name: each.detach().to(logps.dtype).sum() / pairs for name, each in means.items()}
