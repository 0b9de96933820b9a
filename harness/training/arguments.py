"""From a training spec and a model to what TRL's trainers take; their defaults are for GPUs, so all is set here."""

from __future__ import annotations

import importlib.util
import math
import os
from pathlib import Path
from typing import Any

from harness.errors import TrainingError, Usage
from harness.files import read_json
from harness.training.spec import LayoutChoice, TrainingSpec


def trainer_arguments(training: TrainingSpec, seed: int, out: Path, rows: int) -> dict[str, Any]:
    """Keyword arguments of SFTConfig and DPOConfig. Raises TrainingError where a batch cannot be split as asked."""
    import torch

    gpu = torch.cuda.is_available()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if torch.cuda.device_count() > 1 and "WORLD_SIZE" not in os.environ:
        raise TrainingError("several GPUs are visible: use accelerate launch, or name one in CUDA_VISIBLE_DEVICES")
    if training.batch_size % ((training.micro_batch or 1) * processes):
        raise TrainingError(
            f"{training.batch_size} rows a step cannot be split into micro-batches of {training.micro_batch or 1} "
            f"on {processes} process(es): choose a batch size that is a multiple of both"
        )
    micro = training.micro_batch or max(min(training.batch_size, rows) // processes, 1)
    accumulation = math.ceil(min(training.batch_size, rows) / (micro * processes))
    return {
        "output_dir": str(out.with_name(out.name + ".work")),
        "learning_rate": training.learning_rate,
        "num_train_epochs": training.epochs,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": accumulation,
        "lr_scheduler_type": "linear",
        "warmup_steps": training.warmup,
        "seed": seed,
        "data_seed": seed,
        "bf16": training.precision == "bfloat16" or (training.precision == "auto" and gpu),
        "use_cpu": not gpu,
        "gradient_checkpointing": training.recompute,
        "remove_unused_columns": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is no number ends the run instead of looking like the last one
        "save_steps": training.save_steps,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "deepspeed": _deepspeed(training.deepspeed),
    }


def _deepspeed(file: Path | None) -> str | None:
    if file is None:
        return None
    read_json(file)
    if importlib.util.find_spec("deepspeed") is None:
        raise Usage(f"--deepspeed {file}: the package deepspeed is not installed")
    return str(file)


def lora_config(training: TrainingSpec) -> Any:
    """Adapters on every linear layer, or None."""
    if not training.lora:
        return None
    from peft import LoraConfig

    return LoraConfig(r=training.lora, lora_alpha=2 * training.lora, target_modules="all-linear", task_type="CAUSAL_LM")


def layout_for(training: TrainingSpec, model: Any) -> LayoutChoice:
    """The layout that ``model`` can train in, its attention made ready for it. Raises TrainingError."""
    from harness.training.attention import register, why_not

    reason = why_not(model)
    if reason and training.layout == "shared":
        raise TrainingError(f"layout shared: {reason}; use auto or rows")
    if reason or training.layout == "rows":
        return "rows"
    model.set_attn_implementation(register())
    return training.layout


def padding(tokenizer: Any) -> int:
    """The id that fills rows: any will do, no target and no attention is ever on it."""
    return int(next((x for x in (tokenizer.pad_token_id, tokenizer.eos_token_id) if x is not None), 0))
