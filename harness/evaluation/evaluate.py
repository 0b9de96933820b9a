"""One run: a model on tasks with one decoding configuration, to graded samples on disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import DataError, Incomplete
from harness.evaluation.asking import chosen
from harness.evaluation.bridge import Bridge
from harness.evaluation.measuring import Generated, Measurer, Measuring
from harness.evaluation.plan import Documents, EvalPlan, Progress, has_grader
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
    progress: Progress = lambda done, total, tokens: None, several: bool = False,
) -> Evaluated:  # fmt: skip
    """Run ``plan`` and write ``problems.jsonl`` and ``samples.jsonl`` into ``folder``.

    ``several``: this process does further evaluations, for which the one that grades is kept. A killed run goes on from
    its journal, ``generated.jsonl``. Raises Incomplete when model calls failed for good, GraderBroken when grading is
    impossible.
    """
    started = time.monotonic()
    documents, bridge_of = _read(plan)
    names = {task.lm_eval_name: task.name for task in plan.tasks}
    bridge = bridge_of(
        completer=completer, tokenizer=tokenizer, plan=plan, journal=folder / "generated.jsonl",
        progress=_live(completer, progress),
        visible={name for name, rows in documents.items() if not all(map(has_grader, rows))},
    )  # fmt: skip
    with Measurer(tokenizer, bridge.tags, plan.data.nltk_data, several) as measurer:
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


def _live(completer: Completer, progress: Progress) -> Progress:
    """Progress that also counts the tokens of a batch while it runs, where the completer says that it does."""
    last = (0, 0, 0, completer.generated_tokens)

    def finished(done: int, total: int, tokens: int) -> None:
        nonlocal last
        last = (done, total, tokens, completer.generated_tokens)
        progress(done, total, tokens)

    def running() -> None:
        done, total, tokens, before = last
        progress(done, total, tokens + completer.generated_tokens - before)

    if hasattr(completer, "on_step"):
        completer.on_step = running
    return finished


def _read(plan: EvalPlan) -> tuple[Documents, Callable[..., Bridge]]:
    """The documents of all tasks, and what asks them: lm-eval (its import takes a second) where a task needs it.

    Raises DataError.
    """
    if plan.prompting.few_shot or any(task.max_tokens is None for task in plan.tasks):
        from harness.evaluation.tasks import load_tasks
        from harness.evaluation.through_lm_eval import HarnessLM

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
    work: dict[Place, Measuring] = {}
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
