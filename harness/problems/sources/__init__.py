"""Problems to search for training data: of training splits, and drawn by rule; the prompts are the evaluation's own.

A source gives its problems one after the other: which one is number k depends on the seed alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from harness.problems.benchmarks import math
from harness.problems.benchmarks.files import Loaders
from harness.problems.sources import instructions, planning
from harness.records import Problem

# (seed, --data-dir or None for the hub); raises DataError where its data are not to be had.
Source = Callable[[int, str | None], Iterator[Problem]]

_SPLITS: Loaders = {"gsm8k": math.EXAMPLES["gsm8k"], "math": math.EXAMPLES["math500"]}


def _split(name: str, seed: int, data_dir: str | None) -> Iterator[Problem]:
    """A training split in a drawn order."""
    problems = _SPLITS[name](data_dir)
    for problem in random.Random(f"{name}/{seed}").sample(problems, len(problems)):
        number = problem.native_id.rpartition("/")[2]
        yield problem.model_copy(update={"id": f"{name}-train-{number}", "split": "search"})


SOURCES: dict[str, Source] = {
    "gsm8k": lambda seed, data_dir: _split("gsm8k", seed, data_dir),
    "math": lambda seed, data_dir: _split("math", seed, data_dir),
    "planning": lambda seed, data_dir: planning.drawn(seed),
    "instructions": lambda seed, data_dir: instructions.drawn(seed),
}
