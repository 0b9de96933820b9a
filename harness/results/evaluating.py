"""A run with its summary: samples on disk, and what they say in ``metrics.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.evaluation.evaluate import evaluate
from harness.evaluation.plan import EvalPlan, Progress
from harness.journal import write_whole
from harness.models.base import Completer
from harness.results.records import Metrics, Summary
from harness.results.summary import row


def evaluate_and_summarise(
    completer: Completer, tokenizer: Any, plan: EvalPlan, folder: Path,
    progress: Progress = lambda done, total, tokens: None,
) -> dict[str, Summary]:  # fmt: skip
    """Run ``plan`` as ``evaluate`` does, write ``metrics.json`` beside its samples; returns figures by task."""
    done = evaluate(completer, tokenizer, plan, folder, progress)
    figures = {t.name: row([s for s in done.samples if s.task == t.name], plan.decoding.max_tokens) for t in plan.tasks}
    metrics = Metrics(rows=figures, lm_eval=done.lm_eval, decoding=plan.decoding, seconds=done.seconds)
    write_whole(folder / "metrics.json", json.dumps(metrics.model_dump(), indent=1) + "\n")
    return figures
