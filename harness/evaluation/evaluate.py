"""One run: a model on tasks with one decoding configuration, through lm-eval, to graded samples on disk.

Samples are graded while the model generates, in another process (``measuring``).
"""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.evaluation.bridge import Generated, HarnessLM
from harness.evaluation.lm_eval_tasks import chosen, has_grader, load_tasks, quiet_lm_eval
from harness.evaluation.measuring import ForeignVerdict, Measurer
from harness.evaluation.plan import EvalPlan, Progress, nltk_data
from harness.grading.families import FAMILIES
from harness.journal import write_rows
from harness.models.base import Completer
from harness.models.sampling import Place
from harness.records import Sample


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A finished run. ``lm_eval``: lm-eval's own score of each task, where it gives one; ``seconds``: wall time."""

    samples: list[Sample]
    lm_eval: dict[str, float | None]
    seconds: float


def evaluate(
    completer: Completer, tokenizer: Any, plan: EvalPlan, folder: Path,
    progress: Progress = lambda done, total, tokens: None, measurer: Measurer | None = None,
) -> Evaluated:  # fmt: skip
    """Run ``plan`` and write ``problems.jsonl`` and ``samples.jsonl`` into ``folder``.

    A killed run goes on from its journal, ``generated.jsonl``. Raises Incomplete when model calls failed for good,
    GraderBroken when grading is impossible. ``measurer``: one that outlives this run, for callers with many.
    """
    started = time.monotonic()
    tasks = load_tasks(plan)
    with contextlib.ExitStack() as stack:
        measurer = measurer or stack.enter_context(Measurer(tokenizer, nltk_data(plan.settings)))
        run = _Run(measurer)
        run(completer, tokenizer, plan, folder, progress, tasks)
    names = {task.lm_eval_name: task.name for task in plan.tasks}
    samples = [sample.model_copy(update={"task": names[sample.task]}) for sample in run.samples]
    write_rows(folder / "problems.jsonl", _problems(run.generated, names))
    write_rows(folder / "samples.jsonl", (sample.model_dump() for sample in samples))
    scores = {names[name]: score for name, score in run.scores.items()}
    return Evaluated(samples=samples, lm_eval=scores, seconds=round(time.monotonic() - started, 2))


class _Run:
    """Everything that lm-eval does: prompts, our generation and grading beside it, its scoring."""

    def __init__(self, measurer: Measurer) -> None:
        self.measurer = measurer
        self.samples: list[Sample] = []
        self.scores: dict[str, float | None] = {}
        self.generated: dict[Place, Generated] = {}
        self._work: dict[Place, Future[str]] = {}
        self._measured: dict[Place, Sample] = {}
        self._correct: dict[tuple[str, str], bool] = {}  # by problem and text

    def __call__(
        self, completer: Completer, tokenizer: Any, plan: EvalPlan, folder: Path, progress: Progress,
        tasks: dict[str, Any],
    ) -> None:  # fmt: skip
        from lm_eval import evaluator

        foreign = {name for name, task in tasks.items() if not all(map(has_grader, task.eval_docs))}
        lm = HarnessLM(
            completer=completer, tokenizer=tokenizer, plan=plan, journal=folder / "generated.jsonl", visible=foreign,
            progress=progress, each=lambda generated: self._each(generated, lm),
        )  # fmt: skip
        families = {doc["family"] for task in tasks.values() for doc in task.eval_docs if has_grader(doc)}
        self.measurer.load(sorted(family for family in families if family in FAMILIES))
        for name, task in tasks.items():
            if name not in foreign:
                task.set_config("process_results", Uncopied(self._score))
        with quiet_lm_eval():
            results = evaluator.evaluate(
                lm, {"tasks": tasks, "groups": {}}, bootstrap_iters=0, log_samples=True,
                samples=chosen(tasks, plan.selection), apply_chat_template=lm.chat,
                system_instruction=plan.prompting.system,
            )  # fmt: skip
        assert results is not None
        self.generated = lm.generated
        self.scores = {name: _score_of(values) for name, values in results["results"].items()}
        for name, logged in results["samples"].items():
            entries = {entry["doc_id"]: entry for entry in logged}
            for place in sorted(place for place in lm.generated if place.task == name):
                if place not in self._work:
                    verdict = _verdict(entries[place.document])
                    self._work[place] = self.measurer.submit(lm.generated[place], lm.tags, verdict)
                self.samples.append(self._sample(place))

    def _each(self, generated: Generated, lm: HarnessLM) -> None:
        if has_grader(generated.document):
            self._work[generated.place] = self.measurer.submit(generated, lm.tags)

    def _sample(self, place: Place) -> Sample:
        if place not in self._measured:
            self._measured[place] = self.measurer.sample(self._work[place])
        return self._measured[place]

    def _score(self, document: dict[str, Any], results: list[str]) -> dict[str, float]:
        """lm-eval's scoring hook: the verdict on this text (its own hook would grade it again)."""
        if not self._correct:
            for sample in map(self._sample, list(self._work)):
                self._correct[sample.problem_id, sample.text] = sample.grade.correct
        return {"acc": float(self._correct[document["id"], results[0]])}


class Uncopied:
    """A hook that stays itself when lm-eval copies the configuration it stands in."""

    def __init__(self, hook: Any) -> None:
        self.hook = hook

    def __call__(self, *arguments: Any) -> Any:
        return self.hook(*arguments)

    def __deepcopy__(self, memo: object) -> Uncopied:
        return self


def _verdict(entry: dict[str, Any]) -> ForeignVerdict:
    """lm-eval's first number for an item of its own task, as a verdict."""
    names = [name for name in entry.get("metrics", []) if isinstance(entry.get(name), int | float)]
    if not names:
        return ForeignVerdict(verdict="infra_error", reason="lm-eval gave no number for this item")
    value = float(entry[names[0]])
    return ForeignVerdict(verdict="correct" if value >= 1.0 else "wrong", reason=f"lm-eval's {names[0]} is {value:g}")


def _problems(generated: dict[Place, Generated], names: dict[str, str]) -> list[dict[str, Any]]:
    """Every problem with its gold answer, so that a stored run can be graded again without its data set."""
    rows = {}
    for place, each in sorted(generated.items(), key=lambda item: item[0]):
        if has_grader(each.document):
            document = {key: each.document[key] for key in ("id", "family", "prompt", "gold")}
            rows[place.task, place.document] = {"task": names[place.task], **document}
    return list(rows.values())


def _score_of(values: dict[str, Any]) -> float | None:
    return next((v for k, v in values.items() if k.split(",")[0] in ("acc", "exact_match")), None)
