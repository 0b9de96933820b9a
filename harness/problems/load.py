"""The problems of our tasks, those that a command names, and the hooks by which lm-eval's task files come to ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from harness.errors import Usage
from harness.grading.gym import GYM
from harness.problems import reasoning_gym
from harness.problems.benchmarks import instructions, math, mgsm, planbench, translation
from harness.problems.embedded import FAMILIES, mini_premise, problems
from harness.problems.file import read_problems
from harness.problems.registry import select
from harness.records import Problem, Split
from harness.spec import Spec, knob

_BENCHMARKS = math.LOADERS | mgsm.LOADERS | planbench.LOADERS | instructions.LOADERS | translation.LOADERS


def load(
    task: str, *, split: Split = "eval", count: int | None = None, limit: int | None = None, problem_seed: int = 0,
    data_dir: str | Path | None = None,
) -> list[Problem]:  # fmt: skip
    """The problems of one of our tasks (see ``is_ours``), at most ``limit`` of them.

    ``split``, ``count`` (default 300; letter_count and reasoning_gym:NAME 200) and ``problem_seed`` say which problems
    a generated task draws; a published benchmark is always whole, and read from ``data_dir`` or the hub. Raises
    DataError when its data are not to be had.
    """
    if task in FAMILIES:
        return problems(task, split, count or 300, problem_seed)[:limit]
    if task == mini_premise.NAME:
        return mini_premise.problems(split, count or 300, problem_seed)[:limit]
    if task == "letter_count":
        return math.letter_count(count or 200, problem_seed)[:limit]
    if task.startswith(GYM):
        return list(islice(reasoning_gym.drawn(task, split, problem_seed), min(count or 200, limit or count or 200)))
    return _BENCHMARKS[task](None if data_dir is None else str(data_dir))[:limit]


def is_ours(task: str) -> bool:
    """Whether ``load`` knows this task."""
    return task in (*FAMILIES, mini_premise.NAME, "letter_count", *_BENCHMARKS) or task.startswith(GYM)


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
        file = source.problems
        if (file is None) == (not source.tasks):
            raise Usage("give either --problems FILE or --tasks NAMES")
        self._read: Callable[[], Iterator[Problem]] = partial(_of_tasks, source, warn)
        if file is not None:
            self._read = partial(read_problems, file, source.family, source.limit)
        if file is None or (file.exists() and not file.is_file()):
            self._read = list(self._read()).__iter__
        if not sum(1 for _ in self):
            raise Usage(f"{file or source.tasks}: holds no problems")

    def __iter__(self) -> Iterator[Problem]:
        return self._read()


def _of_tasks(source: Source, warn: Callable[[str], None]) -> Iterator[Problem]:
    limit = source.limit
    for task in select([name.strip() for name in source.tasks.split(",") if name.strip()], None):
        if task.name not in (*FAMILIES, mini_premise.NAME) and not task.name.startswith(GYM):
            warn(task.name)
        yield from load(task.name, split="search", count=limit, limit=limit, data_dir=source.data_dir)


# --- lm-eval's side: what the task files name with ``!function`` ------------------------------------------------------


def dataset(
    task: str, *, data_dir: str | None = None, split: Split = "eval", count: int | None = None, problem_seed: int = 0,
    **_: Any,
) -> dict[str, Any]:  # fmt: skip
    """lm-eval's data set of one of our tasks. Metadata meant for other tasks is ignored."""
    from datasets import Dataset

    rows = load(task, split=split, count=count, problem_seed=problem_seed, data_dir=data_dir)
    return {"test": Dataset.from_list([problem.document() for problem in rows])}


def process_results(doc: Mapping[str, Any], results: list[str]) -> dict[str, float]:
    """lm-eval's scoring hook: accuracy from our grader, on the text alone."""
    from harness.grading.grade import shared_grader

    problem = Problem.of_document(doc)
    return {"acc": float(shared_grader().grade(problem.family, problem.gold, results[0]).correct)}
