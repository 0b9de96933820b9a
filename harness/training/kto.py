"""TRL's ``KTOTrainer`` on our rows of token ids: chains that are desirable or not, each by itself (arXiv 2402.01306).

The reference is the starting model. The pull to it is estimated on prompts with other rows' completions: over all rows
of a step here, so that it is the same however a step is split into passes and processes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import PrinterCallback
from trl import KTOConfig, KTOTrainer

from harness.errors import TrainingError
from harness.models.loading import load_model, load_tokenizer
from harness.training.batches import passes
from harness.training.spec import KtoObjective, TrainingJob
from harness.training.trainer import Kept, Progress, adapters

KtoRow = tuple[Sequence[int], Sequence[int], bool]  # prompt, completion, whether it is desirable


def kto_rows(rows: Sequence[KtoRow], epochs: float, batch: int, seed: int) -> list[dict[str, Any]]:
    """The rows of all passes in the order of training, each with the completion of the row before it in its batch."""
    order = [rows[number] for number in passes(len(rows), epochs, batch, seed)]
    others = [order[at - 1] if at % batch else order[at + batch - 1] for at in range(len(order))]
    return [
        {"prompt_ids": prompt, "completion_ids": ids, "label": label, "KL_completion_ids": other[1]}
        for (prompt, ids, label), other in zip(order, others, strict=True)
    ]


class UnpairedTrainer(Kept, KTOTrainer):
    """``KTOTrainer`` on rows of token ids."""

    unread = ("num_tokens",)  # begins anew in a training that goes on

    def __init__(self, *, progress: Progress = lambda step, total: None, **kwargs: Any) -> None:
        self.progress = progress
        super().__init__(**kwargs)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset  # rows are token ids already: what was sampled is what is trained on

    def _get_num_items_in_batch(self: Any, batch_samples: list[Any], device: Any) -> None:
        """Estimate the divergence on all rows of the step."""
        with torch.no_grad():
            moved = [self._moved(self._prepare_inputs(batch)) for batch in batch_samples]
        self._divergence = self.accelerator.gather(torch.cat(moved)).mean()

    def _moved(self: Any, inputs: Any) -> Any:
        return super()._compute_kl_logps(self.model_wrapped, inputs) - inputs["ref_KL_logps"]

    def _compute_kl_logps(self: Any, model: Any, batch: Any) -> Any:
        """Such that their mean change against the reference is the one of the whole step."""
        return batch["ref_KL_logps"] + self._divergence

    def compute_loss(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        network = inputs["input_ids"].numel() + inputs["KL_input_ids"].numel()
        counts = torch.stack([inputs["attention_mask"].sum(), inputs["label"].new_tensor(network, dtype=torch.long)])
        totals = self.accelerator.reduce(counts, "sum") * self.current_gradient_accumulation_steps
        for name, total in zip(("rows", "network"), totals.tolist(), strict=True):  # the log takes means over passes
            self._metrics["train"][f"tokens/{name}"].append(float(total))
        return super().compute_loss(model, inputs, *args, **kwargs)


def trainer_of(job: TrainingJob, rows: Sequence[KtoRow], arguments: dict[str, Any], progress: Progress) -> Any:
    """The trainer of ``job``. ``arguments``: what TRL's configurations have in common. Raises TrainingError."""
    assert isinstance(job.objective, KtoObjective)
    micro = arguments["per_device_train_batch_size"]
    if micro < 2 or len({row[2] for row in rows}) < 2:
        what = "2 rows a pass or more (--batch-size, --micro-batch)" if micro < 2 else "desirable and undesirable rows"
        raise TrainingError(f"KTO needs {what}")
    batch = micro * arguments["gradient_accumulation_steps"] * int(os.environ.get("WORLD_SIZE", "1"))
    os.environ.setdefault("TQDM_DISABLE", "1")  # TRL's bars, and those of datasets, would run through our lines
    disable_progress_bars()
    args = KTOConfig(
        **arguments | {"num_train_epochs": 1}, beta=job.objective.beta, precompute_ref_log_probs=True,
        desirable_weight=job.objective.desirable, undesirable_weight=job.objective.undesirable,
    )  # fmt: skip
    trainer = UnpairedTrainer(
        model=load_model(job.model, dtype=torch.float32), processing_class=load_tokenizer(job.model), args=args,
        train_dataset=Dataset.from_list(kto_rows(rows, job.training.epochs, batch, job.seed)), progress=progress,
        peft_config=adapters(job.training.lora),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer
