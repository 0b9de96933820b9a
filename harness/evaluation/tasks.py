"""The tasks of a plan as lm-eval's objects."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from lm_eval import evaluator
from lm_eval.api import task as lm_eval_task
from lm_eval.tasks import TaskManager

from harness.errors import DataError
from harness.evaluation.plan import EvalPlan, has_grader
from harness.grading.gym import GYM
from harness.problems.file import check_documents
from harness.problems.load import is_ours, process_results
from harness.problems.registry import include_paths


@contextmanager
def quiet_lm_eval() -> Iterator[None]:
    """lm-eval without its own log, progress bars and question to git, which complains outside a repository."""
    with ExitStack() as undo:
        undo.callback(setattr, evaluator, "get_git_commit_hash", evaluator.get_git_commit_hash)
        undo.callback(setattr, lm_eval_task, "tqdm", lm_eval_task.tqdm)
        evaluator.get_git_commit_hash, lm_eval_task.tqdm = lambda: None, lambda items, **_: items
        for logger in map(logging.getLogger, ("lm_eval", "lm-eval")):
            undo.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        yield


def load_tasks(plan: EvalPlan) -> dict[str, Any]:
    """lm-eval's task objects by their lm-eval names, set to this run's number of samples. Raises DataError."""
    if drawn := [task.name for task in plan.tasks if task.name.startswith(GYM)]:
        raise DataError(f"{drawn[0]}: has no task file for lm-eval, which --few-shot and tasks not of ours need")
    with quiet_lm_eval():
        manager = TaskManager(
            include_path=[str(path) for path in include_paths(plan.task_paths)],
            include_defaults=any(task.file is None for task in plan.tasks), metadata=plan.data.given(),
        )  # fmt: skip
        try:
            tasks = dict(manager.load([task.lm_eval_name for task in plan.tasks])["tasks"])
            documents = {name: list(task.eval_docs) for name, task in tasks.items()}
        except DataError:
            raise
        except Exception as error:  # lm-eval and datasets fail in many ways at broken task files and data
            cause = " ".join(str(error.__cause__ or error).split())[:200]
            why = cause or f"{type(error).__name__}; is its file empty?"
            raise DataError(f"{', '.join(task.name for task in plan.tasks)}: cannot be loaded ({why})") from error
        names = {task.lm_eval_name: task.name for task in plan.tasks}
        for name, task in tasks.items():
            graded_here = task.config.process_results is process_results or any(map(has_grader, documents[name]))
            if graded_here and not is_ours(name.removeprefix("harness_")):
                check_documents(name, documents[name])
            if (kind := task.OUTPUT_TYPE) != "generate_until":
                raise DataError(f"{name}: scores log-likelihoods ({kind}); harness evaluates generated text")
            task.set_config("repeats", plan.decoding.repeats(names[name]))
    return tasks
