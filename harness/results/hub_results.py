"""A run's accuracies as evaluation results of the Hub: a YAML file for ``.eval_results`` of a model's repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from harness.errors import NoRuns
from harness.journal import write_whole
from harness.problems.registry import tasks
from harness.results.records import Summary
from harness.results.runs import Run
from harness.results.summary import row

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def export(run: Run, out: Path) -> tuple[Path, list[str]]:
    """Write ``out/.eval_results/harness-RUN.yaml``; its path, and the tasks left out because the Hub has no such set.

    Values are in percent. Raises NoRuns where nothing is left. ``task_id`` is "default": that of a benchmark with
    several tasks stands in its ``eval.yaml``.
    """
    known, entries, left = tasks(), list[dict[str, Any]](), list[str]()
    for name in run.tasks:
        task = known.get(name)
        if task is None or not HUB_ID.fullmatch(task.source):
            left.append(name)
            continue
        summary = row(run.of(name))
        entry = {
            "dataset": {"id": task.source, "task_id": "default"}, "value": round(100 * summary.accuracy, 2),
            "notes": _notes(run, name, summary, task.items),
        }  # fmt: skip
        entries.append(entry | ({"date": run.manifest.date} if run.manifest.date else {}))
    if not entries:
        raise NoRuns(f"{run.folder}: no task of it is one data set of the Hub ({', '.join(left)})")
    file = out / ".eval_results" / f"harness-{run.manifest.run[:12]}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True))
    return file, left


def _notes(run: Run, task: str, summary: Summary, items: str) -> str:
    """What a bare value would hide."""
    decoding = run.manifest.decoding
    how = "greedy" if not decoding.temperature else f"temperature {decoding.temperature:g}, top-p {decoding.top_p:g}"
    each = summary.samples // max(1, summary.n)
    return (
        f"{task} by harness: {summary.n} of {items or 'unknown'} items, {each} sample{'s' if each > 1 else ''} each, "
        f"{how}; 95% interval {100 * summary.low:.1f} to {100 * summary.high:.1f}; without an answer "
        f"{100 * summary.no_answer:.1f} %"
    )
