"""Trainings for tests, with the settings that most of them share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.training.spec import Objective, SftObjective, TrainingFigures, TrainingJob, TrainingSpec
from harness.training.train import Progress, train


def sft(model: str, rows: Any, out: Path, *, mean: str = "token_mean", **more: Any) -> TrainingFigures:
    """SFT with seed 0."""
    return _train(model, rows, out, objective=SftObjective(normalization=mean), **more)  # type: ignore[arg-type]


def preference(model: str, pairs: Any, out: Path, *, objective: Objective, **more: Any) -> TrainingFigures:
    """Preference training with seed 0."""
    return _train(model, pairs, out, objective=objective, **more)


def _train(
    model: str, rows: Any, out: Path, *, spec: TrainingSpec, progress: Progress = lambda step, total: None, **more: Any
) -> TrainingFigures:
    return train(TrainingJob(model=model, data=Path("in memory"), out=out, training=spec, **more), rows, progress)


def changed(spec: Any, **fields: Any) -> Any:
    """A spec with other values, validated."""
    return type(spec)(**spec.model_dump() | fields)
