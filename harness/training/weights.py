"""Whether a training changed its weights, and left them numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import TrainingError
from harness.training import checkpoints


def fingerprint(model: Any) -> list[int]:
    """One number for each trained tensor, the sum of its bits: another number where a weight is another."""
    import torch

    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return [int(part.view(bits[part.element_size()]).sum(dtype=torch.int64)) for part in _trained(model)]


def refuse_unchanged(trainer: Any, before: list[int]) -> None:
    """Raises TrainingError where every weight is what it was at ``before``, the start."""
    if fingerprint(trainer.model) == before:
        steps, args = trainer.state.global_step, trainer.args
        raise TrainingError(
            f"{steps} step(s) at a learning rate of at most {args.learning_rate:g} changed no weight: raise the "
            f"learning rate or train for more steps. To start anew, remove {args.output_dir}"
        )


def refuse_spoilt(trainer: Any) -> None:
    """Raises TrainingError where a weight is no finite number; every process takes part."""
    import torch

    spoilt = torch.tensor(float(not all(bool(torch.isfinite(part).all()) for part in _trained(trainer.model))))
    accelerator = trainer.accelerator
    if accelerator.num_processes > 1:
        spoilt = accelerator.reduce(spoilt.to(accelerator.device), "sum")
    if float(spoilt):
        folder = trainer.args.output_dir
        raise TrainingError(
            f"step {trainer.state.global_step}: weights became inf or nan; lower the learning rate. "
            f"{checkpoints.kept(Path(folder))}. To start anew, remove {folder}"
        )


def _trained(model: Any) -> Iterator[Any]:
    """The trained tensors, of sharded ones the part that this process holds."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            part = parameter.detach()
            yield part.to_local() if hasattr(part, "to_local") else part
