"""Grade a stored run again with the graders of today, without generating: which verdicts flip, and why."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from harness.errors import NoRuns
from harness.evaluation.response_metrics import analysed, backend_of, of_response, stated_text
from harness.grading.grade import Grader
from harness.grading.thinking import split
from harness.grading.version import grader_version
from harness.journal import write_rows, write_whole
from harness.records import Sample
from harness.results.runs import Run
from harness.results.summary import row
from harness.thoughts import THINK_TAGS, Tags


@dataclass(frozen=True)
class Flipped:
    task: str
    problem_id: str
    index: int
    before: str
    after: str
    reason_before: str
    reason_after: str


def rescore(run: Run, grader: Grader, tokenizer: Any = None) -> tuple[list[Sample], list[Flipped]]:
    """The run's samples graded again, and those whose verdict changed. Raises NoRuns for a run without its problems.

    Samples of lm-eval's own tasks keep their verdict: it is lm-eval's.
    """
    problems = run.problems()
    tags: Tags = tuple(run.manifest.get("think_tags") or THINK_TAGS)

    backend = backend_of(tokenizer)

    def again(sample: Sample) -> Sample:
        problem = problems.get((sample.task, sample.problem_id))
        if problem is None:
            return sample
        gold, family = problem.gold, problem.family
        grade = grader.grade(family, gold, sample.text, sample.finish, sample.prefilled, tags)
        parts = split(sample.text, tags, sample.prefilled)
        statements = grader.statements(family, gold, stated_text(analysed(parts)))
        measured = of_response(
            parts, grade.verdict, sample.finish, backend=backend, sampled=_without_end(sample.token_ids, tokenizer),
            statements=statements,
        )  # fmt: skip
        error_type, counts = measured.metrics.error_type, {}
        metrics = sample.metrics.model_copy(update={"error_type": error_type})
        if tokenizer is not None:  # counts in other units than the run's own are no correction of them
            metrics = measured.metrics
            counts = {"thinking_tokens": measured.thinking_tokens, "answer_tokens": measured.answer_tokens}
        grade = grade.model_copy(update={"seconds": 0.0})
        return sample.model_copy(update={"grade": grade, "metrics": metrics, **counts})

    with ThreadPoolExecutor(4) as threads:
        fresh = list(threads.map(again, run.samples))
    flips = [
        Flipped(a.task, a.problem_id, a.index, a.grade.verdict, b.grade.verdict, a.grade.reason, b.grade.reason)
        for a, b in zip(run.samples, fresh, strict=True)
        if a.grade.verdict != b.grade.verdict
    ]
    return fresh, flips


def _without_end(ids: list[int], tokenizer: Any) -> list[int]:
    end = getattr(tokenizer, "eos_token_id", None)
    return [i for i in ids if i != end]


def keep(run: Run, samples: list[Sample]) -> None:
    """Put new verdicts in the place of the run's, with the grader's version. Raises NoRuns for a recipe's stage."""
    if (run.folder / "done.json").exists():
        raise NoRuns(f"{run.folder} is a stage of a recipe and named by its content; run the recipe again instead")
    rows = {task: row([s for s in samples if s.task == task], run.cap) for task in run.tasks}
    metrics = json.loads((run.folder / "metrics.json").read_text()) | {"rows": rows}
    write_rows(run.folder / "samples.jsonl", (sample.model_dump() for sample in samples))
    write_whole(run.folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    manifest = run.manifest | {"grader": grader_version()}
    write_whole(run.folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
