"""``Grader``: one verdict for one response of any family, with its reason.

The thinking is split off first, and only the visible answer reaches a grader, in a worker process (``pool``). A
response that the grader cannot decide within its limits gets ``grader_timeout``, which is neither right nor wrong.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from harness.grading.families import kind_of
from harness.grading.messages import Question, Statement
from harness.grading.pool import WALL_SECONDS, Pool
from harness.grading.thinking import split
from harness.records import Finish, Gold, Grade
from harness.thoughts import THINK_TAGS, Tags


class Grader:
    """A pool of ``workers`` grading processes; a context manager.

    ``limit``: seconds of wall clock for a response. ``nltk_data``: where NLTK's sentence splitter lies, for two kinds
    of instruction.
    """

    def __init__(self, workers: int = 1, limit: float = WALL_SECONDS, nltk_data: Path | None = None) -> None:
        self._pool = Pool(workers, limit, nltk_data)

    def load(self, families: list[str]) -> None:
        """Start loading what ``families`` need, so that the first verdict does not wait for it."""
        for kind in dict.fromkeys(map(kind_of, families)):
            self._pool.load(kind)

    def grade(
        self, family: str, gold: Gold, response: str, finish: Finish = "stop", prefilled: bool = False,
        tags: Tags = THINK_TAGS,
    ) -> Grade:  # fmt: skip
        """The verdict on ``response``.

        ``prefilled``: the prompt already opened the think block, so the response starts inside it. Raises NoGrader for
        an unknown family and GraderBroken when workers cannot be started, die again and again, or are being closed.
        """
        kind = kind_of(family)
        if finish == "error":
            return Grade(verdict="infra_error", reason="the model call failed")
        parts = split(response, tags, prefilled)
        cut = finish in ("length", "context")
        if parts.state == "unclosed":
            why = "cut by the limit inside the thought" if cut else "the thought was never closed"
            return Grade(verdict="unfinished", reason=why, think_state=parts.state)
        if not parts.answer.strip():
            why = "cut by the limit before an answer" if cut else "the answer is empty"
            return Grade(verdict="unfinished" if cut else "no_answer", reason=why, think_state=parts.state)
        reply = self._pool.ask(Question(kind=_process_kind(kind, gold), gold=gold, answer=parts.answer, cut=cut))
        assert reply.judgement is not None
        verdict, reason, answer, details = reply.judgement
        if cut and verdict == "no_answer":
            verdict, reason = "unfinished", "cut by the limit before an answer"
        return Grade(
            verdict=verdict, reason=reason, answer=answer, think_state=parts.state, seconds=reply.seconds,
            details=dict(details),
        )  # fmt: skip

    def statements(self, family: str, gold: Gold, text: str) -> list[Statement] | None:
        """Answers stated in ``text`` in order, each judged; None when looking for them took too long."""
        kind = kind_of(family)
        if kind == "instructions" or not text:
            return []
        question = Question(kind=_process_kind(kind, gold), gold=gold, answer=text, statements=True)
        return self._pool.ask(question).statements

    def close(self) -> None:
        self._pool.close()

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _process_kind(kind: str, gold: Gold) -> str:
    return "pddl" if kind == "plan" and "domain" in gold else kind


@cache
def shared_grader() -> Grader:
    """The grader of this process, for callers that cannot be handed one (lm-eval's task functions)."""
    import atexit

    grader = Grader()
    atexit.register(grader.close)
    return grader
