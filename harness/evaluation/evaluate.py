"""One run: a model on tasks with one decoding configuration, to graded samples on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import DataError, Incomplete
from harness.evaluation.bridge import Bridge, Documents, has_grader
from harness.evaluation.measuring import Generated, Measurer
from harness.evaluation.plan import Document, EvalPlan, Progress
from harness.evaluation.spec import Selection
from harness.grading.families import FAMILIES
from harness.journal import write_rows
from harness.models.base import Completer, Place
from harness.problems.load import load
from harness.records import Sample


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A finished run. ``lm_eval``: lm-eval's own score of each task, where it gives one; ``seconds``: wall time."""

    samples: list[Sample]
    lm_eval: dict[str, float | None]
    seconds: float


def evaluate(
    completer: Completer, tokenizer: Any, plan: EvalPlan, folder: Path,
    progress: Progress = lambda done, total, tokens: None,
) -> Evaluated:  # fmt: skip
    """Run ``plan`` and write ``problems.jsonl`` and ``samples.jsonl`` into ``folder``.

    A killed run goes on from its journal, ``generated.jsonl``. Raises Incomplete when model calls failed for good,
    GraderBroken when grading is impossible.
    """
    started = time.monotonic()
    documents, bridge_of = _read(plan)
    names = {task.lm_eval_name: task.name for task in plan.tasks}
    bridge = bridge_of(
        completer=completer, tokenizer=tokenizer, plan=plan, journal=folder / "generated.jsonl", progress=progress,
        visible={name for name, rows in documents.items() if not all(map(has_grader, rows))},
    )  # fmt: skip
    with Measurer(tokenizer, bridge.tags, plan.data.nltk_data) as measurer:
        samples, scores = _run(bridge, documents, plan, measurer)
    if samples and all(sample.finish == "context" and not sample.text for sample in samples):
        raise Incomplete(
            f"none of {len(samples)} prompts fits the model's context of {completer.context} tokens: nothing was "
            "answered; serve the model with a longer context, or choose tasks with shorter prompts"
        )
    samples = [sample.model_copy(update={"task": names[sample.task]}) for sample in samples]
    # Every problem with its gold answer, so that a stored run can be graded again without its data set.
    asked = {(place.task, place.document): bridge.generated[place].document for place in sorted(bridge.generated)}
    fields = ("id", "family", "prompt", "gold")
    problems = (
        {"task": names[task], **{key: document[key] for key in fields}}
        for (task, _), document in asked.items()
        if has_grader(document)
    )
    write_rows(folder / "problems.jsonl", problems)
    write_rows(folder / "samples.jsonl", (sample.model_dump() for sample in samples))
    lm_eval = {names[name]: score for name, score in scores.items()}
    return Evaluated(samples=samples, lm_eval=lm_eval, seconds=round(time.monotonic() - started, 2))


def _read(plan: EvalPlan) -> tuple[Documents, Callable[..., Bridge]]:
    """The documents of all tasks, and what asks them: lm-eval (its import takes a second) where a task needs it.

    Raises DataError.
    """
    if any(task.max_tokens is None for task in plan.tasks):
        from harness.evaluation.through_lm_eval import HarnessLM, load_tasks

        tasks = load_tasks(plan)
        return {name: list(task.eval_docs) for name, task in tasks.items()}, partial(HarnessLM, tasks)
    documents = {}
    for task in plan.tasks:
        try:
            problems = load(task.name, **plan.data.given())
        except ValueError as error:  # more problems than there are
            raise DataError(f"{task.name}: cannot be loaded ({error})") from None
        documents[task.lm_eval_name] = [problem.document() for problem in problems]
    return documents, Bridge


def _run(
    bridge: Bridge, documents: Documents, plan: EvalPlan, measurer: Measurer
) -> tuple[list[Sample], dict[str, float | None]]:
    """Samples in the order of tasks and documents, graded as they come, and the score of each task."""
    work: dict[Place, Future[Sample]] = {}
    correct: dict[tuple[str, str], bool] = {}  # by problem and text

    def submit(generated: Generated) -> None:
        if has_grader(generated.document):
            work[generated.place] = measurer.submit(generated)

    def is_correct(problem: str, text: str) -> bool:
        for sample in map(measurer.sample, [] if correct else work.values()):
            correct[sample.problem_id, sample.text] = sample.grade.correct
        return correct[problem, text]

    bridge.each = submit
    families = {row["family"] for rows in documents.values() for row in rows if has_grader(row)}
    measurer.load(sorted(families & set(FAMILIES)))
    scores, verdicts = bridge.ask(documents, chosen(documents, plan.selection), is_correct)
    order = [*documents]
    places = sorted(bridge.generated, key=lambda place: (order.index(place.task), place))
    for place in places:
        if place not in work:
            work[place] = measurer.submit(bridge.generated[place], verdicts[place])
    return [measurer.sample(work[place]) for place in places], scores


def chosen(documents: Documents, selection: Selection) -> dict[str, list[int]] | None:
    """Numbers of the documents that a run asks about, by lm-eval's task name; None: all. Raises DataError."""
    if not selection.names:
        limited = {name: [*range(len(rows))[: selection.limit]] for name, rows in documents.items()}
        return limited if selection.limit else None
    picked, unknown = {}, set(selection.names)
    for name, rows in documents.items():
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
