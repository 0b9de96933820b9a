"""Attention over a shared-prefix layout, registered with transformers; without a layout it is SDPA as always."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from harness.errors import TrainingError
from harness.training.batches import Batch, Layout
from harness.training.spec import LayoutChoice

NAME = "shared_prefix"


def attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None,
    dropout: float = 0.0, layout: Layout | None = None, **kwargs: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """``query`` (1, H, U, D), ``key`` and ``value`` (1, H_kv, U, D) over the U positions of ``layout``; (1, U, H, D).

    Each block gathers the keys of its rows, so a shared token's key is computed once and read many times.
    """
    if layout is None:
        return sdpa_attention_forward(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    repeats = query.shape[1] // key.shape[1]
    queries, keys, values = (x[0].transpose(0, 1) for x in (query, key, value))  # (U, H, D)
    outputs = []
    for block in layout.blocks:
        k, v = keys[block.keys], values[block.keys]  # (S, K, H, D)
        if repeats > 1:
            k, v = k.repeat_interleave(repeats, dim=2), v.repeat_interleave(repeats, dim=2)
        q, k, v = (x.transpose(1, 2) for x in (queries[block.queries], k, v))
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=block.mask, scale=scaling)
        outputs.append(out.transpose(1, 2).flatten(0, 1))  # (S * L, H, D)
    return torch.cat(outputs)[layout.restore][None], None


def register() -> str:
    """Make the implementation known to transformers; returns its name, for ``attn_implementation``."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME


def layout_for(choice: LayoutChoice, model: Any) -> LayoutChoice:
    """The layout that ``model`` can train in, its attention made ready for it. Raises TrainingError."""
    if choice == "rows" or ((reason := why_not(model)) and choice == "auto"):
        return "rows"
    if reason:
        raise TrainingError(f"layout shared: {reason}; use auto or rows")
    model.set_attn_implementation(register())
    return choice


def why_not(model: Any) -> str:
    """Why ``model`` cannot run over a shared layout; empty if it can."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    others = sorted({kind for kind in kinds or [] if kind != "full_attention"})
    if others:
        return f"layers of kind {', '.join(others)} do not attend to a whole row"
    if kinds is None and getattr(config, "sliding_window", None):
        return "its sliding window is counted in rows, not along a chain"
    if not (getattr(model, "_supports_attention_backend", False) and getattr(model, "_supports_sdpa", False)):
        return f"{type(model).__name__} takes no attention implementation from outside"
    if getattr(config, "attention_dropout", 0.0) or getattr(config, "attn_pdrop", 0.0):
        return "attention dropout would draw differently for shared tokens"
    if hasattr(config, "output_router_logits"):
        return "its experts' balance term counts the tokens of rows"
    return ""


def batch_logps(model: Any, batch: Batch) -> torch.Tensor:
    """(R, T - 1) log-probabilities of the targets of a collated batch, 0 outside the completions.

    ``model`` has TRL's fused head. A batch with a layout passes as its unique positions, else as padded rows.
    """
    completion, layout = batch["completion"], batch.get("layout")
    inputs: dict[str, Any]
    if layout is None:
        prompt = torch.nn.functional.pad(~completion, (1, 0), value=True)
        labels = batch["input_ids"].masked_fill(prompt, -100)
        inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "labels": labels}
    else:
        already_a_mask = torch.empty(1, 1, 1, 1, device=layout.ids.device)  # no dense mask is built from a 4-D one
        inputs = {"input_ids": layout.ids, "position_ids": layout.positions, "attention_mask": already_a_mask}
        inputs |= {"layout": layout, "shift_labels": layout.labels}
    logps = model(**inputs, use_cache=False, fused_lm_head=True).log_probs
    return (logps if layout is None else logps[0][layout.gather]) * completion  # type: ignore[no-any-return]
