"""The figures of one model on one task, every sample counted."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.evaluation.plan import EvalPlan, Progress
from harness.evaluation.response_metrics import METRICS
from harness.grading import translation
from harness.grading.answers import GUESSED
from harness.journal import write_whole
from harness.models.base import Completer
from harness.records import Sample
from harness.results import budget, thinking, twins
from harness.results.records import Data, Summary
from harness.results.statistics import by_item, item_interval, mean, of_task, scores_by_item, test_at_n

ERROR_TYPES = ("repetition", "over_reflection", "instruction_failure", "length")


def evaluate_and_summarise(
    completer: Completer, tokenizer: Any, plan: EvalPlan, folder: Path,
    progress: Progress = lambda done, total, tokens: None, several: bool = False,
) -> dict[str, Summary]:  # fmt: skip
    """Run ``plan`` as ``evaluate`` does, write ``metrics.json`` beside its samples; returns figures by task."""
    from harness.evaluation.evaluate import evaluate

    done = evaluate(completer, tokenizer, plan, folder, progress, several)
    figures = {task.name: row(of_task(done.samples, task.name)) for task in plan.tasks}
    rows = {task: figure.model_dump() for task, figure in figures.items()}
    metrics = {"rows": rows, "lm_eval": done.lm_eval, "decoding": plan.decoding.model_dump(), "seconds": done.seconds}
    write_whole(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    return figures


def row(samples: Sequence[Sample]) -> Summary:
    """The figures of a task's samples. Raises ValueError on no samples."""
    if not samples:
        raise ValueError("no samples: a row without items has no figures")
    n = len(samples)
    count = Counter(s.grade.verdict for s in samples)
    answered = count["correct"] + count["wrong"]
    thought = sum(s.thinking_tokens for s in samples)
    scores = scores_by_item(samples)
    low, high = item_interval(list(scores.values()))
    words = sum(s.metrics.reflection_words for s in samples)
    switches = [v for s in samples if isinstance(v := getattr(s.metrics, "switches", None), int)]
    typical = thinking.median_thinking(samples)
    sizes = {len(item) for item in scores.values()}
    return Summary(
        n=len(scores),
        samples=n,
        accuracy=mean(scores.values()),
        low=low,
        high=high,
        accuracy_answered=count["correct"] / answered if answered else None,
        guessed=guessed(samples),
        accuracy_marked=_marked(samples),
        no_answer=(n - answered) / n,
        unfinished=count["unfinished"] / n,
        empty=count["no_answer"] / n,
        failed=(count["grader_timeout"] + count["infra_error"]) / n,
        wrong=count["wrong"] / n,
        cut=sum(map(budget.cut, samples)) / n,
        median_thinking_tokens=typical.value,
        median_thinking_over=typical.over,
        mean_thinking_tokens=thought / n,
        median_answer_tokens=statistics.median(s.answer_tokens for s in samples),
        reflection_per_1000=1000 * words / thought if thought else 0.0,
        switches_per_1000=1000 * sum(switches) / thought if thought and len(switches) == n else None,
        tokens_per_correct=sum(map(budget.length, samples)) / count["correct"] if count["correct"] else None,
        error_types={t: sum(s.metrics.error_type == t for s in samples) / n for t in ERROR_TYPES},
        auc=thinking.auc(samples, thinking.PUBLISHED),
        auc_100=thinking.auc(samples, thinking.TINY),
        test_at=test_at_n(list(scores.values())) if len(sizes) == 1 and sizes != {1} else None,
        forced=sum(s.forced for s in samples) / n,
        relocated=_relocated(samples),
        **_measured(samples),
        **thinking.by_level(samples),
        **twins.figures(samples),
    )


def _judged(samples: Sequence[Sample]) -> list[Sample]:
    """Samples with a verdict on their answer; none where it is not known of each how the answer was found."""
    judged = [s for s in samples if s.grade.verdict in ("correct", "wrong")]
    return judged if all(s.grade.how for s in judged) else []


def guessed(samples: Sequence[Sample]) -> float | None:
    """Share of right and wrong verdicts on an answer that nothing marks; None where that is not known."""
    judged = _judged(samples)
    return sum(s.grade.how in GUESSED for s in judged) / len(judged) if judged else None


def _marked(samples: Sequence[Sample]) -> float | None:
    if not _judged(samples):
        return None
    right = by_item(samples, lambda s: s.grade.correct and s.grade.how not in GUESSED)
    return mean(right.values())


def _relocated(samples: Sequence[Sample]) -> float | None:
    """How many tokens longer answers are after thoughts that were closed from outside, by the medians.

    Thinking that goes on behind the closing tag shows here. None: not of both kinds.
    """
    forced, free = ([s.answer_tokens for s in samples if s.forced == kind] for kind in (True, False))
    return statistics.median(forced) - statistics.median(free) if forced and free else None


def _measured(samples: Sequence[Sample]) -> Data:
    """What the metrics of responses sum up to (None: known of no sample), and figures of IFEval and translation."""
    out: Data = {}
    for name, metric in METRICS.items():
        known = [v for s in samples if isinstance(v := getattr(s.metrics, name, None), int | float)]
        if metric.summary == "share":
            out[metric.figure or name] = sum(map(bool, known)) / len(samples)
        elif metric.summary:
            of = statistics.fmean if metric.summary == "mean" else statistics.median
            out[metric.figure or name] = float(of(known)) if known else None
    for rule in ("strict", "loose") if any("strict" in s.grade.details for s in samples) else ():
        lists = [s.grade.details.get(rule) or [False] for s in samples]  # an unanswered sample follows no instruction
        followed = [ok for one in lists for ok in one]
        out[f"prompt_{rule}"] = sum(all(one) for one in lists) / len(lists)
        out[f"instruction_{rule}"] = sum(followed) / len(followed)
    counted = [s.grade.details for s in samples if "counts" in s.grade.details]
    return out | ({**translation.corpus(counted), "translations": len(counted)} if counted else {})
