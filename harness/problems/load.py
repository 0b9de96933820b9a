"""Loaders behind the task files: lm-eval documents with ``id``, ``family``, ``prompt`` and ``gold`` (JSON)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from harness.errors import DataError
from harness.problems.embedded import FAMILIES, problems

__all__ = ["DataError", "benchmark", "documents", "embedded", "letters", "process_results"]


def _dataset(rows: list[dict[str, Any]]) -> dict[str, Any]:
    from datasets import Dataset

    return {"test": Dataset.from_list(rows)}


def documents(
    task: str,
    data_dir: str | None = None,
    split: str = "eval",
    count: int | None = None,
    problem_seed: int = 0,
    **_: Any,
) -> list[dict[str, Any]]:
    """The documents of one of our tasks by its short name. Raises DataError when their data is not to be had."""
    if task in FAMILIES:
        rows = problems(task, split, count or 300, problem_seed)  # type: ignore[arg-type]
        return [
            {
                "id": p.id,
                "family": task,
                "prompt": p.prompt,
                "gold": json.dumps(p.gold),
                "native_id": p.id,
                "source": p.prompt,
            }
            for p in rows
        ]
    if task == "letter_count":
        from harness.problems.letter_count import letter_count

        return letter_count(count or 200, problem_seed)
    return _benchmarks()[task](data_dir)


def is_ours(task: str) -> bool:
    """Whether ``documents`` knows this task."""
    return task in FAMILIES or task == "letter_count" or task in _benchmarks()


def _benchmarks() -> dict[str, Callable[[str | None], list[dict[str, Any]]]]:
    from harness.problems.benchmarks import instructions, math, planbench

    return {**math.LOADERS, **planbench.LOADERS, **instructions.LOADERS}


def embedded(family: str, **settings: Any) -> dict[str, Any]:
    """Documents of an embedded family, for lm-eval. Metadata meant for other tasks is ignored."""
    return _dataset(documents(family, **settings))


def benchmark(task: str, data_dir: str | None = None, **_: Any) -> dict[str, Any]:
    """Documents of a published benchmark, for lm-eval."""
    return _dataset(documents(task, data_dir))


def letters(**settings: Any) -> dict[str, Any]:
    return _dataset(documents("letter_count", **settings))


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """lm-eval's scoring hook: accuracy from our grader, on the text alone."""
    from harness.grading.grade import shared_grader

    grade = shared_grader().grade(doc["family"], json.loads(doc["gold"]), results[0])
    return {"acc": float(grade.correct)}
