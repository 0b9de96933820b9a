"""Grading and measuring beside generation: in a process of its own, so that the model keeps its core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from harness.errors import GraderBroken
from harness.evaluation.plan import Document
from harness.evaluation.response_metrics import judged, of_response
from harness.grading.grade import Grader
from harness.grading.thinking import Parts, split
from harness.models.base import Completion, Place
from harness.models.prompts import ends
from harness.processes import follow_parent, interrupts_end_twice
from harness.records import Finish, Grade, Problem, Sample
from harness.thoughts import Tags

_Result = TypeVar("_Result")
_TOGETHER = 16  # samples
_BROKEN = "the process that grades died (out of memory?); nothing is lost: run the same command again"


@dataclass(frozen=True, kw_only=True)
class Generated:
    """A completion with what it answers. ``prefilled``: its prompt already opened the think block."""

    key: str
    place: Place
    document: Document
    prompt_hash: str
    seed: int
    completion: Completion
    prefilled: bool = False


class _Batch:
    """Samples that go to the measuring process together: one by one the passing on would cost more than the work."""

    def __init__(self) -> None:
        self.items: list[tuple[Generated, Grade | None]] = []
        self.future: Future[list[str]] | None = None  # None: not on its way yet


Measuring = tuple[_Batch, int]  # a sample that is being measured: its batch, and its number there


class Measurer(AbstractContextManager["Measurer"]):
    """One process that grades and measures. A context manager.

    The process leaves interrupts to this one, and ends with the context or with this process, however it ends. With
    ``keep`` it outlives a context that ends well, for the next one with the same tokenizer and data: it takes some
    seconds of a core to start and to load its graders.
    """

    _kept: ClassVar[dict[tuple[str | None, Path | None], tuple[ProcessPoolExecutor, Connection]]] = {}

    def __init__(self, tokenizer: Any, tags: Tags, nltk_data: Path | None, keep: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        backend = getattr(tokenizer, "backend_tokenizer", None)  # it knows offsets
        text = None if backend is None else backend.to_str()
        self._reading = {"tags": tags, "ends": ends(tokenizer)}
        self._batch, self._keep, self._key = _Batch(), keep, (text, nltk_data)
        kept = self._kept.pop(self._key, None)
        if kept is not None and not kept[0]._broken:  # it may have died since
            self._pool, self._lifeline = kept
            return
        # The process ends when this end of the pipe is closed: by us, or because we are gone.
        read_end, self._lifeline = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            1, mp_context=context, initializer=_start, initargs=(os.getpid(), read_end, text, nltk_data)
        )
        if keep:  # ended before this process waits for its children, which would wait for it
            Finalize(None, _end, (self._pool, self._lifeline), exitpriority=10)

    def load(self, families: list[str]) -> None:
        """Start the process and load the graders of ``families`` in it, without waiting."""
        # The process inherits the mask: Ctrl-C while it imports is ours to handle, without its traceback.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._submit(_load, families)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def submit(self, generated: Generated, foreign: Grade | None = None) -> Measuring:
        """Grade and measure, some together. ``foreign``: lm-eval's verdict on its own task. Raises GraderBroken."""
        batch = self._batch
        batch.items.append((generated, foreign))
        if len(batch.items) == _TOGETHER:
            self._send()
        return batch, len(batch.items) - 1

    def _send(self) -> None:
        batch, self._batch = self._batch, _Batch()
        batch.future = self._submit(_measure, batch.items, **self._reading)

    def _submit(self, function: Callable[..., _Result], *arguments: object, **named: object) -> Future[_Result]:
        try:
            with interrupts_end_twice(deferred=True):
                return self._pool.submit(function, *arguments, **named)
        except BrokenProcessPool:
            raise GraderBroken(_BROKEN) from None

    def sample(self, measuring: Measuring) -> Sample:
        """The measured sample. Raises GraderBroken when the process is gone, and what grading raised."""
        batch, number = measuring
        if batch.future is None:
            self._send()
        assert batch.future is not None
        try:
            return Sample.model_validate_json(batch.future.result()[number])
        except BrokenProcessPool:
            raise GraderBroken(_BROKEN) from None

    def __exit__(self, *exc: object) -> None:
        if self._keep and exc[0] is None and self._key not in self._kept:
            self._kept[self._key] = self._pool, self._lifeline
            return
        _end(self._pool, self._lifeline)


def _end(pool: ProcessPoolExecutor, lifeline: Connection) -> None:
    with interrupts_end_twice(deferred=True):
        lifeline.close()
        pool.shutdown(cancel_futures=True)


# --- in the measuring process ----------------------------------------------------------------------------------------


_grader: Grader
_tokenizer: Any = None


def _start(parent: int, lifeline: Connection, tokenizer: str | None, nltk_data: Path | None) -> None:
    global _grader, _tokenizer
    follow_parent(parent)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if tokenizer is not None:
        from tokenizers import Tokenizer

        _tokenizer = Tokenizer.from_str(tokenizer)
    _grader = Grader(1, nltk_data=nltk_data)


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(0)


def _load(families: list[str]) -> None:
    _grader.load(families)


def _measure(items: list[tuple[Generated, Grade | None]], *, tags: Tags, ends: frozenset[int]) -> list[str]:
    """Samples as JSON, which costs the receiving process a fraction of what pickled models would."""
    return [_measured(generated, foreign, tags, ends).model_dump_json() for generated, foreign in items]


def _measured(generated: Generated, foreign: Grade | None, tags: Tags, ends: frozenset[int]) -> Sample:
    """The sample with verdict and metrics. ``ends``: the tokens that end a turn."""
    completion, place, prefilled = generated.completion, generated.place, generated.prefilled
    text, finish, sampled = completion.text, completion.finish, [i for i in completion.token_ids if i not in ends]
    if foreign is not None:
        parts, name = split(text, tags, prefilled), f"{place.task}-{place.document}"
        grade = _foreign(foreign, finish, parts)
        measured, level = of_response(parts, grade.verdict, finish, backend=_tokenizer, sampled=sampled), 0
    else:
        problem = Problem.of_document(generated.document)
        grade, measured = judged(
            _grader, problem, text, finish, tags=tags, prefilled=prefilled, backend=_tokenizer, sampled=sampled
        )
        name, level = problem.id, problem.level
    return Sample(
        key=generated.key, task=place.task, problem_id=name, index=place.sample, seed=generated.seed,
        prompt_ids_hash=generated.prompt_hash, text=text, token_ids=list(completion.token_ids),
        finish=finish, thinking_tokens=measured.thinking_tokens, answer_tokens=measured.answer_tokens,
        # Without its seconds: the samples of equal runs are equal files.
        grade=grade.model_copy(update={"seconds": 0.0}), prefilled=prefilled, forced=completion.forced,
        level=level, metrics=measured.metrics,
    )  # fmt: skip


def _foreign(given: Grade, finish: Finish, parts: Parts) -> Grade:
    """lm-eval's verdict on the visible answer, unless there is none to judge."""
    verdict, reason = given.verdict, given.reason
    if finish == "error":
        verdict, reason = "infra_error", "the model call failed"
    elif parts.state == "unclosed" or (finish in ("length", "context") and not parts.answer.strip()):
        verdict, reason = "unfinished", "no answer before the end"
    elif not parts.answer.strip():
        verdict, reason = "no_answer", "the answer is empty"
    return Grade(verdict=verdict, reason=reason, think_state=parts.state)
