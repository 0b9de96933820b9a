"""Length distributions and accuracy within token budgets of stored samples, as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.records import Sample
from harness.results import budget
from harness.results.runs import Run
from harness.view.page import Block, Figure, Page, Section, Series, binned

_BINS = 48


def both(
    task: str, groups: Mapping[str, Sequence[Sample]], curves: Mapping[str, Sequence[budget.Point]],
    notes: Mapping[str, str],
) -> list[Block]:  # fmt: skip
    """Both figures of a task. By label: the samples, the points of their ``budget.curve``, notes on their lengths."""
    top = max((budget.length(s) for samples in groups.values() for s in samples), default=1) or 1
    lengths, accuracies = [], []
    for label, samples in groups.items():
        ended, cut = (
            binned((budget.length(s) for s in samples if budget.cut(s) is was_cut), top, _BINS)
            for was_cut in (False, True)
        )
        lengths.append(Series(label=label, y=ended, second=cut, note=notes.get(label, "")))
    for label, points in curves.items():
        enough = budget.saturation(points)
        accuracies.append(Series(
            label=label, x=[p.budget for p in points], y=[p.accuracy for p in points], low=[p.low for p in points],
            high=[p.high for p in points], second=[p.answered for p in points],
            note="" if enough is None else f"95 % of the accuracy within {enough} tokens",
        ))  # fmt: skip
    return [
        Figure(name=f"lengths.{task}", title=task, x="tokens per sample", y="samples", series=lengths, bins=top,
               kinds=("ended", "cut")),
        Figure(name=f"budget.{task}", title=task, x="budget of tokens", y="accuracy", series=accuracies,
               kinds=("accuracy", "answered")),
    ]  # fmt: skip


def page(runs: Sequence[Run]) -> Page:
    """Both figures of every task, the runs in one figure; its data are curves and Kaplan-Meier lengths."""
    labels = {run.name: f"{run.name[:12]}  {Path(run.manifest.model).name}" for run in runs}
    data: dict[str, dict[str, Any]] = {run.name: {} for run in runs}
    sections = []
    for task in dict.fromkeys(task for run in runs for task in run.tasks):
        groups, curves, notes = {}, {}, {}
        for run in (run for run in runs if task in run.tasks):
            label = labels[run.name]
            groups[label], curves[label] = run.of(task), budget.curve(run.of(task))
            known = budget.lengths(groups[label])
            median = "over half are cut" if known.median is None else f"median {known.median:g}"
            notes[label] = f"{median}, cut {100 * known.censored:.1f} %"
            points = [point.model_dump() for point in curves[label]]
            data[run.name][task] = {"curve": points, "lengths": known.model_dump()}
        sections.append(Section(title=task, blocks=both(task, groups, curves, notes)))
    record = {"runs": [{"run": name, "tasks": tasks} for name, tasks in data.items()]}
    return Page(title=f"lengths and budgets of {', '.join(labels)}", blocks=sections, data=record)
