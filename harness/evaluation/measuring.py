"""Grading and measuring beside generation: in a process of its own, so that the model keeps its core.

What crosses the border is plain data: a ``Task`` of text and ids to measure, JSON of a Sample back.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import GraderBroken
from harness.evaluation.bridge import Generated
from harness.evaluation.response_metrics import backend_of, of_response, stated_text
from harness.grading.grade import Grader
from harness.grading.thinking import split
from harness.processes import follow_parent
from harness.records import Finish, Grade, Problem, Sample, Verdict
from harness.thoughts import Tags


@dataclass(frozen=True)
class Job:
    """One generation to grade. ``verdict`` given: somebody else's (lm-eval's), which only needs measuring."""

    generated: Generated
    tags: Tags
    end: int | None
    verdict: tuple[Verdict, str] | None = None


class Measurer:
    """One process that grades and measures. A context manager; ``families`` are loaded while the model generates."""

    def __init__(self, tokenizer: Any, nltk_data: Path | None = None, workers: int = 1) -> None:
        import multiprocessing

        backend = backend_of(tokenizer)
        text = None if backend is None else backend.to_str()
        self._end = tokenizer.eos_token_id
        self._pool = ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn"), initializer=_start,
            initargs=(os.getpid(), text, nltk_data, workers),
        )  # fmt: skip

    def load(self, families: list[str]) -> None:
        # The process starts here and inherits the mask: Ctrl-C while it imports is ours to tell, without its traceback.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._pool.submit(_load, families)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def submit(self, generated: Generated, tags: Tags, verdict: tuple[Verdict, str] | None = None) -> Future[str]:
        """Start measuring; the result is a Sample in JSON (see ``sample``)."""
        return self._pool.submit(_measure, Job(generated, tags, self._end, verdict))

    @staticmethod
    def sample(future: Future[str]) -> Sample:
        """The measured sample. Raises GraderBroken when the process is gone, and what grading raised."""
        try:
            return Sample.model_validate_json(future.result())
        except BrokenProcessPool:
            raise GraderBroken("the process that grades died (out of memory?); run the same command again") from None

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Measurer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


# --- in the measuring process ----------------------------------------------------------------------------------------

_tools: tuple[Any, Grader] | None = None  # set once by the initializer: tokenizer, grader


def _start(parent: int, tokenizer: str | None, nltk_data: Path | None, workers: int) -> None:
    global _tools
    follow_parent(parent)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    backend = None
    if tokenizer is not None:
        from tokenizers import Tokenizer

        backend = Tokenizer.from_str(tokenizer)
    _tools = backend, Grader(workers, nltk_data=nltk_data)


def _load(families: list[str]) -> None:
    assert _tools is not None
    _tools[1].load(families)


def _measure(job: Job) -> str:
    assert _tools is not None
    tokenizer, grader = _tools
    generated, completion = job.generated, job.generated.completion
    parts = split(completion.text, job.tags, generated.prefilled)
    statements: Any = ()
    if job.verdict is not None:
        grade = _foreign(job.verdict, completion.finish, parts)
    else:
        problem = Problem.of_document(generated.doc)
        grade = grader.grade(
            problem.family, problem.gold, completion.text, completion.finish, generated.prefilled, job.tags
        )
        statements = grader.statements(problem.family, problem.gold, stated_text(parts))
    ids = [i for i in completion.token_ids if i != job.end]
    measured = of_response(parts, grade.verdict, completion.finish, tokenizer, ids, statements)
    sample = Sample(
        key=generated.key, task=generated.task, index=generated.index, seed=generated.seed,
        problem_id=str(generated.doc["id"]) if job.verdict is None else f"{generated.task}-{generated.doc_id}",
        prompt_ids_hash=generated.prompt_hash, text=completion.text, token_ids=list(completion.token_ids),
        finish=completion.finish, thinking_tokens=measured.pop("thinking_tokens"),
        answer_tokens=measured.pop("answer_tokens"), prefilled=generated.prefilled,
        # Without its wall time, so that the samples of equal runs are equal files.
        grade=grade.model_copy(update={"seconds": 0.0}), metrics=measured,
    )  # fmt: skip
    return sample.model_dump_json()


def _foreign(theirs: tuple[Verdict, str], finish: Finish, parts: Any) -> Grade:
    """lm-eval's verdict on the visible answer, unless there is none to judge."""
    verdict, reason = theirs
    if finish == "error":
        verdict, reason = "infra_error", "the model call failed"
    elif parts.state == "unclosed" or (finish in ("length", "context") and not parts.answer.strip()):
        verdict, reason = "unfinished", "no answer before the end"
    elif not parts.answer.strip():
        verdict, reason = "no_answer", "the answer is empty"
    return Grade(verdict=verdict, reason=reason, think_state=parts.state)
