"""The figures of one row of a table: one model on one task, every sample counted."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from harness.records import Sample

_VERDICTS = ("correct", "wrong", "no_answer", "unfinished", "grader_timeout", "infra_error")
ERROR_TYPES = ("repetition", "over_reflection", "instruction_failure", "length")


def row(samples: Sequence[Sample], cap: int | None = None) -> dict[str, Any]:
    """The figures every table shows for these samples; rates from 0 to 1. Raises ValueError on no samples.

    ``n`` counts items. With several samples an item, rates are means over items of item means, and the interval comes
    from the spread between items. ``cap``: the token budget of the run, for the area under the budget curve.
    """
    from harness.results import budget
    from harness.results.statistics import item_interval, test_at_n

    n = len(samples)
    if n == 0:
        raise ValueError("no samples: a row without items has no figures")
    count = {verdict: sum(s.grade.verdict == verdict for s in samples) for verdict in _VERDICTS}
    answered = count["correct"] + count["wrong"]
    thinking = [s.thinking_tokens for s in samples]
    scores = scores_by_item(samples)
    low, high = item_interval(list(scores.values()))
    words = sum(s.metrics.reflection_words for s in samples)
    spent = sum(len(s.token_ids) or s.thinking_tokens + s.answer_tokens for s in samples)
    drawn = {len(item) for item in scores.values()}
    figures: dict[str, Any] = {
        "n": len(scores),
        "samples": n,
        "accuracy": statistics.fmean(statistics.fmean(item) for item in scores.values()),
        "low": low,
        "high": high,
        "accuracy_answered": count["correct"] / answered if answered else None,
        "no_answer": (n - answered) / n,
        "unfinished": count["unfinished"] / n,
        "empty": count["no_answer"] / n,
        "failed": (count["grader_timeout"] + count["infra_error"]) / n,
        "wrong": count["wrong"] / n,
        "cut": sum(s.finish in ("length", "context") for s in samples) / n,
        "loops": sum(s.metrics.loop_period > 0 for s in samples) / n,
        "ngram_loops": _share(samples, "ngram_loop"),
        "median_thinking_tokens": statistics.median(thinking),
        "mean_thinking_tokens": statistics.fmean(thinking),
        "median_answer_tokens": statistics.median(s.answer_tokens for s in samples),
        "reflection_per_1000": 1000 * words / sum(thinking) if sum(thinking) else 0.0,
        "tokens_per_correct": spent / count["correct"] if count["correct"] else None,
        "seq_rep_4": _mean(samples, "seq_rep_4"),
        "first_correct": _median(samples, "first_correct"),
        "efficiency": _mean(samples, "efficiency"),
        "underthinking": _mean(samples, "underthinking"),
        "redundant": _mean(samples, "redundant"),
        "oscillations": _mean(samples, "oscillations"),
        "abandoned": _share(samples, "abandoned"),
        "error_types": {t: sum(s.metrics.error_type == t for s in samples) / n for t in ERROR_TYPES},
        "auc": budget.auc(samples, cap) if cap else None,
    }
    if len(drawn) == 1 and drawn != {1}:
        figures["test_at"] = test_at_n(list(scores.values()))
    return figures | _instruction_figures(samples)


def scores_by_item(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Each item's scores in the order of its samples."""
    out: dict[str, list[float]] = {}
    for sample in sorted(samples, key=lambda s: s.index):
        out.setdefault(sample.problem_id, []).append(float(sample.grade.correct))
    return out


def _values(samples: Sequence[Sample], name: str) -> list[float]:
    values = [getattr(s.metrics, name) for s in samples]
    return [float(value) for value in values if value is not None]


def _mean(samples: Sequence[Sample], name: str) -> float | None:
    found = _values(samples, name)
    return statistics.fmean(found) if found else None


def _median(samples: Sequence[Sample], name: str) -> float | None:
    found = _values(samples, name)
    return statistics.median(found) if found else None


def _share(samples: Sequence[Sample], name: str) -> float | None:
    """Share over the samples for which it is known at all."""
    return _mean(samples, name)


def _instruction_figures(samples: Sequence[Sample]) -> dict[str, Any]:
    """IFEval's four figures where samples carry verdicts by instruction; an unanswered sample follows none."""
    if not any("strict" in s.grade.details for s in samples):
        return {}
    out: dict[str, Any] = {}
    for rule in ("strict", "loose"):
        lists = [s.grade.details.get(rule) or [False] for s in samples]
        flat = [ok for one in lists for ok in one]
        out[f"prompt_{rule}"] = sum(all(one) for one in lists) / len(lists)
        out[f"instruction_{rule}"] = sum(flat) / len(flat)
    return out
