"""Grade a stored run again with the graders of today, without generating: which verdicts flip, and why."""

from __future__ import annotations

import json
from typing import Any

from harness.errors import NoRuns
from harness.evaluation.response_metrics import analysed, backend_of, of_response, stated_text
from harness.files import read_json
from harness.grading import grader_version
from harness.grading.grade import Grader
from harness.grading.thinking import split
from harness.journal import write_rows, write_whole
from harness.processes import in_threads
from harness.records import Record, Sample, Verdict
from harness.results.runs import Run, keep_manifest
from harness.results.statistics import of_task
from harness.results.summary import row
from harness.thoughts import THINK_TAGS

_AT_ONCE = 4  # samples that are graded at once


class Flipped(Record):
    """A sample with another verdict than before."""

    task: str
    problem_id: str
    index: int
    before: Verdict
    after: Verdict
    reason_before: str
    reason_after: str


def rescore(run: Run, grader: Grader, tokenizer: Any = None) -> tuple[list[Sample], list[Flipped]]:
    """The run's samples graded again, and those whose verdict changed.

    Samples of lm-eval's own tasks keep their verdict: it is lm-eval's. ``tokenizer``: the run's; without it lengths
    and what is measured in them stay as they were.

    Raises NoRuns for a run without its problems, BadFile for one whose problems cannot be read. An interrupt ends it
    after the few samples that are being graded.
    """
    problems = {(asked.task, asked.id): asked.problem() for asked in run.problems()}
    if not problems:
        raise NoRuns(f"{run.folder}: has no problems.jsonl, so it cannot be graded again; run its evaluation again")
    tags = run.manifest.think_tags or THINK_TAGS
    backend = backend_of(tokenizer)

    def again(sample: Sample) -> Sample:
        problem = problems.get((sample.task, sample.problem_id))
        if problem is None:
            return sample
        grade = grader.grade(problem.family, problem.gold, sample.text, sample.finish, sample.prefilled, tags)
        parts = split(sample.text, tags, sample.prefilled)
        statements = grader.statements(problem.family, problem.gold, stated_text(analysed(parts)))
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

    fresh = in_threads(again, run.samples, _AT_ONCE)
    flips = [
        Flipped(
            task=a.task, problem_id=a.problem_id, index=a.index, before=a.grade.verdict, after=b.grade.verdict,
            reason_before=a.grade.reason, reason_after=b.grade.reason,
        )
        for a, b in zip(run.samples, fresh, strict=True)
        if a.grade.verdict != b.grade.verdict
    ]  # fmt: skip
    return fresh, flips


def _without_end(ids: list[int], tokenizer: Any) -> list[int]:
    end = getattr(tokenizer, "eos_token_id", None)
    return [i for i in ids if i != end]


def keep(run: Run, samples: list[Sample]) -> None:
    """Put new verdicts in the place of the run's, with the grader's version. Raises NoRuns for a recipe's stage."""
    if (run.folder / "done.json").exists():
        raise NoRuns(f"{run.folder} is a stage of a recipe and named by its content; run the recipe again instead")
    cap = run.manifest.decoding.max_tokens
    rows = {task: row(of_task(samples, task), cap).model_dump() for task in run.tasks}
    metrics = {**read_json(run.folder / "metrics.json", "run its evaluation again"), "rows": rows}
    write_rows(run.folder / "samples.jsonl", (sample.model_dump() for sample in samples))
    write_whole(run.folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    keep_manifest(run.folder, run.manifest.model_copy(update={"grader": grader_version()}))
