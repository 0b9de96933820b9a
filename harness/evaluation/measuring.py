"""Grading and measuring beside generation: in a process of its own, so that the model keeps its core.

What crosses the border is plain data: a ``Job`` there, a Sample as JSON back.
"""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.errors import GraderBroken
from harness.evaluation.bridge import Generated
from harness.evaluation.response_metrics import analysed, backend_of, of_response, stated_text
from harness.grading.grade import Grader
from harness.grading.messages import Statement
from harness.grading.thinking import Parts, split
from harness.processes import follow_parent, interrupts_end_twice
from harness.records import Finish, Grade, Problem, Sample, Verdict
from harness.thoughts import Tags

_BROKEN = "the process that grades died (out of memory?); nothing is lost: run the same command again"


@dataclass(frozen=True, kw_only=True)
class ForeignVerdict:
    """A verdict given by lm-eval for a task of its own, on the visible answer."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """One sample to grade and measure. ``end``: the token that ends a turn. With ``foreign`` it is only measured."""

    generated: Generated
    tags: Tags
    end: int | None
    foreign: ForeignVerdict | None = None


class Measurer:
    """One process that grades and measures. A context manager; ``families`` are loaded while the model generates.

    The process leaves interrupts to this one, and ends with it or with ``close``, whichever way that comes about.
    """

    def __init__(self, tokenizer: Any, nltk_data: Path | None = None, workers: int = 1) -> None:
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        backend = backend_of(tokenizer)
        text = None if backend is None else backend.to_str()
        self._end = tokenizer.eos_token_id
        # The process ends when this end of the pipe is closed: by ``close``, or because we are gone.
        read_end, self._lifeline = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            1, mp_context=context, initializer=_start, initargs=(os.getpid(), read_end, text, nltk_data, workers)
        )

    def load(self, families: list[str]) -> None:
        """Start the process and load the graders of ``families`` in it, without waiting."""
        # The process inherits the mask: Ctrl-C while it imports is ours to handle, without its traceback.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._submit(_load, families)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def submit(self, generated: Generated, tags: Tags, foreign: ForeignVerdict | None = None) -> Future[str]:
        """Start measuring; the result is a Sample in JSON (see ``sample``). Raises GraderBroken."""
        return self._submit(_measure, Job(generated=generated, tags=tags, end=self._end, foreign=foreign))

    def _submit(self, function: Any, argument: Any) -> Future[Any]:
        try:
            with interrupts_end_twice(deferred=True):
                return self._pool.submit(function, argument)
        except BrokenProcessPool:
            raise GraderBroken(_BROKEN) from None

    @staticmethod
    def sample(future: Future[str]) -> Sample:
        """The measured sample. Raises GraderBroken when the process is gone, and what grading raised."""
        try:
            return Sample.model_validate_json(future.result())
        except BrokenProcessPool:
            raise GraderBroken(_BROKEN) from None

    def close(self) -> None:
        with interrupts_end_twice(deferred=True):
            self._lifeline.close()
            self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Measurer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


# --- in the measuring process ----------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Tools:
    """What the process measures with; filled once, by the initializer."""

    tokenizer: Any = None
    grader: Grader | None = None


_TOOLS = _Tools()


def _start(parent: int, lifeline: Connection, tokenizer: str | None, nltk_data: Path | None, workers: int) -> None:
    follow_parent(parent)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if tokenizer is not None:
        from tokenizers import Tokenizer

        _TOOLS.tokenizer = Tokenizer.from_str(tokenizer)
    _TOOLS.grader = Grader(workers, nltk_data=nltk_data)


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(0)


def _load(families: list[str]) -> None:
    assert _TOOLS.grader is not None
    _TOOLS.grader.load(families)


def _measure(job: Job) -> str:
    assert _TOOLS.grader is not None
    return measured(job, _TOOLS.grader, _TOOLS.tokenizer).model_dump_json()


def measured(job: Job, grader: Grader, tokenizer: Any) -> Sample:
    """The sample with verdict and metrics. ``tokenizer``: a ``tokenizers`` object to count with, or None."""
    generated, completion = job.generated, job.generated.completion
    document, place = generated.document, generated.place
    parts = split(completion.text, job.tags, generated.prefilled)
    statements: list[Statement] | None = []
    if job.foreign is not None:
        grade, name = _foreign(job.foreign, completion.finish, parts), f"{place.task}-{place.document}"
    else:
        problem = Problem.of_document(document)
        gold, family, name = problem.gold, problem.family, problem.id
        grade = grader.grade(family, gold, completion.text, completion.finish, generated.prefilled, job.tags)
        statements = grader.statements(family, gold, stated_text(analysed(parts)))
    found = of_response(
        parts, grade.verdict, completion.finish, backend=tokenizer, statements=statements,
        sampled=[i for i in completion.token_ids if i != job.end],
    )  # fmt: skip
    return Sample(
        key=generated.key,
        task=place.task,
        problem_id=name,
        index=place.sample,
        seed=generated.seed,
        prompt_ids_hash=generated.prompt_hash,
        text=completion.text,
        token_ids=list(completion.token_ids),
        finish=completion.finish,
        thinking_tokens=found.thinking_tokens,
        answer_tokens=found.answer_tokens,
        grade=grade.model_copy(update={"seconds": 0.0}),  # without it the samples of equal runs are equal files
        prefilled=generated.prefilled,
        metrics=found.metrics,
    )


def _foreign(given: ForeignVerdict, finish: Finish, parts: Parts) -> Grade:
    """lm-eval's verdict on the visible answer, unless there is none to judge."""
    verdict, reason = given.verdict, given.reason
    if finish == "error":
        verdict, reason = "infra_error", "the model call failed"
    elif parts.state == "unclosed" or (finish in ("length", "context") and not parts.answer.strip()):
        verdict, reason = "unfinished", "no answer before the end"
    elif not parts.answer.strip():
        verdict, reason = "no_answer", "the answer is empty"
    return Grade(verdict=verdict, reason=reason, think_state=parts.state)
