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
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import torch

from harness.errors import TrainingError, Usage
from harness.files import read_json
from harness.journal import read
from harness.models.loading import context_length, model_digest
from harness.models.places import trainable
from harness.spec import digest
from harness.training.batches import groups_of
from harness.training.checkpoints import claimed, is_kept, write_model
from harness.training.spec import (
    Objective,
    Sampling,
    SftObjective,
    TrainingFigures,
    TrainingJob,
    TrainingSpec,
    kept_model,
)

Progress = Callable[[int, int], None]  # (step, steps in all)
Maker = Callable[[TrainingJob, Sequence[Any], dict[str, Any], Progress], Any]  # ... and TRL's arguments, to a trainer


def run(job: TrainingJob, progress: Progress = lambda step, total: None, maker: Maker | None = None) -> TrainingFigures:
    """The training that ``job`` describes, on the rows of its file. Raises TrainingError, ModelError, JournalBroken."""
    try:
        rows = [tuple(row[column] for column in job.objective.columns) for row in read(job.data)]
    except KeyError as error:
        raise TrainingError(f"{job.data}: a row has no {error.args[0]}") from None
    return train(job, rows, progress, maker)


def train(
    job: TrainingJob, rows: Sequence[Any], progress: Progress = lambda step, total: None, maker: Maker | None = None
) -> TrainingFigures:
    """Train a model into the folder ``job.out``; a training that is already finished there is not run again.

    ``maker``: of the objective's trainer (``makers.maker_of``); default: that of trainings on chains.
    ``rows`` as tuples. Of token ids: (prompt, completion) for SFT, (prompt, chosen, rejected) under a preference
    objective, (prompt, completion, whether it is desirable) for KTO, whose references are the model itself; (prompt,
    family, gold) of problems for on-policy distillation and GRPO. Only completions are trained on. Raises
    TrainingError, ModelError.
    """
    job = job.model_copy(update={"out": job.out.resolve()})
    sizes, objective = _checked(job, rows), job.objective
    chains = isinstance(objective, Objective | SftObjective)
    data: Sequence[Any] = groups_of(rows, job.training.trees) if chains else rows
    arguments = _arguments(job, len(data))
    content = hashlib.sha256(json.dumps(data, separators=(",", ":")).encode()).hexdigest()
    teacher = [model_digest(job.teacher)] if job.teacher else []
    identity = digest(model_digest(job.model), content, objective, job.training, job.seed, *teacher)
    with claimed(job.out, identity) as figures:
        gone = [at for at in (kept_model(job.out, share) for share in job.keep) if not is_kept(at, identity)]
        if figures and gone:
            raise TrainingError(f"{job.out} is trained, but {gone[0].name} is not beside it; remove it to train anew")
        if figures is None:
            from harness.training.keeping import Keeper
            from harness.training.trainer import fit, trainer_of

            with closing((maker or trainer_of)(job, data, arguments, progress)) as trainer:
                if job.keep:
                    trainer.add_callback(Keeper(trainer, job, identity))
                figures = fit(trainer, sizes)
                write_model(trainer, job, identity, figures)
    return figures


def _checked(job: TrainingJob, rows: Sequence[Any]) -> dict[str, int]:
    """The sizes of the data, for the figures. Raises TrainingError for rows that cannot be trained on."""
    if not rows:
        raise TrainingError(f"no rows to train {job.model} on: the stage before it found none")
    sides = sum(column.endswith("_ids") for column in job.objective.columns)
    if not all(len(side) for row in rows for side in row[:sides]):
        raise TrainingError(f"a row to train {job.model} on has an empty prompt or completion")
    limit = context_length(trainable(job.model))
    drawn = job.objective.answer_tokens if isinstance(job.objective, Sampling) else 0
    longest = max(len(row[0]) + max(map(len, row[1:sides]), default=drawn) for row in rows)
    if limit and longest > limit:
        reason = f"exceeds the {limit} positions of {job.model}; drop the long rows"
        reason += f", or let answers be shorter than {drawn} tokens" if drawn else ""
        raise TrainingError(f"a row of {longest} tokens {reason}")
    if isinstance(job.objective, Objective):
        return {"pairs": len(rows)}
    return {"rows": len(rows)} | ({"completion_tokens": sum(len(row[1]) for row in rows)} if sides == 2 else {})


def _arguments(job: TrainingJob, rows: int) -> dict[str, Any]:
    """Keyword arguments of TRL's configurations; their defaults are for GPUs, so all is set here.

    Raises TrainingError where a batch cannot be split as asked.
    """
    training = job.training
    # Newer transformers have another name for the setting, TRL has not.
    warnings.filterwarnings("ignore", ".*gradient_checkpointing.*", FutureWarning)
    gpu = torch.cuda.is_available()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if torch.cuda.device_count() > 1 and "WORLD_SIZE" not in os.environ:
        raise TrainingError("several GPUs are visible: use accelerate launch, or name one in CUDA_VISIBLE_DEVICES")
    if training.batch_size % ((training.micro_batch or 1) * processes):
        split = f"micro-batches of {training.micro_batch or 1} on {processes} process(es)"
        why = f"cannot be split into {split}: choose a batch size that is a multiple of both"
        raise TrainingError(f"{training.batch_size} rows a step {why}")
    if training.deepspeed:
        read_json(training.deepspeed)  # a file of another kind is one line
        if importlib.util.find_spec("deepspeed") is None:
            raise Usage(f"--deepspeed {training.deepspeed}: the package deepspeed is not installed")
    _check_tracker(training)
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
        "max_length": None,
        "remove_unused_columns": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is no number ends the run instead of looking like the last one
        "save_steps": training.save_steps,
        "save_total_limit": 2,
        "report_to": training.report_to,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "deepspeed": str(training.deepspeed) if training.deepspeed else None,
    }


def _check_tracker(training: TrainingSpec) -> None:
    """Raise Usage where a tracker is not installed, or would write into the working folder, which is removed."""
    name, variable = training.report_to, "TENSORBOARD_LOGGING_DIR"
    if name != "none" and importlib.util.find_spec(name) is None:
        raise Usage(f"--report-to {name}: the package {name} is not installed")
    if name == "tensorboard" and variable not in os.environ:
        raise Usage(f"--report-to {name}: name a folder for it in the environment variable {variable}")
