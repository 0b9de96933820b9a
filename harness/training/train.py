"""SFT and preference training on TRL: rows of token ids in, a checkpoint in Hugging Face format out.

Training goes on from the last complete checkpoint of its folder, so a killed run continues the same loss curve. The
finished model is written aside and renamed: a folder under its final name is a whole model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness.errors import TrainingError
from harness.journal import read
from harness.models.digests import model_digest
from harness.models.loading import context_length, load_model, load_tokenizer
from harness.spec import digest
from harness.training.arguments import layout_for, lora_config, padding, trainer_arguments
from harness.training.checkpoints import claimed, last_complete
from harness.training.groups import Collator, GroupRow, PairRow, Row, pair_groups, sft_groups
from harness.training.save import write_model
from harness.training.spec import Objective, SftObjective, TrainingFigures, TrainingJob, TrainingSpec
from harness.training.weights import fingerprint, refuse_unchanged

Progress = Callable[[int, int], None]  # (step, steps in all)
COLUMNS = {SftObjective: ("prompt_ids", "completion_ids"), Objective: ("prompt_ids", "chosen_ids", "rejected_ids")}


def train(
    *, model: str, rows: Sequence[Row] | Sequence[PairRow], objective: Objective | SftObjective,
    training: TrainingSpec, seed: int, out: Path, progress: Progress = lambda step, total: None,
    reference: Path | None = None, about: dict[str, JsonValue] | None = None,
) -> TrainingFigures:  # fmt: skip
    """Train ``model`` into the folder ``out``; a training that is already finished there is not run again.

    ``rows``: (prompt ids, completion ids) for SFT, (prompt, chosen, rejected) under a preference ``objective``, whose
    reference is ``model`` itself; the reference's log-probs are kept in ``reference``, by default beside ``out``. Only
    completions are trained on. ``about`` goes into the model card. Raises TrainingError, ModelError.
    """
    out = out.resolve()
    _check_rows(model, rows)
    groups = (pair_groups if isinstance(objective, Objective) else sft_groups)(rows, training.trees)  # type: ignore[arg-type]
    arguments = trainer_arguments(training, seed, out, len(groups))
    content = hashlib.sha256(json.dumps(groups, separators=(",", ":")).encode()).hexdigest()
    identity = digest(model_digest(model), content, objective, training, seed)
    settings: dict[str, JsonValue] = {
        "objective": objective.model_dump(),
        "training": training.model_dump(mode="json"),
        "seed": seed,
    }
    with claimed(out, identity) as figures:
        if figures is None:
            trainer = _trainer(model, groups, objective, training, arguments, progress, reference)
            _fit(trainer)
            figures = _figures(trainer, rows, objective)
            write_model(trainer, model, out, identity, figures, settings | (about or {}))
    return figures


def run(job: TrainingJob, progress: Progress = lambda step, total: None) -> TrainingFigures:
    """The training that ``job`` describes, on the rows of its file. Raises TrainingError, ModelError, JournalBroken."""
    columns = COLUMNS[type(job.objective)]
    try:
        rows: list[Any] = [tuple(row[column] for column in columns) for row in read(job.data)]
    except KeyError as error:
        raise TrainingError(f"{job.data}: a row has no {error.args[0]}") from None
    return train(
        model=job.model, rows=rows, objective=job.objective, training=job.training, seed=job.seed, out=job.out,
        progress=progress, reference=job.reference, about=job.about,
    )  # fmt: skip


def _trainer(
    model: str, groups: list[GroupRow], objective: Objective | SftObjective, training: TrainingSpec,
    arguments: dict[str, Any], progress: Progress, reference: Path | None,
) -> Any:  # fmt: skip
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import DPOConfig, SFTConfig

    from harness.training.reference import Reference
    from harness.training.trainer import ChainSFTTrainer, PreferenceTrainer, progress_callback

    loaded, tokenizer = load_model(model, dtype=torch.float32), load_tokenizer(model)
    pairs = objective if isinstance(objective, Objective) else None
    common = {
        "model": loaded,
        "processing_class": tokenizer,
        "train_dataset": Dataset.from_list(groups),
        "data_collator": Collator(pad=padding(tokenizer), choice=layout_for(training, loaded), objective=pairs),
        "peft_config": lora_config(training),
        "callbacks": [progress_callback(progress)],
    }
    trainer: Any
    if pairs is None:
        options = {"max_length": None, "packing": False, "dataset_kwargs": {"skip_prepare_dataset": True}}
        trainer = ChainSFTTrainer(
            normalization=objective.normalization,  # type: ignore[union-attr]
            args=SFTConfig(**arguments, **options), **common,
        )  # fmt: skip
    else:
        folder = reference or Path(arguments["output_dir"]) / "reference"
        micro = arguments["per_device_train_batch_size"]
        trainer = PreferenceTrainer(
            objective=pairs,
            reference=Reference.of(folder, model, groups, f"bf16={arguments['bf16']}"),
            args=DPOConfig(
                **arguments, max_length=None, precompute_ref_log_probs=True, beta=pairs.beta,
                precompute_ref_batch_size=micro,
            ),
            **common,
        )  # fmt: skip
    trainer.term_norms = training.term_norms
    trainer.remove_callback(PrinterCallback)  # prints every log to stdout
    return trainer


def _fit(trainer: Any) -> None:
    """Train from the last whole checkpoint on, or from the start. Raises TrainingError where no weight changed."""
    before = fingerprint(trainer.model)
    with trainer.accelerator.main_process_first():
        checkpoint = last_complete(Path(trainer.args.output_dir))
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    refuse_unchanged(trainer, before)


def _figures(trainer: Any, rows: Sequence[Any], objective: Objective | SftObjective) -> TrainingFigures:
    import torch

    history = [row for row in trainer.state.log_history if "loss" in row]
    last = history[-1] if history else {}
    through, in_rows = (sum(row.get(f"tokens/{name}", 0.0) for row in history) for name in ("network", "rows"))
    if isinstance(objective, Objective):
        counts = {"pairs": len(rows)}
    else:
        counts = {"rows": len(rows), "completion_tokens": sum(len(completion) for _, completion in rows)}
    return TrainingFigures(
        **counts,
        steps=trainer.state.global_step,
        # Not the Trainer's own mean, which after a resumption covers the resumed part alone.
        loss=round(sum(row["loss"] for row in history) / len(history), 4) if history else 0.0,
        last={name: round(value, 4) for name, value in last.items() if isinstance(value, float)},
        torch=torch.__version__,
        tokens_through_network=int(through),
        tokens_in_rows=int(in_rows),
        processes=trainer.accelerator.num_processes,
    )


def _check_rows(model: str, rows: Sequence[Any]) -> None:
    if not rows:
        raise TrainingError(f"no rows to train {model} on: the stage before it found none")
    if not all(len(side) for row in rows for side in row):
        raise TrainingError(f"a row to train {model} on has an empty prompt or completion")
    limit = context_length(model)
    longest = max(len(row[0]) + len(side) for row in rows for side in row[1:])
    if limit and longest > limit:
        raise TrainingError(f"a row of {longest} tokens exceeds the {limit} positions of {model}; drop the long rows")
