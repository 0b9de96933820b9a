"""How much training, under which objective, and how it is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.spec import Spec, knob

Normalization = Literal["sequence_mean", "token_mean"]
MaskPrefix = Literal["none", "dpo", "sft", "both"]
LayoutChoice = Literal["auto", "rows", "shared"]


class TrainingSpec(Spec):
    """The dose of a training, and how it is computed (fields marked ``how``: nothing but rounding depends on them)."""

    learning_rate: float = knob(1e-5, "Peak, after the warm-up.", gt=0, allow_inf_nan=False)
    epochs: float = knob(1.0, "Passes over the rows.", gt=0, allow_inf_nan=False)
    batch_size: int = knob(16, "Rows of a step; with --trees, prompts.", ge=1)
    warmup: float = knob(0.1, "Warm-up, as a share of the steps.", ge=0, le=1)
    lora: int = knob(0, "Rank of LoRA adapters; 0: all weights are trained.", ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = knob("auto", "Of the forward pass; weights stay float32.")
    trees: bool = knob(False, "All chains of a prompt in one batch.")
    max_tokens: int = knob(0, "Longest row, in tokens; 0: the model's positions.", ge=0)
    save_steps: int = knob(25, "Steps between checkpoints.", how=True, ge=1)
    layout: LayoutChoice = knob("auto", "How rows of a prompt stand in a batch; shared: its prefixes once.", how=True)
    micro_batch: int = knob(0, "Rows of a process and forward pass; 0: all of a step.", how=True, ge=0)
    recompute: bool = knob(False, "Activation checkpointing.", how=True)
    deepspeed: Path | None = knob(None, "A DeepSpeed configuration.", how=True)


class Objective(Spec):
    """Switches of the preference objective: each is an ablation of arXiv 2503.01461."""

    beta: float = knob(0.1, "Strength of the pull to the reference (DPO).", gt=0)
    label_smoothing: float = knob(0.0, "Epsilon of conservative DPO; 0: plain DPO.", ge=0, lt=0.5)
    sft_weight: float = knob(0.0, "Alpha: weight of the joint SFT term on chosen chains.", ge=0, option="--alpha")
    sft_normalization: Normalization = knob(
        "sequence_mean", "The SFT term as a mean over sequences, or over tokens.", option="--mean"
    )
    mask_prefix: MaskPrefix = knob("none", "Terms in which the prefix shared by chosen and rejected does not count.")
    length_normalized: bool = knob(False, "Means instead of sums of log-ratios; beta then acts per token.")

    @property
    def masks_dpo(self) -> bool:
        """Whether the shared prefix is left out of the preference term."""
        return self.mask_prefix in ("dpo", "both")

    @property
    def masks_sft(self) -> bool:
        """Whether the shared prefix is left out of the SFT term."""
        return self.mask_prefix in ("sft", "both")
