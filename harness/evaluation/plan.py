"""What a run consists of, beside its model: tasks, problems, prompting, decoding. Plain data, light to import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import JournalBroken
from harness.evaluation.response_metrics import METRICS
from harness.evaluation.spec import Decoding, Selection
from harness.files import reason_of
from harness.journal import read_whole
from harness.models.prompts import DEFAULT
from harness.models.sampling import Plain, Sampler
from harness.models.spec import Prompting
from harness.problems.registry import Task
from harness.records import Sample

# (samples done, samples in all, tokens so far)
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, kw_only=True)
class EvalPlan:
    """``settings`` reach the tasks' loaders (data_dir, split, count). ``sampler``: how samples are drawn."""

    tasks: Sequence[Task]
    decoding: Decoding = field(default_factory=Decoding)
    prompting: Prompting = DEFAULT
    selection: Selection = field(default_factory=Selection)
    settings: dict[str, Any] = field(default_factory=dict)
    task_paths: Sequence[Path] = ()
    sampler: Sampler = field(default_factory=Plain)


def nltk_data(settings: dict[str, Any]) -> Path | None:
    """NLTK's data beside the benchmark files, if they hold any."""
    folder = Path(settings["data_dir"]) / "nltk_data" if settings.get("data_dir") else None
    return folder if folder is not None and folder.is_dir() else None


def load_samples(folder: Path) -> list[Sample]:
    """Samples of a finished run or stage. Raises JournalBroken for a file that is cut or of another version."""
    file = folder / "samples.jsonl"
    try:
        samples = [Sample.model_validate(entry) for entry in read_whole(file)]
        unknown = {name for sample in samples for name in sample.metrics.model_extra or ()} - METRICS.keys()
        reason = f"metrics.{min(unknown)}: no metric of this version" if unknown else ""
    except ValidationError as error:
        reason = reason_of(error)
    if reason:
        raise JournalBroken(f"{file}: not samples of this version ({reason}); run the evaluation again")
    return samples
