"""TRL's trainers with our objectives: model set-up, PEFT, launch, logging and schedule are TRL's, the loss is ours.

Rests on names of TRL 1.16 and transformers 5.23 that are not public (``_metrics``, ``_precompute_ref_logps``,
``_get_num_items_in_batch``, ``_save_checkpoint``); the pins in constraints.txt and the numeric tests hold it to them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object, send_to_device
from datasets import Dataset
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PrinterCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from harness.errors import TrainingError
from harness.models.loading import load_model, load_tokenizer, model_digest
from harness.training import checkpoints
from harness.training.attention import batch_logps, layout_for
from harness.training.batches import Batch, Collator, GroupRow, padding
from harness.training.objective import Masks, Totals, preference_loss, sft_loss
from harness.training.spec import Objective, SftObjective, TrainingFigures, TrainingJob

Progress = Callable[[int, int], None]  # (step, steps in all)


class Kept:
    """What all trainers do alike: numbers that are none end the training, checkpoints are whole, progress is told."""

    remedy = "raise the learning rate or train for more steps"  # where no weight changed
    unread: tuple[str, ...] = ()  # how the names of those of TRL's figures begin that are left out of the log
    progress: Progress

    def close(self) -> None:
        """End what was started for the training."""

    def training_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = super().training_step(*args, **kwargs)  # type: ignore[misc]
        if not torch.isfinite(loss):
            raise self._spoilt(f"the loss became {float(loss)}", self.state.global_step + 1)
        return loss

    def log(self: Any, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        for name in [name for name in self._metrics["train"] if name.startswith(self.unread)]:
            del self._metrics["train"][name]
        super().log(logs, *args, **kwargs)  # type: ignore[misc]
        norm = float(logs.get("grad_norm", 0.0))
        if not math.isfinite(norm):  # the weights are spoilt; the step is not saved
            raise self._spoilt(f"the gradient became {norm}", self.state.global_step)
        if "loss" in logs and self.state.is_world_process_zero:
            self.progress(self.state.global_step, self.state.max_steps)

    def _spoilt(self: Any, what: str, step: int) -> TrainingError:
        again = f"{checkpoints.kept(Path(self.args.output_dir))}. To start anew, remove {self.args.output_dir}"
        return TrainingError(f"step {step}: {what}; lower the learning rate. {again}")

    def create_scheduler(self: Any, num_training_steps: int, optimizer: Any = None) -> Any:
        """A warm-up begins at a learning rate of 0, so a training of one step has none."""
        if num_training_steps <= 1:
            self.args.warmup_steps = 0
        return super().create_scheduler(num_training_steps, optimizer)  # type: ignore[misc]

    def check_weights(self: Any) -> None:
        """Raise TrainingError where a weight is no finite number, in any process."""
        bad = not all(bool(torch.isfinite(part).all()) for part in _trained(self.model))
        if self.accelerator.reduce(torch.tensor(float(bad), device=self.accelerator.device), "sum"):
            raise self._spoilt("weights became inf or nan", self.state.global_step)

    def _save_checkpoint(self: Any, model: Any, trial: Any) -> None:
        self.check_weights()
        checkpoints.save_whole(self, super()._save_checkpoint, model, trial)  # type: ignore[misc]


class _ChainTrainer(Kept):
    """What SFT and preference training do alike: a batch of groups to per-token log-probs, exact global means."""

    loss_is_scaled_for_ga = True  # every loss is divided by totals of the global batch

    def __init__(
        self, objective: SftObjective | Objective, *, term_norms: int = 0, reference: Path | None = None,
        progress: Progress = lambda step, total: None, **kwargs: Any,
    ) -> None:  # fmt: skip
        """``term_norms``: gradient norm of each term every so many steps, 0 never; ``reference``: of reference_file.

        ``progress`` receives (step, steps in all) in the main process.
        """
        self.objective, self.term_norms, self.reference, self.progress = objective, term_norms, reference, progress
        super().__init__(**kwargs)

    def _get_num_items_in_batch(self: Any, batch_samples: list[Batch], device: Any) -> Any:
        """(2,) sequences (or pairs) and SFT targets of the global batch, over micro-batches and processes."""
        counts = torch.stack([batch["counts"] for batch in batch_samples]).sum(0).to(device)
        return self.accelerator.gather(counts[None]).sum(0)

    def _prepare_inputs(self: Any, inputs: Any) -> Any:
        """To the device, layouts too, and never cast: the Trainer would round the reference under DeepSpeed."""
        return send_to_device(inputs, self.accelerator.device)

    def compute_loss(self: Any, model: Any, inputs: Any, num_items_in_batch: Any) -> Any:
        totals = Totals(sequences=num_items_in_batch[0], tokens=num_items_in_batch[1].clamp(min=1))
        value, parts, means = self.terms(batch_logps(model, inputs), inputs, totals)
        self._log_terms(parts, means, inputs)
        # DDP takes the mean of the processes' gradients, and each holds only its share of the global sum.
        return value * self.accelerator.num_processes

    def _log_terms(self: Any, parts: dict[str, torch.Tensor], means: dict[str, torch.Tensor], inputs: Any) -> None:
        """The log takes the mean over micro-batches, so a share of a sum is entered times their number."""
        through = (inputs["layout"].ids if "layout" in inputs else inputs["input_ids"]).numel()
        counted = {"tokens/network": torch.tensor(through), "tokens/rows": inputs["attention_mask"].sum()}
        shares = {name: part.detach() for name, part in parts.items()} | means | counted
        values = torch.stack([share.float().to(self.accelerator.device) for share in shares.values()])
        metrics = self._metrics["train"]
        for name, value in zip(shares, self.accelerator.reduce(values, "sum").tolist(), strict=True):
            metrics[name].append(value * self.current_gradient_accumulation_steps)
        if self.term_norms and self.state.global_step % self.term_norms == 0:
            parameters = [p for p in self.model.parameters() if p.requires_grad]
            for name, part in parts.items():
                grads = torch.autograd.grad(part, parameters, retain_graph=True, allow_unused=True)
                norm = torch.stack([g.float().norm() for g in grads if g is not None]).norm()
                metrics[f"grad_norm/{name}"].append(float(norm))


class ChainSFTTrainer(_ChainTrainer, SFTTrainer):
    """``SFTTrainer`` on groups of chains (batches.groups_of); the loss covers the completions alone."""

    def terms(self: Any, logps: Any, inputs: Any, totals: Totals) -> Any:
        objective = self.objective
        value = sft_loss(logps, inputs["completion"], objective.normalization, totals, objective.dft)
        return value, {"sft": value}, {"completion_tokens": inputs["completion"].sum() / totals.sequences}


class PreferenceTrainer(_ChainTrainer, DPOTrainer):
    """``DPOTrainer`` on groups of chains and pairs (batches.groups_of) under an ``Objective``."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset  # rows are token ids already: what was sampled is what is trained on

    def _precompute_ref_logps(self: Any, dataset: Any, name: str, batch_size: int) -> Any:
        """The reference's per-token log-probs as a column: they serve every mask and normalisation.

        The file holds those of all chains as one row, whole or not at all; two processes may write the same file.
        """
        if self.objective.reference_free:
            return dataset
        lengths = [[len(ids) for ids in chains] for chains in dataset["chains"]]
        main = self.accelerator.is_main_process  # decides for all
        flat = torch.empty(0)
        if main:
            with contextlib.suppress(SafetensorError, OSError, KeyError):
                flat = load_file(self.reference)["logps"]
        values: Any = broadcast_object_list([flat])[0]
        if len(values) != sum(map(sum, lengths)):
            values = torch.tensor([*chain.from_iterable(self._reference_logps(dataset, batch_size))])
            if main:
                with checkpoints.writing("the reference's log-probs", Path(self.args.output_dir)):
                    self.reference.parent.mkdir(parents=True, exist_ok=True)
                    aside = self.reference.with_suffix(f".{os.getpid()}.part")
                    save_file({"logps": values}, aside)
                    os.replace(aside, self.reference)
        groups = values.split([*map(sum, lengths)])
        column = [[part.tolist() for part in group.split(sizes)] for group, sizes in zip(groups, lengths, strict=True)]
        return dataset.add_column("reference", column)

    def _reference_logps(self: Any, dataset: Any, batch_size: int) -> list[list[float]]:
        """[group][token], the group's chains one after the other; every process takes its share of the batches."""
        if any(getattr(parameter, "ds_status", None) for parameter in self.model.parameters()):
            why = "has split the model before the reference could be computed: use stage 2 or FSDP"
            raise TrainingError(f"DeepSpeed stage 3 {why}")
        device = next(self.model.parameters()).device
        self.model.to(self.accelerator.device)
        processes, process = self.accelerator.num_processes, self.accelerator.process_index
        numbered: list[tuple[int, list[float]]] = []
        self.model.eval()
        for start in range(process * batch_size, len(dataset), processes * batch_size):
            groups = [dataset[number] for number in range(start, min(start + batch_size, len(dataset)))]
            inputs = self._prepare_inputs(self.data_collator(groups))
            with torch.no_grad(), self.accelerator.autocast():
                logps = batch_logps(self.model, inputs).float()[inputs["completion"]]
            parts = torch.split(logps, [sum(map(len, group["chains"])) for group in groups])
            numbered += [(start + i, part.tolist()) for i, part in enumerate(parts)]
        self.model.to(device)
        return [values for _, values in sorted(gather_object(numbered))]

    def terms(self: Any, logps: Any, inputs: Any, totals: Totals) -> Any:
        rows, masks = pair_masks(inputs)
        reference = None if self.objective.reference_free else inputs["reference"][rows]
        value, parts = preference_loss(logps[rows], reference, masks, self.objective, totals)
        graph = {name: parts.pop(name) for name in ("preference", "sft") if name in parts}
        sizes = masks.completion.sum(1)
        chosen, rejected = sizes.chunk(2)
        parts |= {
            "tokens/chosen": chosen.sum() / totals.sequences,
            "tokens/rejected": rejected.sum() / totals.sequences,
            "shared_share": (masks.shared.sum(1) / sizes).sum() / (2 * totals.sequences),
        }
        return value, graph, parts


def reference_file(folder: Path, model: str, groups: Sequence[GroupRow], numbers: str) -> Path:
    """Where the log-probs of ``model`` on ``groups`` are kept. ``numbers``: what else changes them."""
    rows = [[group["prompt"], group["chains"]] for group in groups]
    content = json.dumps([model_digest(model), numbers, rows], separators=(",", ":"))
    return folder / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.safetensors"


def adapters(rank: int) -> LoraConfig | None:
    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM") if rank else None


def trainer_of(job: TrainingJob, groups: Sequence[GroupRow], arguments: dict[str, Any], progress: Progress) -> Any:
    """The trainer of ``job`` on ``groups``. ``arguments``: of SFTConfig or DPOConfig."""
    model, tokenizer = load_model(job.model, dtype=torch.float32), load_tokenizer(job.model)
    preference = job.objective if isinstance(job.objective, Objective) else None
    collator = Collator(pad=padding(tokenizer), choice=layout_for(job.training.layout, model), objective=preference)
    common = {
        "model": model, "processing_class": tokenizer, "train_dataset": Dataset.from_list(groups),
        "data_collator": collator, "peft_config": adapters(job.training.lora), "progress": progress,
        "objective": job.objective, "term_norms": job.training.term_norms,
    }  # fmt: skip
    trainer: Any
    if preference:
        args = DPOConfig(**arguments, precompute_ref_log_probs=True, beta=preference.beta)
        folder = job.reference or Path(args.output_dir) / "reference"
        reference = reference_file(folder, job.model, groups, f"bf16={arguments['bf16']}")
        trainer = PreferenceTrainer(reference=reference, args=args, **common)
    else:
        args = SFTConfig(**arguments, packing=False, dataset_kwargs={"skip_prepare_dataset": True})
        trainer = ChainSFTTrainer(args=args, **common)
    trainer.remove_callback(PrinterCallback)  # prints every log to stdout
    return trainer


def fit(trainer: Any, sizes: Mapping[str, int]) -> TrainingFigures:
    """Train from the last whole checkpoint on, or from the start. Raises TrainingError where no weight changed.

    ``sizes``: of the data, for the figures.
    """
    before, args = fingerprint(trainer.model), trainer.args
    with trainer.accelerator.main_process_first():
        checkpoint = checkpoints.last_complete(Path(args.output_dir))
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if fingerprint(trainer.model) == before:
        steps = f"{trainer.state.global_step} step(s) at a learning rate of at most {args.learning_rate:g}"
        raise TrainingError(f"{steps} changed no weight: {trainer.remedy}. To start anew, remove {args.output_dir}")
    history = [row for row in trainer.state.log_history if "loss" in row]
    end = history[-max(1, len(history) // 4) :]
    names = ("network", "rows", "sampled")
    through, in_rows, sampled = (int(sum(row.get(f"tokens/{name}", 0.0) for row in history)) for name in names)
    return TrainingFigures(
        **sizes,
        steps=trainer.state.global_step,
        # Not the Trainer's own mean, which after a resumption covers the resumed part alone.
        loss=round(sum(row["loss"] for row in history) / len(history), 4) if history else 0.0,
        last=_means(history[-1:]),
        end=_means(end),
        torch=torch.__version__,
        tokens_through_network=through,
        tokens_in_rows=in_rows,
        sampled_tokens=sampled or None,
        processes=trainer.accelerator.num_processes,
    )


def _means(history: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Means of what some steps logged, of the figures that all of them have."""
    names = [name for name, value in (history or [{}])[-1].items() if isinstance(value, float)]
    shared = [name for name in names if all(name in row for row in history)]
    return {name: round(sum(row[name] for row in history) / len(history), 4) for name in shared}


def fingerprint(model: Any) -> list[int]:
    """One number for each trained tensor, the sum of its bits: another number where a weight is another."""
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return [int(part.view(bits[part.element_size()]).sum(dtype=torch.int64)) for part in _trained(model)]


def _trained(model: Any) -> Iterator[Any]:
    """The trained tensors, of sharded ones the part that this process holds."""
    parts = (parameter.detach() for parameter in model.parameters() if parameter.requires_grad)
    return (part.to_local() if hasattr(part, "to_local") else part for part in parts)


def pair_masks(inputs: Batch) -> tuple[torch.Tensor, Masks]:
    """(2P,) the pairs' rows of a batch, first the chosen, and (2P, T - 1) their masks."""
    rows = inputs["pairs"].T.flatten()
    completion = inputs["completion"][rows]
    number = completion.cumsum(1)  # 1 at the first completion token
    return rows, Masks(completion=completion, shared=completion & (number <= inputs["fork"].repeat(2)[:, None]))
