"""``Grader``: one verdict for one response of any family, with its reason.

The thinking is split off first; only the visible answer reaches a grader, in a worker process (``pool``). What it
cannot decide within its limits gets ``grader_timeout``, which is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from harness.grading.families import kind_of
from harness.grading.gym import GYM
from harness.grading.messages import Judgement, Question, Reply, Statement
from harness.grading.pool import Pool
from harness.grading.thinking import split
from harness.records import Finish, Gold, Grade
from harness.thoughts import THINK_TAGS, Tags


class Grader(Pool):
    """Grading processes, and what they are asked."""

    def load(self, families: list[str]) -> None:
        """Start loading what ``families`` need, so that the first verdict does not wait for it."""
        for kind in dict.fromkeys(map(kind_of, families)):
            self.preload(kind)

    def grade(
        self, family: str, gold: Gold, response: str, finish: Finish = "stop", prefilled: bool = False,
        tags: Tags = THINK_TAGS, thought: str = "",
    ) -> Grade:  # fmt: skip
        """The verdict on ``response``.

        ``prefilled``: the prompt already opened the think block, so the response starts inside it. ``thought``: what
        came in a field of its own, apart from the response; it is never graded. Raises NoGrader for
        an unknown family and GraderBroken when workers cannot be started, die again and again, or are being closed.
        """
        kind = kind_of(family, gold)
        if finish == "error":
            blank = dict(self._unanswered(kind, gold))
            return Grade(verdict="infra_error", reason="the model call failed", details=blank)
        cut = finish in ("length", "context")
        state, _, text, _ = split(response, tags, prefilled, thought)
        if state == "unclosed":
            why = "cut by the limit inside the thought" if cut else "the thought was never closed"
            reply = Reply(Judgement("unfinished", why))
        elif not text.strip():
            reply = Reply(Judgement("no_answer", "the answer is empty"))
        else:
            reply = self.ask(Question(kind=kind, gold=gold, answer=text, cut=cut))
        assert reply.judgement is not None
        verdict, reason, answer, found = reply.judgement
        details = dict(found or self._unanswered(kind, gold))
        if cut and verdict == "no_answer":
            verdict, reason = "unfinished", "cut by the limit before an answer"
        return Grade(
            verdict=verdict, reason=reason, answer=answer, think_state=state, seconds=reply.seconds,
            how=details.pop("how", ""), details=details,
        )  # fmt: skip

    def _unanswered(self, kind: str, gold: Gold) -> Mapping[str, Any]:
        """What a row's figures need of a sample without a judged answer: of a translation, the counts of a blank."""
        judged = self.ask(Question(kind=kind, gold=gold, answer="")).judgement if kind == "translation" else None
        return judged.details if judged else {}

    def statements(self, family: str, gold: Gold, text: str) -> list[Statement] | None:
        """Answers stated in ``text`` in order, each judged; None when looking for them took too long."""
        kind = kind_of(family, gold)
        if kind in ("instructions", "translation") or kind.startswith(GYM) or not text:
            return []
        return self.ask(Question(kind=kind, gold=gold, answer=text, statements=True)).statements


@cache
def shared_grader() -> Grader:
    """The grader of this process, for callers that cannot be handed one (lm-eval's task functions)."""
    import atexit

    grader = Grader()
    atexit.register(grader.close)
    return grader
