"""Over-thinking metrics of one response and of a row of a table. No judge model is involved.

Sources: no-answer by cause as in arXiv 2503.01461 Table 5 (whose rule is unpublished; ours is in docs/metrics.md),
reflection words after arXiv 2506.08343, suffix loops are exact.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from typing import Any

from harness.grading.thinking import split
from harness.records import Sample
from harness.thoughts import strip_tags

# The word list of arXiv 2506.08343 as far as it is published; whole words, any case.
REFLECTION_WORDS = (
    "wait", "alternatively", "hmm", "but", "however", "alternative", "another", "check", "double-check", "oh", "maybe",
    "verify", "other", "again",
)  # fmt: skip
_REFLECTION = re.compile(r"(?<![\w-])(?:" + "|".join(REFLECTION_WORDS) + r")(?![\w-])", re.IGNORECASE)

# A loop is at least this many copies of one block, together at least this many tokens long.
LOOP_COPIES, LOOP_TOKENS = 4, 32


def reflection_words(thinking: str) -> int:
    """Whole-word count of reflection words; tags of thoughts do not count."""
    return len(_REFLECTION.findall(strip_tags(thinking)))


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


def of_response(text: str, token_ids: Sequence[int], tokenizer: Any, prefilled: bool = False) -> dict[str, Any]:
    """Metrics of one response: token counts of thinking and answer, reflection words, the loop at its end."""
    parts = split(text, prefilled=prefilled)
    thinking = len(tokenizer.encode(parts.thinking, add_special_tokens=False))
    period, copies = suffix_loop([i for i in token_ids if i != tokenizer.eos_token_id])
    return {
        "thinking_tokens": thinking,
        "answer_tokens": len(tokenizer.encode(parts.answer, add_special_tokens=False)),
        "reflection_words": reflection_words(parts.thinking),
        "loop_period": period,
        "loop_copies": copies,
    }


def row(samples: Sequence[Sample]) -> dict[str, Any]:
    """The figures every table shows for these samples; rates from 0 to 1. Raises ValueError on no samples."""
    from harness.evaluation.statistics import wilson

    n = len(samples)
    if n == 0:
        raise ValueError("no samples: a row without items has no figures")
    count = {verdict: sum(s.grade.verdict == verdict for s in samples) for verdict in _VERDICTS}
    answered = count["correct"] + count["wrong"]
    thinking = [s.thinking_tokens for s in samples]
    low, high = wilson(count["correct"], n)
    words = sum(s.metrics["reflection_words"] for s in samples)
    return {
        "n": n,
        "accuracy": count["correct"] / n,
        "low": low,
        "high": high,
        "accuracy_answered": count["correct"] / answered if answered else None,
        "no_answer": (n - answered) / n,
        "unfinished": count["unfinished"] / n,
        "empty": count["no_answer"] / n,
        "failed": (count["grader_timeout"] + count["infra_error"]) / n,
        "wrong": count["wrong"] / n,
        "cut": sum(s.finish in ("length", "context") for s in samples) / n,
        "loops": sum(s.metrics["loop_period"] > 0 for s in samples) / n,
        "median_thinking_tokens": statistics.median(thinking),
        "mean_thinking_tokens": statistics.fmean(thinking),
        "reflection_per_1000": 1000 * words / sum(thinking) if sum(thinking) else 0.0,
    }


_VERDICTS = ("correct", "wrong", "no_answer", "unfinished", "grader_timeout", "infra_error")
