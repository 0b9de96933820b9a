"""The figures of one model on one task, every sample counted; and samples by item, as all tests take them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from harness.evaluation.response_metrics import METRICS
from harness.records import Sample
from harness.results.records import Summary

_VERDICTS = ("correct", "wrong", "no_answer", "unfinished", "grader_timeout", "infra_error")
ERROR_TYPES = ("repetition", "over_reflection", "instruction_failure", "length")


def row(samples: Sequence[Sample], cap: int | None = None) -> Summary:
    """The figures of a task's samples. Raises ValueError on no samples.

    ``cap``: the token limit of the run, for the area under the budget curve. The interval of accuracy comes from the
    spread between items.
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
    sizes = {len(item) for item in scores.values()}
    return Summary(
        n=len(scores),
        samples=n,
        accuracy=statistics.fmean(statistics.fmean(item) for item in scores.values()),
        low=low,
        high=high,
        accuracy_answered=count["correct"] / answered if answered else None,
        no_answer=(n - answered) / n,
        unfinished=count["unfinished"] / n,
        empty=count["no_answer"] / n,
        failed=(count["grader_timeout"] + count["infra_error"]) / n,
        wrong=count["wrong"] / n,
        cut=sum(map(budget.cut, samples)) / n,
        median_thinking_tokens=statistics.median(thinking),
        mean_thinking_tokens=statistics.fmean(thinking),
        median_answer_tokens=statistics.median(s.answer_tokens for s in samples),
        reflection_per_1000=1000 * words / sum(thinking) if sum(thinking) else 0.0,
        tokens_per_correct=sum(map(budget.length, samples)) / count["correct"] if count["correct"] else None,
        error_types={t: sum(s.metrics.error_type == t for s in samples) / n for t in ERROR_TYPES},
        auc=budget.auc(samples, cap) if cap else None,
        test_at=test_at_n(list(scores.values())) if len(sizes) == 1 and sizes != {1} else None,
        **_measured(samples),
        **_instruction_figures(samples),
    )


def of_task(samples: Sequence[Sample], task: str) -> list[Sample]:
    return [sample for sample in samples if sample.task == task]


def by_item(samples: Sequence[Sample], value: Callable[[Sample], float]) -> dict[str, list[float]]:
    """A value of each item's samples, in the order of their numbers."""
    out: dict[str, list[float]] = {}
    for sample in sorted(samples, key=lambda s: s.index):
        out.setdefault(sample.problem_id, []).append(float(value(sample)))
    return out


def scores_by_item(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Each item's samples: 1 where right, else 0."""
    return by_item(samples, lambda s: s.grade.correct)


def no_answers(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Each item's samples: 1 where without an answer, else 0."""
    return by_item(samples, lambda s: s.grade.verdict not in ("correct", "wrong"))


def clusters_of(samples: Sequence[Sample]) -> dict[str, str]:
    """Items that share a source: turns and languages of one Multi-IF base prompt (``1019:16:en#2``: 1019)."""
    shared = [s.problem_id for s in samples if s.task.startswith("multi_if") and ":" in s.problem_id]
    return {name: name.split(":")[0] for name in shared}


def _measured(samples: Sequence[Sample]) -> dict[str, float | None]:
    """What the metrics of responses sum up to; None where one is known of no sample."""
    out: dict[str, float | None] = {}
    for name, metric in METRICS.items():
        known = [v for s in samples if isinstance(v := getattr(s.metrics, name, None), int | float)]
        if metric.summary == "share":
            out[metric.figure or name] = sum(map(bool, known)) / len(samples)
        elif metric.summary:
            of = statistics.fmean if metric.summary == "mean" else statistics.median
            out[metric.figure or name] = float(of(known)) if known else None
    return out


def _instruction_figures(samples: Sequence[Sample]) -> dict[str, float]:
    """IFEval's four figures where samples carry verdicts by instruction; an unanswered sample follows none."""
    out: dict[str, float] = {}
    for rule in ("strict", "loose") if any("strict" in s.grade.details for s in samples) else ():
        lists = [s.grade.details.get(rule) or [False] for s in samples]
        flat = [ok for one in lists for ok in one]
        out[f"prompt_{rule}"] = sum(all(one) for one in lists) / len(lists)
        out[f"instruction_{rule}"] = sum(flat) / len(flat)
    return out
