"""SFT and preference training on TRL: rows of token ids in, a checkpoint in Hugging Face format out.

Training goes on from the last complete checkpoint of its folder, so a killed run continues the same loss curve. The
finished model is written aside and renamed: a folder under its final name is a whole model.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.models.base import ModelError
from harness.models.hf import load_tokenizer, quiet
from harness.training.objective import Objective

Progress = Callable[[int, int], None]


class TrainingError(RuntimeError):
    """Training cannot start or go on; the message says what, where and how to mend it."""


@dataclass(frozen=True)
class Dose:
    """How much training: learning rate, passes over the rows, rows per step. ``warmup`` is a share of the steps."""

    learning_rate: float
    epochs: float = 1.0
    batch_size: int = 16
    warmup: float = 0.1
    save_steps: int = 25


def sft(
    model: str, rows: Sequence[tuple[Sequence[int], Sequence[int]]], dose: Dose, seed: int, out: Path,
    progress: Progress = lambda step, total: None,
) -> dict[str, Any]:  # fmt: skip
    """Train on (prompt ids, completion ids) rows, loss on completions only. Returns the training figures."""
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    _check_rows(model, rows)
    data = [{"input_ids": [*p, *c], "labels": [-100] * len(p) + list(c)} for p, c in rows]
    trainer = SFTTrainer(
        model=_load(model),
        processing_class=load_tokenizer(model),
        train_dataset=Dataset.from_list(data),
        args=SFTConfig(**_arguments(dose, seed, out, len(rows)), max_length=None, packing=False),
        callbacks=[_callback(progress)],
    )
    trained = sum(len(c) for _, c in rows)
    return _run(trainer, out, {"rows": len(rows), "completion_tokens": trained, "torch": str(torch.__version__)})


def preference(
    model: str, pairs: Sequence[tuple[Sequence[int], Sequence[int], Sequence[int]]], objective: Objective, dose: Dose,
    seed: int, out: Path, progress: Progress = lambda step, total: None,
) -> dict[str, Any]:  # fmt: skip
    """Train on (prompt, chosen, rejected) ids under ``objective``; the reference is ``model`` itself."""
    from datasets import Dataset
    from trl import DPOConfig

    from harness.training.trainer import PreferenceTrainer

    _check_rows(model, [(p, c) for p, chosen, rejected in pairs for c in (chosen, rejected)])
    data = [{"prompt_ids": list(p), "chosen_ids": list(c), "rejected_ids": list(r)} for p, c, r in pairs]
    arguments = _arguments(dose, seed, out, len(pairs))
    trainer = PreferenceTrainer(
        objective=objective,
        model=_load(model),
        processing_class=load_tokenizer(model),
        train_dataset=Dataset.from_list(data),
        args=DPOConfig(
            **arguments, max_length=None, precompute_ref_log_probs=True, precompute_ref_batch_size=dose.batch_size,
            beta=objective.beta,
        ),
        callbacks=[_callback(progress)],
    )  # fmt: skip
    return _run(trainer, out, {"pairs": len(pairs)})


def _check_rows(model: str, rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> None:
    if not rows:
        raise TrainingError(f"no rows to train {model} on: the stage before it found none")
    file = Path(model) / "config.json"
    config = json.loads(file.read_text()) if file.exists() else {}
    limit = config.get("max_position_embeddings")
    longest = max(len(p) + len(c) for p, c in rows)
    if limit and longest > limit:
        raise TrainingError(f"a row of {longest} tokens exceeds the {limit} positions of {model}; drop the long rows")


def _load(model: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    quiet()
    try:
        return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ModelError(f"{model}: no causal language model could be loaded ({str(error).splitlines()[0]})") from error


def _arguments(dose: Dose, seed: int, out: Path, rows: int) -> dict[str, Any]:
    """TRL's defaults are for GPUs: precision, checkpointing and truncation are all set here."""
    import torch

    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(out.with_name(out.name + ".work")),
        "learning_rate": dose.learning_rate,
        "num_train_epochs": dose.epochs,
        "per_device_train_batch_size": min(dose.batch_size, rows),
        "lr_scheduler_type": "linear",
        "warmup_steps": dose.warmup,
        "seed": seed,
        "data_seed": seed,
        "bf16": gpu,
        "use_cpu": not gpu,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_steps": dose.save_steps,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": gpu,
    }


def _callback(progress: Progress) -> Any:
    from transformers import TrainerCallback

    class Report(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            progress(state.global_step, state.max_steps)

    return Report()


def _run(trainer: Any, out: Path, figures: dict[str, Any]) -> dict[str, Any]:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)  # prints every log to stdout
    work = Path(trainer.args.output_dir)
    checkpoint = last_complete_checkpoint(work)
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    history = [row for row in trainer.state.log_history if "loss" in row]
    if history and not all(_finite(row["loss"]) for row in history):
        raise TrainingError(f"{out.name}: the loss became NaN or infinite; lower the learning rate in the recipe")
    aside = out.with_name(out.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    trainer.model.save_pretrained(aside)
    trainer.processing_class.save_pretrained(aside)
    (aside / "training.jsonl").write_text("".join(json.dumps(row) + "\n" for row in trainer.state.log_history))
    shutil.rmtree(out, ignore_errors=True)  # a model whose job was killed before it was recorded
    os.replace(aside, out)
    shutil.rmtree(work, ignore_errors=True)
    last = history[-1] if history else {}
    # Not the Trainer's own mean, which after a resumption covers the resumed part alone.
    mean = sum(row["loss"] for row in history) / len(history) if history else 0.0
    kept = {k: round(v, 4) for k, v in last.items() if isinstance(v, float)}
    return figures | {"steps": trainer.state.global_step, "loss": round(mean, 4), "last": kept}


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


_PARTS = ("model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole. The Trainer would take a half-written one, or resume it with fresh state.

    Incomplete ones are removed. Whole means: weights, optimizer, scheduler and random state are there, the weights'
    header and length agree, and the state names the step of the folder.
    """
    found: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*") if folder.exists() else ():
        step = path.name.removeprefix("checkpoint-")
        if step.isdigit() and _complete(path, int(step)):
            found.append((int(step), path))
        else:
            shutil.rmtree(path, ignore_errors=True)
    return max(found)[1] if found else None


def _complete(path: Path, step: int) -> bool:
    if not all((path / name).exists() for name in _PARTS) or not list(path.glob("rng_state*.pth")):
        return False
    try:
        state = json.loads((path / "trainer_state.json").read_text())
        with (path / "model.safetensors").open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        whole = (path / "model.safetensors").stat().st_size == 8 + length + end
    except (OSError, ValueError, KeyError):
        return False
    return bool(whole and state.get("global_step") == step)
