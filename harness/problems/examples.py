"""Examples for few-shot prompts: problems of a task's own that it does not ask, with worked answers."""

from __future__ import annotations

import random
import re
from pathlib import Path

from harness.errors import DataError
from harness.grading.families import kind_of
from harness.problems.benchmarks import math
from harness.problems.embedded import FAMILIES, mini_premise, problems
from harness.records import Problem

_POOL = 64  # problems of a generated task to choose from


def examples(task: str, data_dir: str | Path | None = None, count: int | None = None) -> list[Problem]:
    """Problems that one of our tasks may show: training problems, those of another split, or those after ``count``.

    Raises DataError for a task without any, and where its data are not to be had.
    """
    if task in FAMILIES:
        return problems(task, "search", _POOL)
    if task == mini_premise.NAME:
        return mini_premise.problems("search", _POOL)
    if task == "letter_count":
        asked = count or 200
        return math.letter_count(min(900, asked + _POOL), 0)[asked:]
    if task not in math.EXAMPLES:
        raise DataError(f"{task}: has no examples to show; --few-shot is for tasks with a split of their own for them")
    return math.EXAMPLES[task](None if data_dir is None else str(data_dir))


def solution(problem: Problem) -> str:
    """A worked answer in the form that the prompt asks for. Raises DataError where its gold answer holds none."""
    family, gold = problem.family, problem.gold
    if gold.get("half") == "complete":  # of mini_premise
        family, gold = gold["family"], gold["gold"]
    if family in FAMILIES and gold.keys() & {"steps", "init", "spec"}:  # drawn here
        steps, answer, _, _ = FAMILIES[family].attempt(gold, random.Random(0), False, 0.0)
        return f"{steps} {answer}" if kind_of(family) == "number" else str(answer)
    made = gold.get("reference")
    if made is None and "answer" in gold:
        made = f"\\boxed{{{gold['answer']}}}"
    if not made:
        raise DataError(f"{problem.id}: has no worked answer to show (gold needs 'reference' or 'answer')")
    text = made if isinstance(made, str) else "\n".join(made)
    steps, marks, last = re.sub(r"<<.*?>>", "", text).rpartition("####")  # GSM8K's notes for a calculator
    return f"{steps.rstrip()}\nThe answer is \\boxed{{{last.strip()}}}." if marks else text
