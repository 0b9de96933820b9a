"""The preference objective: DPO, conservative DPO, joint SFT term and prefix masks, each a switch.

L = L_cDPO + alpha * L_SFT (arXiv 2503.01461, section 4), with m = beta * (log-ratio of chosen - log-ratio of rejected)
and L_cDPO = -(1 - e) * log sigma(m) - e * log sigma(-m). TRL's ``sigmoid`` loss ignores ``label_smoothing``.

With summed log-probabilities the shared prefix cancels in m exactly, so masking it in the DPO term changes rounding
only; it acts through the SFT term and through length normalisation (docs/doses.md shows the figures of a run).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Objective:
    """Every field is a switch of an ablation.

    ``label_smoothing`` is e of cDPO (0 = plain DPO), ``sft_weight`` is alpha. ``sft_mean``: mean of the sequences'
    means, or over all tokens of the batch; alpha means something different under each.
    """

    beta: float = 0.1
    label_smoothing: float = 0.0
    sft_weight: float = 0.0
    sft_mean: Literal["sequence", "token"] = "sequence"
    mask_prefix_dpo: bool = False
    mask_prefix_sft: bool = False
    length_normalized: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing is {self.label_smoothing}: it must be at least 0 and below 0.5")
        if self.beta <= 0 or self.sft_weight < 0:
            raise ValueError("beta must be above 0 and sft_weight at least 0")


def shared_prefix_mask(input_ids: Tensor, completion_mask: Tensor) -> Tensor:
    """Which completion tokens lie in the prefix that chosen and rejected share.

    ``input_ids`` and ``completion_mask`` are (2B, T), the B chosen rows before the B rejected ones; the result is a
    boolean tensor of the same shape. The prompt is not part of it.
    """
    real = completion_mask.bool()
    half = input_ids.shape[0] // 2
    before = completion_mask.cumsum(1) == 0  # prompt positions are equal in both rows
    same = (input_ids[:half] == input_ids[half:]) & ((real[:half] & real[half:]) | (before[:half] & before[half:]))
    shared = same.cumprod(1).bool()
    return shared.repeat(2, 1) & real


def sequence_scores(logps: Tensor, mask: Tensor, normalized: bool) -> Tensor:
    """(2B,) sums of per-token log-probs over ``mask``; means where ``normalized`` (an empty mask scores 0)."""
    total = (logps * mask).sum(1)
    return total / mask.sum(1).clamp(min=1) if normalized else total


def dpo_mask(objective: Objective, completion: Tensor, shared: Tensor) -> Tensor:
    """Tokens that count in the preference term, (2B, T)."""
    return completion.bool() & ~shared if objective.mask_prefix_dpo else completion.bool()


def loss(
    logps: Tensor, reference_scores: Tensor, completion: Tensor, shared: Tensor, objective: Objective
) -> tuple[Tensor, dict[str, Any]]:
    """Loss of a batch and its terms, detached, for the log.

    ``logps`` (2B, T) are the policy's per-token log-probs, chosen rows first; ``reference_scores`` (2B,) are the
    reference's ``sequence_scores`` under the same mask; ``completion`` and ``shared`` are (2B, T) masks aligned with
    ``logps``.
    """
    import torch.nn.functional as F

    scores = sequence_scores(logps, dpo_mask(objective, completion, shared), objective.length_normalized)
    chosen, rejected = (scores - reference_scores).chunk(2)
    margin = objective.beta * (chosen - rejected)
    e = objective.label_smoothing
    preference = (-(1 - e) * F.logsigmoid(margin) - e * F.logsigmoid(-margin)).mean()
    terms = {
        "preference": preference.detach(),
        "margin": margin.detach().mean(),
        "chosen_change": chosen.detach().mean(),
        "rejected_change": rejected.detach().mean(),
        "preferred": (margin.detach() > 0).float().mean(),
    }
    if objective.sft_weight == 0:
        return preference, terms
    half = logps.shape[0] // 2
    mask = completion[:half].bool()
    if objective.mask_prefix_sft:
        mask = mask & ~shared[:half]
    nll = -(logps[:half] * mask)
    if objective.sft_mean == "token":
        sft = nll.sum() / mask.sum().clamp(min=1)
    else:
        sft = (nll.sum(1) / mask.sum(1).clamp(min=1)).mean()
    terms["sft"] = sft.detach()
    return preference + objective.sft_weight * sft, terms
