"""Trainings for tests, with the settings that most of them share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.training.spec import Objective, SftObjective, TrainingFigures, TrainingSpec
from harness.training.train import train


def sft(
    model: str, rows: Any, out: Path, *, mean: str = "token_mean", seed: int = 0, spec: TrainingSpec, **more: Any
) -> TrainingFigures:
    """SFT with seed 0."""
    objective = SftObjective(normalization=mean)  # type: ignore[arg-type]
    return train(model=model, rows=rows, objective=objective, training=spec, seed=seed, out=out, **more)


def preference(
    model: str, pairs: Any, out: Path, *, objective: Objective, seed: int = 0, spec: TrainingSpec, **more: Any
) -> TrainingFigures:
    """Preference training with seed 0."""
    return train(model=model, rows=pairs, objective=objective, training=spec, seed=seed, out=out, **more)


def changed(spec: Any, **fields: Any) -> Any:
    """A spec with other values, validated."""
    return type(spec)(**spec.model_dump() | fields)
