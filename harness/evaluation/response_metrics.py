"""Over-thinking metrics of one response. No judge model is involved; docs/metrics.md gives formulas and sources.

Where a trace states its answers comes from the graders (``grading.statements``); the rest is counting.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from harness.evaluation.reflection_words import reflection_words
from harness.grading.families import kind_of
from harness.grading.grade import Grader
from harness.grading.messages import Statement
from harness.grading.thinking import Parts, split
from harness.records import ErrorType, Finish, Grade, MetricValue, Problem, ResponseMetrics, Verdict
from harness.thoughts import Tags, strip_tags

# Phrases that open another line of thought, as EvalScope and THINK-Bench count them; "check" or "but" also occur in a
# plain calculation or in a problem's own words.
SWITCHES = (
    "alternatively", "but wait", "let me reconsider", "another way", "another approach", "another method",
    "another angle",
)  # fmt: skip
_SWITCH = re.compile("|".join(SWITCHES), re.IGNORECASE)

# Kinds of graders whose answers a thought states in the answer's own form. A plan's thought names states and steps in
# another notation, and instructions have no answer to state.
STATED = ("number", "math", "premise")

# A suffix loop is at least this many copies of one block, together at least this many tokens long.
LOOP_COPIES, LOOP_TOKENS = 4, 32
# The published criterion (arXiv 2512.12895): some 30-gram occurs at least 20 times.
NGRAM, NGRAM_COPIES = 30, 20
# An unanswered response is over-reflection when it has this many reflection words, this densely per 1,000 tokens.
OVER_REFLECTION_WORDS, OVER_REFLECTION_DENSITY = 8, 10.0
# Characters of a response that are analysed; what a model says beyond them is graded, but not measured.
LONGEST = 1_000_000


class Tokens(NamedTuple):
    """Tokens of a text: an identity and the end offset of each. ``unit``: whose tokens they are."""

    ids: Sequence[int]
    ends: Sequence[int]
    unit: str = "tokens"

    def until(self, offset: int) -> int:
        """How many tokens it takes to say the first ``offset`` characters."""
        return min(bisect_left(self.ends, offset) + 1, len(self.ends)) if offset > 0 else 0


_PIECE = re.compile(r"[\u3400-\u9fff\u3040-\u30ff]|\w+|[^\w\s]")


class Measured(NamedTuple):
    """Lengths of the two parts of a response, and its metrics."""

    thinking_tokens: int
    answer_tokens: int
    metrics: ResponseMetrics


def _tokens_of(text: str, backend: Any) -> Tokens:
    if backend is not None:
        encoded = backend.encode(text, add_special_tokens=False)
        return Tokens(encoded.ids, [end for _, end in encoded.offsets])
    pieces = list(_PIECE.finditer(text))
    return Tokens([hash(m.group()) for m in pieces], [m.end() for m in pieces], "words and marks")


def switches(thinking: str) -> int:
    """Count of the phrases of SWITCHES."""
    return len(_SWITCH.findall(strip_tags(thinking)))


def suffix_loop(ids: Sequence[int]) -> tuple[int, int]:
    """(period, copies) of the loop that ends the sequence, (0, 0) if there is none. Exact; the smallest period wins."""
    for period in range(1, len(ids) // LOOP_COPIES + 1):
        run = 0
        while run < len(ids) - period and ids[-1 - run] == ids[-1 - run - period]:
            run += 1
        copies = run // period + 1
        if copies >= LOOP_COPIES and copies * period >= LOOP_TOKENS:
            return period, copies
    return 0, 0


def _grams(ids: Sequence[int], n: int) -> Counter[tuple[int, ...]]:
    """How often each n-gram occurs."""
    return Counter(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1))


def of_response(
    parts: Parts, verdict: Verdict, finish: Finish, *, backend: Any = None, sampled: Sequence[int] | None = None,
    statements: Callable[[str], Sequence[Statement] | None] | None = None,
) -> Measured:  # fmt: skip
    """Metrics of the first LONGEST characters of a response, for ``sampled`` token ids (default: the text's own).

    ``backend``: a ``tokenizers`` object, which knows offsets; without one, words and marks are counted. ``statements``
    finds them in the text of thinking and answer; without it, or where it gives None (not in time), what rests on
    them is None.
    """
    thinking = parts.thinking[:LONGEST]
    answer = parts.answer[: LONGEST - len(thinking)]
    text = f"{thinking}\n{answer}" if answer else thinking
    tokens = _tokens_of(text, backend)
    found = statements(text) if statements else None
    response = Response(
        parts=parts._replace(thinking=thinking, answer=answer), verdict=verdict, finish=finish,
        tokens=tokens, statements=found or (), ids=tokens.ids if sampled is None else sampled,
    )  # fmt: skip
    has = {"": True, "search": found is not None and response.total > 0, "statements": bool(found and response.total)}
    values = {name: metric.of(response) if has[metric.needs] else None for name, metric in METRICS.items()}
    cut = (thinking, answer) != (parts.thinking, parts.answer)
    return Measured(
        thinking_tokens=response.thinking_tokens,
        # Thinking and answer are joined by a line break, of which no token is the answer's.
        answer_tokens=response.total - bisect_right(tokens.ends, len(thinking) + 1),
        metrics=ResponseMetrics.model_validate(values | {"unit": tokens.unit, "analysed": LONGEST if cut else None}),
    )


def judged(
    grader: Grader, problem: Problem, text: str, finish: Finish, *, tags: Tags, prefilled: bool, find: bool = True,
    backend: Any = None, sampled: Sequence[int] | None = None, thought: str = "",
) -> tuple[Grade, Measured]:  # fmt: skip
    """Verdict and metrics of a response to ``problem``; ``find``: look for statements, too, where its kind has any.

    ``thought``: what came apart from ``text``.
    """
    grade = grader.grade(problem.family, problem.gold, text, finish, prefilled, tags, thought)
    states = find and kind_of(problem.family, problem.gold) in STATED
    statements = partial(grader.statements, problem.family, problem.gold) if states else None
    parts = split(text, tags, prefilled, thought)
    return grade, of_response(parts, grade.verdict, finish, backend=backend, sampled=sampled, statements=statements)


@dataclass(frozen=True, kw_only=True)
class Response:
    """What a metric may look at. ``ids``: as sampled; ``tokens``: of the text that is analysed."""

    parts: Parts
    verdict: Verdict
    finish: Finish
    ids: Sequence[int]
    tokens: Tokens
    statements: Sequence[Statement]

    @property
    def total(self) -> int:
        return len(self.tokens.ends)

    @cached_property
    def thinking_tokens(self) -> int:
        return bisect_right(self.tokens.ends, len(self.parts.thinking))

    @cached_property
    def words(self) -> int:
        return reflection_words(self.parts.thinking)

    @cached_property
    def loop(self) -> tuple[int, int]:
        return suffix_loop(self.ids)

    @cached_property
    def looping(self) -> bool:
        return max(_grams(self.ids, NGRAM).values(), default=0) >= NGRAM_COPIES

    @property
    def repeated(self) -> float:
        """Share of repeated 4-grams, 1 - unique / all (seq-rep-4 of arXiv 1908.04319); 0 when there are none."""
        grams = _grams(self.ids, 4)
        return round(1 - len(grams) / grams.total(), 4) if grams else 0.0

    @cached_property
    def first(self) -> int | None:
        """Tokens up to the first right statement."""
        return next((self.tokens.until(end) for end, _, right, _ in self.statements if right), None)

    @cached_property
    def explicit(self) -> list[str]:
        """The answers that are marked as such, in order."""
        return [answer for _, answer, _, marked in self.statements if marked]

    @cached_property
    def final(self) -> list[int]:
        """Ends of the statements that state the final answer."""
        last = (self.explicit or [answer for _, answer, _, _ in self.statements])[-1]
        return [end for end, answer, _, _ in self.statements if answer == last]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """``of`` computes it; None: not defined for this response.

    ``needs``: nothing, a ``search`` for statements that ended in time, or that it found some ``statements``.
    ``summary``: what a table of results says of it: its ``mean`` (of yes or no the share) or ``median`` over the
    samples for which it is known, or the ``share`` of all samples in which it is neither None nor 0. Empty: nothing.
    ``figure``: the name of that, where it is not the metric's.
    """

    of: Callable[[Response], MetricValue]
    needs: Literal["", "search", "statements"] = ""
    summary: Literal["mean", "median", "share", ""] = ""
    figure: str = ""


_UNANSWERED = ("unfinished", "no_answer")
_FAILED = ("wrong", *_UNANSWERED)  # by the model; not by its grader or a call


def _underthinking(r: Response) -> float | None:
    if r.verdict not in _FAILED:
        return None
    return round(1 - r.first / r.total, 4) if r.first is not None else 0.0


def _oscillations(r: Response) -> int | None:
    """Changes between successive marked answers, of responses that mark one inside the thought."""
    inside = any(marked and end <= len(r.parts.thinking) for end, _, _, marked in r.statements)
    return sum(a != b for a, b in pairwise(r.explicit)) if inside else None


def _error_type(r: Response) -> ErrorType | None:
    """Which of the paper's kinds of failure (arXiv 2503.01461, Table 1) a response without an answer is.

    The paper gives examples, no rule; this one is ours: a loop is *repetition*; many reflection words are
    *over_reflection*; an end without an answer for neither reason is *instruction_failure*, a cut is *length*.
    """
    if r.verdict not in _UNANSWERED:
        return None
    if r.loop[0] or r.looping:
        return "repetition"
    if r.words >= OVER_REFLECTION_WORDS and 1000 * r.words / max(r.thinking_tokens, 1) >= OVER_REFLECTION_DENSITY:
        return "over_reflection"
    return "length" if r.finish in ("length", "context") else "instruction_failure"


# Every metric of a response. A new one is an entry here: samples, summaries, tables and their JSON carry it.
METRICS: dict[str, Metric] = {
    "reflection_words": Metric(of=lambda r: r.words),
    "switches": Metric(of=lambda r: switches(r.parts.thinking)),
    "loop_period": Metric(of=lambda r: r.loop[0], summary="share", figure="loops"),
    "loop_copies": Metric(of=lambda r: r.loop[1]),
    "loop_onset": Metric(of=lambda r: len(r.ids) - r.loop[0] * r.loop[1] if r.loop[0] else None),
    "ngram_loop": Metric(of=lambda r: r.looping, summary="mean", figure="ngram_loops"),
    "seq_rep_4": Metric(of=lambda r: r.repeated, summary="mean"),
    "first_correct": Metric(of=lambda r: r.first, needs="statements", summary="median"),
    "efficiency": Metric(of=lambda r: round((r.first or 0) / r.total, 4), needs="statements", summary="mean"),
    "underthinking": Metric(of=_underthinking, needs="search", summary="mean"),
    "redundant": Metric(
        of=lambda r: round(1 - r.tokens.until(r.final[0]) / r.total, 4), needs="statements", summary="mean"
    ),
    "repeats": Metric(of=lambda r: len(r.final) - 1, needs="statements"),
    "oscillations": Metric(of=_oscillations, needs="statements", summary="mean"),
    "abandoned": Metric(of=lambda r: r.first is not None and r.verdict in _FAILED, needs="statements", summary="mean"),
    "right_then_wrong": Metric(
        of=lambda r: r.first is not None and r.verdict == "wrong", needs="statements", summary="mean"
    ),
    "right_then_unanswered": Metric(
        of=lambda r: r.first is not None and r.verdict in _UNANSWERED, needs="statements", summary="mean"
    ),
    "error_type": Metric(of=_error_type),
}
