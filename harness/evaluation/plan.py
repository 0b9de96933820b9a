"""What a run consists of, beside its model: tasks, problems, prompting, decoding. Plain data, light to import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import JournalBroken
from harness.evaluation.response_metrics import METRICS
from harness.evaluation.spec import Decoding, ProblemData, Selection
from harness.files import reason_of
from harness.journal import read
from harness.models.base import Plain, Sampler
from harness.models.prompts import DEFAULT
from harness.models.spec import Prompting
from harness.problems.registry import Task
from harness.records import Sample

# A row of a task's data set, as lm-eval hands it over.
Document = dict[str, Any]
Documents = dict[str, list[Document]]  # of each task by its lm-eval name, in the order in which the tasks were named
# (samples done, samples in all, tokens so far)
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, kw_only=True)
class EvalPlan:
    tasks: Sequence[Task]
    decoding: Decoding = field(default_factory=Decoding)
    prompting: Prompting = DEFAULT
    selection: Selection = field(default_factory=Selection)
    data: ProblemData = field(default_factory=ProblemData)
    task_paths: Sequence[Path] = ()
    sampler: Sampler = field(default_factory=Plain)


def has_grader(document: Document) -> bool:
    """Whether a document is one of ours, with a gold answer for a grader of ours; lm-eval scores the others."""
    return "family" in document and "gold" in document


def load_samples(folder: Path) -> list[Sample]:
    """Samples of a finished run or stage. Raises JournalBroken for a file that is cut or of another version."""
    file = folder / "samples.jsonl"
    try:
        samples = [Sample.model_validate(entry) for entry in read(file, whole=True)]
        unknown = {name for sample in samples for name in sample.metrics.model_extra or ()} - METRICS.keys()
        reason = f"metrics.{min(unknown)}: no metric of this version" if unknown else ""
    except ValidationError as error:
        reason = reason_of(error)
    if reason:
        raise JournalBroken(f"{file}: not samples of this version ({reason}); run the evaluation again")
    return samples
