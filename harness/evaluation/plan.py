"""What a run consists of, beside its model: tasks, problems, prompting, decoding. Plain data, light to import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import JournalBroken
from harness.journal import read_whole
from harness.models.prompts import DEFAULT
from harness.models.spec import Prompting
from harness.problems.registry import Task
from harness.records import Sample

# (samples done, samples in all, tokens so far)
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Decoding:
    """Sampling settings of a run. ``max_tokens`` covers thinking and answer; None leaves it to the task.

    ``samples`` per problem; each has its own seed, derived from the run's seed, the prompt and the sample's index.
    """

    max_tokens: int | None = 512
    temperature: float = 0.6
    top_p: float = 1.0
    seed: int = 0
    samples: int = 1


@dataclass(frozen=True)
class Selection:
    """Which problems of each task: the first ``limit``, or those whose id, native id or number is in ``ids``."""

    limit: int | None = None
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class TreeDecoding:
    """Search at test time: ``budget`` answers a problem, from one tree by this grammar. No gold answer is looked at."""

    budget: int
    grammar: str = "embedded"
    in_flight: int = 4


@dataclass(frozen=True)
class EvalPlan:
    """``settings`` reach the tasks' loaders (data_dir, split, count). ``tree``: search instead of plain sampling."""

    tasks: Sequence[Task]
    decoding: Decoding
    prompting: Prompting = DEFAULT
    selection: Selection = Selection()
    settings: dict[str, Any] = field(default_factory=dict)
    task_paths: Sequence[Path] = ()
    tree: TreeDecoding | None = None


def nltk_data(settings: dict[str, Any]) -> Path | None:
    """NLTK's data beside the benchmark files, if they hold any."""
    folder = Path(settings["data_dir"]) / "nltk_data" if settings.get("data_dir") else None
    return folder if folder is not None and folder.is_dir() else None


def load_samples(folder: Path) -> list[Sample]:
    """Samples of a finished run or stage. Raises JournalBroken for a file that is cut or of another version."""
    file = folder / "samples.jsonl"
    try:
        return [Sample.model_validate(entry) for entry in read_whole(file)]
    except ValidationError as error:
        why = error.errors()[0]
        where = ".".join(map(str, why["loc"]))
        raise JournalBroken(
            f"{file}: not samples of this version ({where}: {why['msg']}); run the evaluation again"
        ) from None
