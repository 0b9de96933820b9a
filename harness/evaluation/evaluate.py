"""One run: a model on tasks with one decoding configuration, through lm-eval, to graded samples on disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval import evaluator

from harness.errors import Incomplete
from harness.evaluation.asking import prepare
from harness.evaluation.bridge import HarnessLM
from harness.evaluation.measuring import Generated, Measurer
from harness.evaluation.plan import Document, EvalPlan, Progress, has_grader
from harness.evaluation.tasks import chosen, load_tasks, quiet_lm_eval
from harness.grading.families import FAMILIES
from harness.journal import write_rows
from harness.models.base import Completer, Place
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
        completer=completer, tokenizer=tokenizer, plan=plan, journal=folder / "generated.jsonl",
        progress=_live(completer, progress),
        visible={name for name, task in tasks.items() if not all(map(has_grader, task.eval_docs))},
    )  # fmt: skip
    prepare(tasks, plan, lm.chat)
    with Measurer(tokenizer, lm.tags, plan.data.nltk_data) as measurer:
        samples, scores = _run(lm, tasks, plan, measurer)
    if samples and all(sample.finish == "context" and not sample.text for sample in samples):
        raise Incomplete(
            f"none of {len(samples)} prompts fits the model's context of {completer.context} tokens: nothing was "
            "answered; serve the model with a longer context, or choose tasks with shorter prompts"
        )
    samples = [sample.model_copy(update={"task": names[sample.task]}) for sample in samples]
    # Every problem with its gold answer, so that a stored run can be graded again without its data set.
    asked = {(place.task, place.document): lm.generated[place].document for place in sorted(lm.generated)}
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


def _run(
    lm: HarnessLM, tasks: dict[str, Any], plan: EvalPlan, measurer: Measurer
) -> tuple[list[Sample], dict[str, float | None]]:
    """Everything that lm-eval does: prompts, our generation, and its scoring; samples are graded as they come."""
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
            system_instruction=plan.prompting.system, fewshot_as_multiturn=True,
        )  # fmt: skip
    assert results is not None
    logged = {(name, entry["doc_id"]): entry for name, entries in results["samples"].items() for entry in entries}
    order = [*results["samples"]]
    places = sorted(lm.generated, key=lambda place: (order.index(place.task), place))
    for place in places:
        if place not in work:
            work[place] = measurer.submit(lm.generated[place], _verdict(logged[place.task, place.document]))
    scores = {
        name: next((v for k, v in values.items() if k.split(",")[0] in ("acc", "exact_match")), None)
        for name, values in results["results"].items()
    }
    return [measurer.sample(work[place]) for place in places], scores


def _verdict(entry: Mapping[str, Any]) -> Grade:
    """lm-eval's first number for an item of its own task, as a verdict."""
    names = [name for name in entry.get("metrics", []) if isinstance(entry.get(name), int | float)]
    if not names:
        return Grade(verdict="infra_error", reason="lm-eval gave no number for this item")
    value = float(entry[names[0]])
    return Grade(verdict="correct" if value >= 1.0 else "wrong", reason=f"lm-eval's {names[0]} is {value:g}")
