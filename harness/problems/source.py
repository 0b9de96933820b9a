"""The problems that a command names: lines of a file, or tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import Usage
from harness.problems.embedded import FAMILIES
from harness.problems.file import read_problems
from harness.problems.load import load
from harness.problems.registry import select
from harness.records import Problem
from harness.spec import Spec, knob


class Source(Spec):
    """Where problems come from: a file, or tasks."""

    problems: Path | None = knob(None, "JSONL, CSV or Parquet: 'prompt', 'gold' (and 'id', 'family').")
    family: str | None = knob(None, "Family or grader of rows without one.")
    tasks: str = knob("", "Tasks instead of a file, separated by commas; embedded ones give their search split.")
    limit: int | None = knob(None, "Problems of each task, or rows.", ge=1)
    data_dir: Path | None = knob(None, "Where benchmark files lie; without it the hub is asked.")


class Problems:
    """The problems of a source, read again at each iteration (those of a pipe and of tasks are held).

    What is wrong with any of them is found at once. Raises Usage for none, or for a source that names both or neither,
    DataError for broken rows; ``warn`` receives the names of tasks whose problems are meant for tests.
    """

    def __init__(self, source: Source, warn: Callable[[str], None] = lambda task: None) -> None:
        if (source.problems is None) == (not source.tasks):
            raise Usage("give either --problems FILE or --tasks NAMES")
        self.source = source
        file = source.problems
        held = file is None or (file.exists() and not file.is_file())
        self._held = list(self._read(warn)) if held else None
        if not sum(1 for _ in self):
            raise Usage(f"{file or source.tasks}: holds no problems")

    def __iter__(self) -> Iterator[Problem]:
        return self._read() if self._held is None else iter(self._held)

    def _read(self, warn: Callable[[str], None] = lambda task: None) -> Iterator[Problem]:
        source, limit = self.source, self.source.limit
        if source.problems is not None:
            yield from read_problems(source.problems, source.family, limit)
            return
        for task in select([name.strip() for name in source.tasks.split(",") if name.strip()], None, []):
            if task.name not in FAMILIES:
                warn(task.name)
            yield from load(task.name, split="search", count=limit, limit=limit, data_dir=source.data_dir)
