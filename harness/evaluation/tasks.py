"""The tasks of a plan as lm-eval's objects, and which of their documents are asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from lm_eval import evaluator
from lm_eval.api import task as lm_eval_task
from lm_eval.tasks import TaskManager

from harness.errors import DataError
from harness.evaluation.plan import Document, EvalPlan, has_grader
from harness.evaluation.spec import Selection
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
        for name, task in tasks.items():
            graded_here = task.config.process_results is process_results or any(map(has_grader, documents[name]))
            if graded_here and not is_ours(name.removeprefix("harness_")):
                check_documents(name, documents[name])
            if (kind := task.OUTPUT_TYPE) != "generate_until":
                raise DataError(f"{name}: scores log-likelihoods ({kind}); harness evaluates generated text")
            task.set_config("repeats", plan.decoding.samples)
    return tasks


def chosen(tasks: Mapping[str, Any], selection: Selection) -> dict[str, list[int]] | None:
    """Numbers of the documents that a run asks about, by lm-eval's task name; None: all. Raises DataError."""
    if not selection.names:
        limited = {name: [*range(len(task.eval_docs))[: selection.limit]] for name, task in tasks.items()}
        return limited if selection.limit else None
    picked, unknown = {}, set(selection.names)
    for name, task in tasks.items():
        rows = list(task.eval_docs)
        ids = [{str(row.get("id", "")), str(row.get("native_id", ""))} for row in rows]
        if not (numbers := selection.numbers(ids)):
            first = rows[0].get("id", 0) if rows else "none"
            raise DataError(f"{name}: no problem has an id of {', '.join(selection.names)}; first id: {first}")
        unknown -= set(map(str, range(len(rows)))).union(*ids)
        picked[name] = _with_earlier_turns(rows, numbers)
    if unknown:
        raise DataError(f"no problem has an id of {', '.join(sorted(unknown))}")
    return picked


def _with_earlier_turns(documents: Sequence[Document], picked: list[int]) -> list[int]:
    """The picked documents and, of conversations, the turns before them, whose answers a later turn is given."""
    last: dict[str, int] = {}
    for document in (documents[i] for i in picked if "conversation" in documents[i]):
        last[document["conversation"]] = max(last.get(document["conversation"], 0), int(document["turn"]))
    earlier = {i for i, doc in enumerate(documents) if last and int(doc["turn"]) < last.get(doc["conversation"], 0)}
    return sorted(earlier.union(picked))
