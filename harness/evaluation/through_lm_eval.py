"""Tasks that lm-eval has to read: its own, and the user's task files. It builds their prompts and scores them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from lm_eval import evaluator
from lm_eval.api import task as lm_eval_task
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from harness.errors import DataError
from harness.evaluation.bridge import Bridge, Documents, has_grader
from harness.evaluation.plan import Document, EvalPlan
from harness.models.base import Place
from harness.problems.file import check_documents
from harness.problems.load import is_ours, process_results
from harness.problems.registry import include_paths
from harness.records import Grade


class HarnessLM(Bridge, LM):
    """The bridge as lm-eval's model. ``tasks``: lm-eval's task objects."""

    tokenizer_name = ""  # names a cache of requests, which is not used

    def __init__(self, tasks: dict[str, Any], **settings: Any) -> None:
        super().__init__(**settings)
        self.tasks = tasks

    def ask(
        self, documents: Documents, picked: dict[str, list[int]] | None, is_correct: Callable[[str, str], bool]
    ) -> tuple[dict[str, float | None], dict[Place, Grade]]:
        """As ``Bridge.ask``, but lm-eval builds the prompts, scores its own tasks and sums up."""

        def scored(document: Document, results: list[str]) -> dict[str, float]:
            """lm-eval's scoring hook: the verdict on this text (its own hook would grade it again)."""
            return {"acc": float(is_correct(document["id"], results[0]))}

        for name, task in self.tasks.items():
            if name not in self.visible:
                task.set_config("process_results", scored)
        with quiet_lm_eval():
            results = evaluator.evaluate(
                self, {"tasks": self.tasks, "groups": {}}, bootstrap_iters=0, log_samples=True, samples=picked,
                apply_chat_template=self.chat, system_instruction=self.prompting.system,
            )  # fmt: skip
        assert results is not None
        logged = {(name, entry["doc_id"]): entry for name, entries in results["samples"].items() for entry in entries}
        foreign = (place for place, each in self.generated.items() if not has_grader(each.document))
        scores = {
            name: next((v for k, v in values.items() if k.split(",")[0] in ("acc", "exact_match")), None)
            for name, values in results["results"].items()
        }
        return scores, {place: _verdict(logged[place.task, place.document]) for place in foreign}

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        raise NotImplementedError("harness scores generated text; this task asks for log-likelihoods")

    loglikelihood_rolling = loglikelihood


def _verdict(entry: Mapping[str, Any]) -> Grade:
    """lm-eval's first number for an item of its own task, as a verdict."""
    names = [name for name in entry.get("metrics", []) if isinstance(entry.get(name), int | float)]
    if not names:
        return Grade(verdict="infra_error", reason="lm-eval gave no number for this item")
    value = float(entry[names[0]])
    return Grade(verdict="correct" if value >= 1.0 else "wrong", reason=f"lm-eval's {names[0]} is {value:g}")


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
