"""Verdicts and metrics of responses that were generated elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.evaluation.response_metrics import analysed, of_response, stated_text
from harness.evaluation.responses import Response
from harness.grading.grade import Grader
from harness.grading.messages import Statement
from harness.grading.thinking import split
from harness.processes import in_threads
from harness.records import Grade, Sample
from harness.thoughts import THINK_TAGS, Tags


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How responses are read. ``prefilled``: their prompts opened the think block. ``metrics``: look for statements.

    ``backend``: a ``tokenizers`` object to count with; None: words and marks.
    """

    tags: Tags = THINK_TAGS
    prefilled: bool = False
    metrics: bool = False
    backend: Any = None


def score(responses: Sequence[Response], grader: Grader, scoring: Scoring, threads: int = 4) -> list[Sample]:
    """Verdict and metrics of every response, in order. A response without a problem gets ``infra_error``.

    An interrupt ends it after the few responses that are being graded, with KeyboardInterrupt.
    """
    return in_threads(lambda response: _one(response, grader, scoring), responses, threads)


def _one(response: Response, grader: Grader, scoring: Scoring) -> Sample:
    text, problem = response.text or "", response.problem
    parts = split(text, scoring.tags, scoring.prefilled)
    statements: list[Statement] | None = []
    if problem is None:
        reason = "no problem of the task has this id or prompt"
        grade = Grade(verdict="infra_error", reason=reason, think_state=parts.state)
    else:
        grade = grader.grade(problem.family, problem.gold, text, response.finish, scoring.prefilled, scoring.tags)
        if response.text is None and grade.verdict == "no_answer":
            grade = grade.model_copy(update={"reason": "the response is null"})
        if scoring.metrics:
            statements = grader.statements(problem.family, problem.gold, stated_text(analysed(parts)))
    measured = of_response(parts, grade.verdict, response.finish, backend=scoring.backend, statements=statements)
    return Sample(
        key="", task="score", problem_id=str(response.ident), index=response.number, seed=0, prompt_ids_hash="",
        text=text, token_ids=[], finish=response.finish, thinking_tokens=measured.thinking_tokens,
        answer_tokens=measured.answer_tokens, grade=grade, prefilled=scoring.prefilled, metrics=measured.metrics,
    )  # fmt: skip


def output_row(response: Response, sample: Sample, metrics: bool) -> dict[str, Any]:
    """The output file's row: id, grade, answer, reason, think_state, seconds; strict and loose, or the plan."""
    grade = sample.grade
    out: dict[str, Any] = {
        "id": response.ident, "grade": grade.verdict, "answer": grade.answer, "reason": grade.reason,
        "think_state": grade.think_state, "seconds": grade.seconds,
    }  # fmt: skip
    out |= grade.details
    if metrics:
        counts = {"thinking_tokens": sample.thinking_tokens, "answer_tokens": sample.answer_tokens}
        out["metrics"] = counts | sample.metrics.model_dump()
    return out
