"""Over-thinking metrics of one response. No judge model is involved; docs/metrics.md gives formulas and sources.

Where a trace states its answers comes from the graders (``grading.statements``); the rest is counting.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from harness.grading.messages import Statement
from harness.grading.thinking import Parts
from harness.records import ErrorType, Finish, ResponseMetrics, Verdict
from harness.thoughts import strip_tags

# The word list of arXiv 2506.08343 as far as it is published; whole words, any case.
REFLECTION_WORDS = (
    "wait", "alternatively", "hmm", "but", "however", "alternative", "another", "check", "double-check", "oh", "maybe",
    "verify", "other", "again",
)  # fmt: skip
# The same kinds of word in Chinese, which has no word boundaries (our list; none is published).
REFLECTION_CHINESE = (
    "等等", "等一下", "不对", "但是", "然而", "或者说", "另一种", "另外", "检查",
    "验证", "再想", "重新", "让我再", "也许", "可能不",
)  # fmt: skip
_REFLECTION = re.compile(r"(?<![\w-])(?:" + "|".join(REFLECTION_WORDS) + r")(?![\w-])", re.IGNORECASE | re.ASCII)
_CHINESE = re.compile("|".join(REFLECTION_CHINESE))

# A suffix loop is at least this many copies of one block, together at least this many tokens long.
LOOP_COPIES, LOOP_TOKENS = 4, 32
# The published criterion (arXiv 2512.12895): some 30-gram occurs at least 20 times.
NGRAM, NGRAM_COPIES = 30, 20
# An unanswered response is over-reflection when it has this many reflection words, this densely per 1,000 tokens.
OVER_REFLECTION_WORDS, OVER_REFLECTION_DENSITY = 8, 10.0
# Characters of a response that are analysed; what a model says beyond them is graded, but not measured.
LONGEST = 1_000_000


@dataclass(frozen=True)
class Tokens:
    """Tokens of a text: an identity and the end offset of each. ``unit``: whose tokens they are."""

    ids: Sequence[int]
    ends: Sequence[int]
    unit: str = "tokens"

    def until(self, offset: int) -> int:
        """How many tokens it takes to say the first ``offset`` characters."""
        return min(bisect_left(self.ends, offset) + 1, len(self.ends)) if offset > 0 else 0


_PIECE = re.compile(r"[\u3400-\u9fff\u3040-\u30ff]|\w+|[^\w\s]")


def backend_of(tokenizer: Any) -> Any:
    """The ``tokenizers`` object of a transformers tokenizer, which knows offsets; None if it has none."""
    return getattr(tokenizer, "backend_tokenizer", None)


def tokens_of(text: str, backend: Any = None) -> Tokens:
    """Tokens by a ``tokenizers`` object; without one, words and marks."""
    if backend is not None:
        found = backend.encode(text, add_special_tokens=False)
        return Tokens(found.ids, [end for _, end in found.offsets])
    pieces = list(_PIECE.finditer(text))
    return Tokens([hash(m.group()) for m in pieces], [m.end() for m in pieces], "words and marks")


def reflection_words(thinking: str) -> int:
    """Count of reflection words, English and Chinese; tags of thoughts do not count."""
    text = strip_tags(thinking)
    return len(_REFLECTION.findall(text)) + len(_CHINESE.findall(text))


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


def seq_rep(ids: Sequence[int], n: int = 4) -> float:
    """Share of repeated n-grams, 1 - unique / all (seq-rep-n of arXiv 1908.04319); 0 when there are none."""
    total = len(ids) - n + 1
    return 1 - len({tuple(ids[i : i + n]) for i in range(total)}) / total if total > 0 else 0.0


def ngram_loop(ids: Sequence[int], n: int = NGRAM, copies: int = NGRAM_COPIES) -> bool:
    """Whether some n-gram occurs at least ``copies`` times (arXiv 2512.12895)."""
    if len(ids) < n + copies - 1:
        return False
    return max(Counter(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)).values()) >= copies


def stated_text(parts: Parts) -> str:
    """Thinking and answer as one text, in which statements are looked for."""
    return parts.thinking + "\n" + parts.answer if parts.answer else parts.thinking


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Lengths of the two parts of a response, and its metrics."""

    thinking_tokens: int
    answer_tokens: int
    metrics: ResponseMetrics


def analysed(parts: Parts) -> Parts:
    """The parts as far as they are analysed: LONGEST characters of both together."""
    if len(parts.thinking) + len(parts.answer) <= LONGEST:
        return parts
    thinking = parts.thinking[:LONGEST]
    return parts._replace(thinking=thinking, answer=parts.answer[: LONGEST - len(thinking)])


def of_response(
    parts: Parts, verdict: Verdict, finish: Finish, *, backend: Any = None, sampled: Sequence[int] | None = None,
    statements: Sequence[Statement] | None = (),
) -> Measured:  # fmt: skip
    """Metrics of one response, for ``sampled`` token ids (default: the text's own); ``backend`` as in ``tokens_of``.

    ``statements`` as found in ``stated_text(analysed(parts))``; None: they could not be found in time, and what rests
    on them is None. Units are tokens.
    """
    looked_at = analysed(parts)
    tokens = tokens_of(stated_text(looked_at), backend)
    thinking = bisect_right(tokens.ends, len(looked_at.thinking))
    joint = len(looked_at.thinking) + 1  # where the line break between thinking and answer ends
    ids = tokens.ids if sampled is None else sampled
    period, copies = suffix_loop(ids)
    words, looping = reflection_words(looked_at.thinking), ngram_loop(ids)
    failed = verdict in ("unfinished", "no_answer")
    metrics = ResponseMetrics(
        unit=tokens.unit,
        reflection_words=words,
        loop_period=period,
        loop_copies=copies,
        loop_onset=len(ids) - period * copies if period else None,
        ngram_loop=looping,
        seq_rep_4=round(seq_rep(ids), 4),
        error_type=_error_type(bool(period) or looping, words, thinking, finish) if failed else None,
        analysed=None if looked_at is parts else LONGEST,
        **_of_statements(statements, tokens, verdict),
    )
    return Measured(
        thinking_tokens=thinking, answer_tokens=len(tokens.ends) - bisect_right(tokens.ends, joint), metrics=metrics
    )


def _of_statements(statements: Sequence[Statement] | None, tokens: Tokens, verdict: Verdict) -> dict[str, Any]:
    total = len(tokens.ends)
    if not statements or not total:
        return {}
    first = next((tokens.until(end) for end, _, right, _ in statements if right), None)
    explicit = [(end, answer) for end, answer, _, marked in statements if marked]
    changes = sum(a != b for (_, a), (_, b) in pairwise(explicit))
    final = (explicit or [(end, answer) for end, answer, _, _ in statements])[-1][1]
    same = [end for end, answer, _, _ in statements if answer == final]
    return {
        "first_correct": first,
        "efficiency": round(first / total, 4) if first is not None else 0.0,
        "underthinking": None if verdict != "wrong" else round(1 - first / total, 4) if first is not None else 0.0,
        "redundant": round(1 - tokens.until(same[0]) / total, 4),
        "repeats": len(same) - 1,
        "oscillations": changes,
        "abandoned": first is not None and verdict != "correct",
    }


def _error_type(looping: bool, words: int, thinking: int, finish: Finish) -> ErrorType:
    """Which of the paper's kinds of failure (arXiv 2503.01461, Table 1) a response without an answer is.

    The paper gives examples, no rule; this one is ours: a loop is *repetition*; many reflection words are
    *over_reflection*; an end without an answer for neither reason is *instruction_failure*, a cut is *length*.
    """
    if looping:
        return "repetition"
    if words >= OVER_REFLECTION_WORDS and 1000 * words / max(thinking, 1) >= OVER_REFLECTION_DENSITY:
        return "over_reflection"
    return "length" if finish in ("length", "context") else "instruction_failure"
