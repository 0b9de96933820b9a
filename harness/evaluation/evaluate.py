"""One run: a model on tasks with one decoding configuration, through lm-eval, to graded samples on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import Incomplete
from harness.evaluation.bridge import Generated, HarnessLM
from harness.evaluation.lm_eval_tasks import chosen, has_grader, load_tasks, quiet_lm_eval
from harness.evaluation.measuring import Measurer
from harness.evaluation.plan import Document, EvalPlan, Progress
from harness.grading.families import FAMILIES
from harness.journal import write_rows
from harness.models.base import Completer
from harness.models.sampling import Place
from harness.records import Grade, Sample


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
    tasks = load_tasks(plan)
    names = {task.lm_eval_name: task.name for task in plan.tasks}
    lm = HarnessLM(
        completer=completer, tokenizer=tokenizer, plan=plan, journal=folder / "generated.jsonl", progress=progress,
        visible={name for name, task in tasks.items() if not all(map(has_grader, task.eval_docs))},
    )  # fmt: skip
    with Measurer(tokenizer, lm.tags, plan.data.nltk_data) as measurer:
        samples, scores = _run(lm, tasks, plan, measurer)
    if samples and all(sample.finish == "context" and not sample.text for sample in samples):
        raise Incomplete(
            f"none of {len(samples)} prompts fits the model's context of {completer.context} tokens: nothing was "
            "answered; serve the model with a longer context, or choose tasks with shorter prompts"
        )
    samples = [sample.model_copy(update={"task": names[sample.task]}) for sample in samples]
    write_rows(folder / "problems.jsonl", _problems(lm.generated, names))
    write_rows(folder / "samples.jsonl", (sample.model_dump() for sample in samples))
    lm_eval = {names[name]: score for name, score in scores.items()}
    return Evaluated(samples=samples, lm_eval=lm_eval, seconds=round(time.monotonic() - started, 2))


def _run(
    lm: HarnessLM, tasks: dict[str, Any], plan: EvalPlan, measurer: Measurer
) -> tuple[list[Sample], dict[str, float | None]]:
    """Everything that lm-eval does: prompts, our generation, and its scoring; samples are graded as they come."""
    from lm_eval import evaluator

    work: dict[Place, Future[Sample]] = {}
    correct: dict[tuple[str, str], bool] = {}  # by problem and text

    def submit(generated: Generated) -> None:
        if has_grader(generated.document):
            work[generated.place] = measurer.submit(generated)

    def scored(document: Document, results: list[str]) -> dict[str, float]:
        """lm-eval's scoring hook: the verdict on this text (its own hook would grade it again)."""
        for sample in map(measurer.sample, [] if correct else work.values()):
            correct[sample.problem_id, sample.text] = sample.grade.correct
        return {"acc": float(correct[document["id"], results[0]])}

    lm.each = submit
    families = {doc["family"] for task in tasks.values() for doc in task.eval_docs if has_grader(doc)}
    measurer.load(sorted(families & set(FAMILIES)))
    for name, task in tasks.items():
        if name not in lm.visible:
            task.set_config("process_results", scored)
    with quiet_lm_eval():
        results = evaluator.evaluate(
            lm, {"tasks": tasks, "groups": {}}, bootstrap_iters=0, log_samples=True,
            samples=chosen(tasks, plan.selection), apply_chat_template=lm.chat,
            system_instruction=plan.prompting.system,
        )  # fmt: skip
    assert results is not None
    places: list[Place] = []
    for name, logged in results["samples"].items():
        entries = {entry["doc_id"]: entry for entry in logged}
        of_task = sorted(place for place in lm.generated if place.task == name)
        for place in of_task:
            if place not in work:
                work[place] = measurer.submit(lm.generated[place], _verdict(entries[place.document]))
        places += of_task
    return [measurer.sample(work[place]) for place in places], dict(map(_score, results["results"].items()))


def _verdict(entry: Mapping[str, Any]) -> Grade:
    """lm-eval's first number for an item of its own task, as a verdict."""
    names = [name for name in entry.get("metrics", []) if isinstance(entry.get(name), int | float)]
    if not names:
        return Grade(verdict="infra_error", reason="lm-eval gave no number for this item")
    value = float(entry[names[0]])
    return Grade(verdict="correct" if value >= 1.0 else "wrong", reason=f"lm-eval's {names[0]} is {value:g}")


def _score(result: tuple[str, Mapping[str, Any]]) -> tuple[str, float | None]:
    name, values = result
    return name, next((v for k, v in values.items() if k.split(",")[0] in ("acc", "exact_match")), None)


def _problems(generated: dict[Place, Generated], names: dict[str, str]) -> Iterator[Document]:
    """Every problem with its gold answer, so that a stored run can be graded again without its data set."""
    documents = {(place.task, place.document): generated[place].document for place in sorted(generated)}
    for (task, _), document in documents.items():
        if has_grader(document):
            yield {"task": names[task], **{key: document[key] for key in ("id", "family", "prompt", "gold")}}
