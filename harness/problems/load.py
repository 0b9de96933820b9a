"""The one door to the problems of our tasks, and the hooks by which lm-eval's task files come to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.problems.benchmarks.files import Loaders
from harness.problems.embedded import FAMILIES, problems
from harness.problems.letter_count import letter_count
from harness.records import Problem, Split


def load(
    task: str, *, split: Split = "eval", count: int | None = None, limit: int | None = None, problem_seed: int = 0,
    data_dir: str | Path | None = None,
) -> list[Problem]:  # fmt: skip
    """The problems of one of our tasks (see ``is_ours``), at most ``limit`` of them.

    ``split``, ``count`` (default 300; letter_count 200) and ``problem_seed`` say which problems a generated task draws;
    a published benchmark is always whole, and read from ``data_dir`` or the hub. Raises DataError when its data are not
    to be had.
    """
    if task in FAMILIES:
        return problems(task, split, count or 300, problem_seed)[:limit]
    if task == "letter_count":
        return letter_count(count or 200, problem_seed)[:limit]
    return _benchmarks()[task](None if data_dir is None else str(data_dir))[:limit]


def is_ours(task: str) -> bool:
    """Whether ``load`` knows this task."""
    return task in FAMILIES or task == "letter_count" or task in _benchmarks()


def _benchmarks() -> Loaders:
    from harness.problems.benchmarks import instructions, math, planbench

    return {**math.LOADERS, **planbench.LOADERS, **instructions.LOADERS}


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
