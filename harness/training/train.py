"""SFT and preference training on TRL: rows of token ids in, a checkpoint in Hugging Face format out.

Training goes on from the last complete checkpoint of its folder, so a killed run continues the same loss curve. The
finished model is written aside and renamed: a folder under its final name is a whole model.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.errors import TrainingError, Usage
from harness.files import read_json
from harness.journal import read
from harness.models.loading import context_length, load_model, load_tokenizer, model_digest
from harness.spec import digest
from harness.training.checkpoints import claimed
from harness.training.groups import Collator, GroupRow, Row, groups_of, padding
from harness.training.save import write_model
from harness.training.spec import Objective, SftObjective, TrainingFigures, TrainingJob

Progress = Callable[[int, int], None]  # (step, steps in all)
COLUMNS = {SftObjective: ("prompt_ids", "completion_ids"), Objective: ("prompt_ids", "chosen_ids", "rejected_ids")}


def run(job: TrainingJob, progress: Progress = lambda step, total: None) -> TrainingFigures:
    """The training that ``job`` describes, on the rows of its file. Raises TrainingError, ModelError, JournalBroken."""
    columns = COLUMNS[type(job.objective)]
    try:
        rows = [tuple(row[column] for column in columns) for row in read(job.data)]
    except KeyError as error:
        raise TrainingError(f"{job.data}: a row has no {error.args[0]}") from None
    return train(job, rows, progress)


def train(job: TrainingJob, rows: Sequence[Row], progress: Progress = lambda step, total: None) -> TrainingFigures:
    """Train a model into the folder ``job.out``; a training that is already finished there is not run again.

    ``rows`` of token ids: (prompt, completion) for SFT, (prompt, chosen, rejected) under a preference objective, whose
    reference is the model itself. Only completions are trained on. Raises TrainingError, ModelError.
    """
    job = job.model_copy(update={"out": job.out.resolve()})
    _check_rows(job.model, rows)
    groups = groups_of(rows, job.training.trees)
    arguments = _arguments(job, len(groups))
    content = hashlib.sha256(json.dumps(groups, separators=(",", ":")).encode()).hexdigest()
    identity = digest(model_digest(job.model), content, job.objective, job.training, job.seed)
    with claimed(job.out, identity) as figures:
        if figures is None:
            from harness.training.trainer import fit

            trainer = _trainer(job, groups, arguments, progress)
            fit(trainer)
            figures = _figures(trainer, rows)
            write_model(trainer, job, identity, figures)
    return figures


def _arguments(job: TrainingJob, rows: int) -> dict[str, object]:
    """Keyword arguments of SFTConfig and DPOConfig; their defaults are for GPUs, so all is set here.

    Raises TrainingError where a batch cannot be split as asked.
    """
    import torch

    training = job.training
    gpu = torch.cuda.is_available()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if torch.cuda.device_count() > 1 and "WORLD_SIZE" not in os.environ:
        raise TrainingError("several GPUs are visible: use accelerate launch, or name one in CUDA_VISIBLE_DEVICES")
    if training.batch_size % ((training.micro_batch or 1) * processes):
        raise TrainingError(
            f"{training.batch_size} rows a step cannot be split into micro-batches of {training.micro_batch or 1} "
            f"on {processes} process(es): choose a batch size that is a multiple of both"
        )
    if training.deepspeed:
        read_json(training.deepspeed)  # a file of another kind is one line
        if importlib.util.find_spec("deepspeed") is None:
            raise Usage(f"--deepspeed {training.deepspeed}: the package deepspeed is not installed")
    micro = training.micro_batch or max(min(training.batch_size, rows) // processes, 1)
    return {
        "output_dir": str(job.out.with_name(job.out.name + ".work")),
        "learning_rate": training.learning_rate,
        "num_train_epochs": training.epochs,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": math.ceil(min(training.batch_size, rows) / (micro * processes)),
        "lr_scheduler_type": "linear",
        "warmup_steps": training.warmup,
        "seed": job.seed,
        "data_seed": job.seed,
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
        "deepspeed": str(training.deepspeed) if training.deepspeed else None,
    }


def _trainer(job: TrainingJob, groups: list[GroupRow], arguments: dict[str, object], progress: Progress) -> Any:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl import DPOConfig, SFTConfig

    from harness.training.attention import layout_for
    from harness.training.reference import reference_file
    from harness.training.trainer import ChainSFTTrainer, PreferenceTrainer, Report

    model, tokenizer = load_model(job.model, dtype=torch.float32), load_tokenizer(job.model)
    layout, pad, r = layout_for(job.training.layout, model), padding(tokenizer), job.training.lora
    adapters = LoraConfig(r=r, lora_alpha=2 * r, target_modules="all-linear", task_type="CAUSAL_LM") if r else None
    common = {
        "model": model,
        "processing_class": tokenizer,
        "train_dataset": Dataset.from_list(groups),
        "peft_config": adapters,
        "callbacks": [Report(progress)],
    }
    trainer: Any
    if isinstance(job.objective, SftObjective):
        trainer = ChainSFTTrainer(
            normalization=job.objective.normalization,
            data_collator=Collator(pad=pad, choice=layout),
            args=SFTConfig(
                **arguments, max_length=None, packing=False, dataset_kwargs={"skip_prepare_dataset": True}
            ),
            **common,
        )  # fmt: skip
    else:
        folder = job.reference or Path(str(arguments["output_dir"])) / "reference"
        trainer = PreferenceTrainer(
            objective=job.objective,
            reference=reference_file(folder, job.model, groups, f"bf16={arguments['bf16']}"),
            data_collator=Collator(pad=pad, choice=layout, objective=job.objective),
            args=DPOConfig(
                **arguments, max_length=None, precompute_ref_log_probs=True, beta=job.objective.beta,
                precompute_ref_batch_size=arguments["per_device_train_batch_size"],
            ),
            **common,
        )  # fmt: skip
    trainer.term_norms = job.training.term_norms
    trainer.remove_callback(PrinterCallback)  # prints every log to stdout
    return trainer


def _figures(trainer: Any, rows: Sequence[Row]) -> TrainingFigures:
    import torch

    history = [row for row in trainer.state.log_history if "loss" in row]
    last = history[-1] if history else {}
    through, in_rows = (sum(row.get(f"tokens/{name}", 0.0) for row in history) for name in ("network", "rows"))
    sft = len(rows[0]) == 2
    return TrainingFigures(
        rows=len(rows) if sft else None,
        completion_tokens=sum(len(row[1]) for row in rows) if sft else None,
        pairs=None if sft else len(rows),
        steps=trainer.state.global_step,
        # Not the Trainer's own mean, which after a resumption covers the resumed part alone.
        loss=round(sum(row["loss"] for row in history) / len(history), 4) if history else 0.0,
        last={name: round(value, 4) for name, value in last.items() if isinstance(value, float)},
        torch=torch.__version__,
        tokens_through_network=int(through),
        tokens_in_rows=int(in_rows),
        processes=trainer.accelerator.num_processes,
    )


def _check_rows(model: str, rows: Sequence[Row]) -> None:
    if not rows:
        raise TrainingError(f"no rows to train {model} on: the stage before it found none")
    if not all(len(side) for row in rows for side in row):
        raise TrainingError(f"a row to train {model} on has an empty prompt or completion")
    limit = context_length(model)
    longest = max(len(row[0]) + len(side) for row in rows for side in row[1:])
    if limit and longest > limit:
        raise TrainingError(f"a row of {longest} tokens exceeds the {limit} positions of {model}; drop the long rows")
