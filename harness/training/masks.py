"""When masking the shared prefix changes what is learnt, and when it cancels: measured on a model's own gradient.

Summed DPO and cDPO see the difference of two sums to which the shared prefix adds the same number, so its gradient
cancels (arXiv 2503.01461 masks it all the same). It does not cancel in a length-normalised loss or in the SFT term.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from trl.trainer.utils import add_fused_lm_head

from harness.models.loading import load_model, load_tokenizer
from harness.training.attention import batch_logps
from harness.training.batches import Collator, Row, groups_of, padding
from harness.training.objective import Totals, preference_loss
from harness.training.spec import Objective
from harness.training.trainer import pair_masks

_SMOOTHED = Objective(label_smoothing=0.1)
CASES: dict[str, Objective] = {
    "DPO": Objective(),
    "cDPO, epsilon 0.1": _SMOOTHED,
    "cDPO, length-normalised": _SMOOTHED.model_copy(update={"length_normalized": True}),
    "cDPO + SFT, sequence_mean": _SMOOTHED.model_copy(update={"sft_weight": 1.0}),
    "cDPO + SFT, token_mean": _SMOOTHED.model_copy(update={"sft_weight": 1.0, "sft_normalization": "token_mean"}),
}
_MASKED = {"preference": "dpo", "SFT": "sft", "both": "both"}  # the latter two where there is an SFT term
_ROWS = 8  # pairs in a pass


def gradient_table(model: str, reference: str, pairs: Sequence[Row], beta: float) -> list[dict[str, Any]]:
    """For every objective and mask: how far the gradient over all ``pairs`` moves from the unmasked one.

    ``change`` of a row is |g_masked - g| / |g| over all parameters, in float32 and with the forward pass in bfloat16;
    ``share`` is the part of the completions' tokens that is shared. ``reference`` may be the model itself.
    """
    collate = Collator(pad=padding(load_tokenizer(model)), choice="rows", objective=Objective())
    policy, fixed = (load_model(name, dtype=torch.float32).eval() for name in (model, reference))
    add_fused_lm_head(policy)
    add_fused_lm_head(fixed)
    groups = groups_of(pairs)
    batches = [collate(groups[i : i + _ROWS]) for i in range(0, len(groups), _ROWS)]
    rows, masks = zip(*map(pair_masks, batches), strict=True)
    share = sum(int(m.shared.sum()) for m in masks) / sum(int(m.completion.sum()) for m in masks)

    def gradient(objective: Objective, precision: str) -> Any:
        policy.zero_grad()
        objective = objective.model_copy(update={"beta": beta})
        totals = Totals(sequences=len(pairs), tokens=sum(m.sft(objective).sum() for m in masks))
        for batch, index, mask in zip(batches, rows, masks, strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                logps = batch_logps(policy, batch)
                with torch.no_grad():
                    base = batch_logps(fixed, batch)
            value, _ = preference_loss(logps[index], base[index], mask, objective, totals)
            value.backward()  # type: ignore[no-untyped-call]
        return torch.cat([p.grad.flatten() for p in policy.parameters()])

    out = []
    for name, objective in CASES.items():
        plain = {precision: gradient(objective, precision) for precision in ("float32", "bfloat16")}
        for masked, mask_prefix in _MASKED.items() if objective.sft_weight else [*_MASKED.items()][:1]:
            changes = {}
            for precision, before in plain.items():
                after = gradient(objective.model_copy(update={"mask_prefix": mask_prefix}), precision)
                changes[precision] = float((after - before).norm() / before.norm())
            out.append({"objective": name, "masked": masked, "change": changes, "share": share})
    return out
