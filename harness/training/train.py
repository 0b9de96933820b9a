"""SFT and preference training on TRL: rows of token ids in, a checkpoint in Hugging Face format out.

Training goes on from the last complete checkpoint of its folder, so a killed run continues the same loss curve. The
finished model is written aside and renamed: a folder under its final name is a whole model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import ModelError, TrainingError
from harness.models.digests import model_digest
from harness.models.loading import load_tokenizer, quiet
from harness.training.checkpoints import claim, last_complete
from harness.training.groups import Collator, LayoutChoice, PairRow, Row, pair_groups, sft_groups
from harness.training.objective import Normalization, Objective
from harness.training.save import write_model

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Dose:
    """How much training: learning rate, passes over the rows, rows per step. ``warmup`` is a share of the steps.

    A row is a chain or a pair, or with ``How.trees`` a whole tree.
    """

    learning_rate: float
    epochs: float = 1.0
    batch_size: int = 16
    warmup: float = 0.1
    save_steps: int = 25


@dataclass(frozen=True)
class How:
    """How the same dose is computed; beyond rounding nothing here changes the result, but ``trees`` and ``lora``.

    ``trees``: all chains (and pairs) of one prompt stand in one batch. ``micro_batch``: rows per process and forward
    (0: as many as there are). ``precision``: of the forward pass, weights stay float32. ``lora``: rank, 0 for all
    weights. ``term_norms``: log each term's gradient norm every so many steps (of the last micro-batch).
    """

    layout: LayoutChoice = "auto"
    trees: bool = False
    micro_batch: int = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    activation_checkpointing: bool = False
    lora: int = 0
    term_norms: int = 0
    deepspeed: Path | None = None
    reference: Path | None = None


def sft(
    model: str, rows: Sequence[Row], dose: Dose, seed: int, out: Path, progress: Progress = lambda step, total: None,
    normalization: Normalization = "token_mean", how: How | None = None, about: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train on (prompt ids, completion ids) rows, loss on completions only. Returns the training figures.

    ``about`` goes into the model card. Raises TrainingError, ModelError.
    """
    from datasets import Dataset
    from trl import SFTConfig

    from harness.training.trainer import ChainSFTTrainer

    how, out = how or How(), out.resolve()
    _check_rows(model, rows)
    groups = sft_groups(rows, how.trees)
    told = {"objective": {"sft": normalization}, "dose": asdict(dose), "how": asdict(how), "seed": seed}
    identity, arguments = _identity(model, groups, how, told), _arguments(dose, how, seed, out, len(groups))
    if done := claim(out, identity):
        return done
    loaded, tokenizer = load_model(model), load_tokenizer(model)
    trainer = ChainSFTTrainer(
        normalization=normalization,
        model=loaded,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(groups),
        data_collator=Collator(padding(tokenizer), _layout(how, loaded)),
        args=SFTConfig(
            **arguments, max_length=None, packing=False, dataset_kwargs={"skip_prepare_dataset": True}
        ),
        peft_config=_lora(how),
        callbacks=[_callback(progress)],
    )  # fmt: skip
    figures = {"rows": len(rows), "completion_tokens": sum(len(c) for _, c in rows)}
    return _run(trainer, model, out, identity, figures, told | (about or {}))


def preference(
    model: str, pairs: Sequence[PairRow], objective: Objective, dose: Dose, seed: int, out: Path,
    progress: Progress = lambda step, total: None, how: How | None = None, about: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train on (prompt, chosen, rejected) ids under ``objective``; the reference is ``model`` itself.

    Its log-probs are kept in ``how.reference``, by default beside ``out``. Raises TrainingError, ModelError.
    """
    from datasets import Dataset
    from trl import DPOConfig

    from harness.training.reference import Reference
    from harness.training.trainer import PreferenceTrainer

    how, out = how or How(), out.resolve()
    _check_rows(model, [(p, c) for p, chosen, rejected in pairs for c in (chosen, rejected)])
    groups = pair_groups(pairs, how.trees)
    told = {"objective": asdict(objective), "dose": asdict(dose), "how": asdict(how), "seed": seed}
    identity, arguments = _identity(model, groups, how, told), _arguments(dose, how, seed, out, len(groups))
    if done := claim(out, identity):
        return done
    loaded, tokenizer = load_model(model), load_tokenizer(model)
    folder = how.reference or out.with_name(out.name + ".work") / "reference"
    trainer = PreferenceTrainer(
        objective=objective,
        reference=Reference.of(folder, model, groups, f"bf16={arguments['bf16']}"),
        model=loaded,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(groups),
        data_collator=Collator(padding(tokenizer), _layout(how, loaded), objective),
        args=DPOConfig(
            **arguments, max_length=None, precompute_ref_log_probs=True, beta=objective.beta,
            precompute_ref_batch_size=arguments["per_device_train_batch_size"],
        ),
        peft_config=_lora(how),
        callbacks=[_callback(progress)],
    )  # fmt: skip
    trainer.term_norms = how.term_norms
    return _run(trainer, model, out, identity, {"pairs": len(pairs)}, told | (about or {}))


def _identity(model: str, groups: Any, how: How, told: dict[str, Any]) -> str:
    """Digest of all that decides the weights; how the same step is computed is not part of it."""
    how_much = {"trees": how.trees, "lora": how.lora, "precision": how.precision}
    content = [model_digest(model), groups, told["objective"], told["dose"], told["seed"], how_much]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:16]


def _check_rows(model: str, rows: Sequence[Row]) -> None:
    if not rows:
        raise TrainingError(f"no rows to train {model} on: the stage before it found none")
    if not all(len(p) and len(c) for p, c in rows):
        raise TrainingError(f"a row to train {model} on has an empty prompt or completion")
    limit = positions(model)
    longest = max(len(p) + len(c) for p, c in rows)
    if limit and longest > limit:
        raise TrainingError(f"a row of {longest} tokens exceeds the {limit} positions of {model}; drop the long rows")


def positions(model: str) -> int:
    """Positions that a local model has; 0 where its configuration does not tell."""
    file = Path(model) / "config.json"
    config = json.loads(file.read_text()) if file.exists() else {}
    return int(config.get("max_position_embeddings") or 0)


def load_model(model: str) -> Any:
    """The model in float32, as training takes it; raises ModelError with one clear line."""
    import torch
    from transformers import AutoModelForCausalLM

    quiet()
    try:
        return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ModelError(f"{model}: no causal language model could be loaded ({str(error).splitlines()[0]})") from error


def padding(tokenizer: Any) -> int:
    """The id that fills rows: any will do, no target and no attention is ever on it."""
    return int(next((x for x in (tokenizer.pad_token_id, tokenizer.eos_token_id) if x is not None), 0))


def _layout(how: How, model: Any) -> LayoutChoice:
    from harness.training.attention import register, why_not

    reason = why_not(model)
    if reason and how.layout == "shared":
        raise TrainingError(f"layout shared: {reason}; use auto or rows")
    if reason or how.layout == "rows":
        return "rows"
    model.set_attn_implementation(register())
    return how.layout


def _lora(how: How) -> Any:
    if not how.lora:
        return None
    from peft import LoraConfig

    return LoraConfig(r=how.lora, lora_alpha=2 * how.lora, target_modules="all-linear", task_type="CAUSAL_LM")


def _arguments(dose: Dose, how: How, seed: int, out: Path, rows: int) -> dict[str, Any]:
    """TRL's defaults are for GPUs: precision, checkpointing and truncation are all set here."""
    import torch

    gpu = torch.cuda.is_available()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if torch.cuda.device_count() > 1 and "WORLD_SIZE" not in os.environ:
        raise TrainingError("several GPUs are visible: use accelerate launch, or name one in CUDA_VISIBLE_DEVICES")
    if dose.epochs <= 0 or dose.batch_size < 1 or how.micro_batch < 0 or not 0 <= dose.warmup < 1:
        raise TrainingError("epochs and batch size must be above 0, the micro-batch not below, the warm-up from 0 to 1")
    if dose.batch_size % ((how.micro_batch or 1) * processes):
        raise TrainingError(
            f"{dose.batch_size} rows a step cannot be split into micro-batches of {how.micro_batch or 1} "
            f"on {processes} process(es): choose a batch size that is a multiple of both"
        )
    micro = how.micro_batch or max(min(dose.batch_size, rows) // processes, 1)
    accumulation = math.ceil(min(dose.batch_size, rows) / (micro * processes))
    return {
        "output_dir": str(out.with_name(out.name + ".work")),
        "learning_rate": dose.learning_rate,
        "num_train_epochs": dose.epochs,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": accumulation,
        "lr_scheduler_type": "linear",
        "warmup_steps": dose.warmup,
        "seed": seed,
        "data_seed": seed,
        "bf16": how.precision == "bfloat16" or (how.precision == "auto" and gpu),
        "use_cpu": not gpu,
        "gradient_checkpointing": how.activation_checkpointing,
        "remove_unused_columns": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is no number ends the run instead of looking like the last one
        "save_steps": dose.save_steps,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "deepspeed": str(how.deepspeed) if how.deepspeed else None,
    }


def _callback(progress: Progress) -> Any:
    from transformers import TrainerCallback

    class Report(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                progress(state.global_step, state.max_steps)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            norm = float((logs or {}).get("grad_norm", 0.0))
            if norm != norm or norm == float("inf"):  # the weights are spoilt; the step is not saved
                from harness.training.checkpoints import kept

                raise TrainingError(
                    f"step {state.global_step}: the gradient became {norm}; lower the learning rate. "
                    f"{kept(args.output_dir)}. To start anew, remove {args.output_dir}"
                )

    return Report()


def _run(
    trainer: Any, model: str, out: Path, identity: str, figures: dict[str, Any], told: dict[str, Any]
) -> dict[str, Any]:
    import torch
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)  # prints every log to stdout
    with trainer.accelerator.main_process_first():
        checkpoint = last_complete(Path(trainer.args.output_dir))
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    history = [row for row in trainer.state.log_history if "loss" in row]
    last = history[-1] if history else {}
    # Not the Trainer's own mean, which after a resumption covers the resumed part alone.
    mean = sum(row["loss"] for row in history) / len(history) if history else 0.0
    kept = {k: round(v, 4) for k, v in last.items() if isinstance(v, float)}
    through, rows = (sum(row.get(f"tokens/{name}", 0.0) for row in history) for name in ("network", "rows"))
    figures |= {"steps": trainer.state.global_step, "loss": round(mean, 4), "last": kept, "torch": torch.__version__}
    figures |= {"tokens_through_network": int(through), "tokens_in_rows": int(rows)}
    figures |= {"processes": trainer.accelerator.num_processes}
    write_model(trainer, model, out, identity, figures, told)
    return figures
