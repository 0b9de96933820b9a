"""Length distributions and accuracy within token budgets of stored samples, as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.records import Sample
from harness.results import budget
from harness.results.runs import Run
from harness.view.figure import Bars, Curves, Histogram, Series, binned
from harness.view.page import Block, Page, Section

Groups = Mapping[str, Sequence[Sample]]  # samples of a task, by the label they are drawn under
_BINS = 48


def lengths(task: str, groups: Groups, notes: Mapping[str, str] | None = None) -> Histogram:
    """How many answers have how many tokens; those cut by the limit stacked on those that ended."""
    top = max((budget.length(s) for samples in groups.values() for s in samples), default=1) or 1
    bars = []
    for label, samples in groups.items():
        ended, cut = ([budget.length(s) for s in samples if budget.cut(s) is was_cut] for was_cut in (False, True))
        counts = [binned(side, 0, top, _BINS) for side in (ended, cut)]
        bars.append(Bars(label=label, counts=counts[0], second=counts[1], note=(notes or {}).get(label, "")))
    return Histogram(
        name=f"lengths.{task}", title=task, x="tokens per sample", y="samples", low=0, high=top, bars=bars,
        kinds=("ended", "cut"),
    )  # fmt: skip


def budgets(task: str, curves: Mapping[str, Sequence[budget.Point]]) -> Curves:
    """Accuracy, and the share answered, within a budget of tokens. ``curves``: points of ``budget.curve`` by label."""
    series = []
    for label, points in curves.items():
        enough = budget.saturation(points)
        series.append(Series(
            label=label, x=[p.budget for p in points], y=[p.accuracy for p in points], low=[p.low for p in points],
            high=[p.high for p in points], second=[p.answered for p in points],
            note="" if enough is None else f"95 % of the accuracy within {enough} tokens",
        ))  # fmt: skip
    return Curves(
        name=f"budget.{task}", title=task, x="budget of tokens", y="accuracy", second="answered", series=series
    )


def both(task: str, groups: Groups) -> list[Block]:
    return [lengths(task, groups), budgets(task, {label: budget.curve(list(s)) for label, s in groups.items()})]


def page(runs: Sequence[Run]) -> Page:
    """Both figures of every task, the runs in one figure; its data are curves and Kaplan-Meier lengths."""
    labels = {run.name: _label(run) for run in runs}
    data: dict[str, dict[str, Any]] = {run.name: {} for run in runs}
    sections = []
    for task in dict.fromkeys(task for run in runs for task in run.tasks):
        groups = {run.name: run.of(task) for run in runs if task in run.tasks}
        points = {name: budget.curve(samples) for name, samples in groups.items()}
        known = {name: budget.lengths(samples) for name, samples in groups.items()}
        for name in groups:
            curve = [point.model_dump() for point in points[name]]
            data[name][task] = {"curve": curve, "lengths": known[name].model_dump()}
        notes = {labels[name]: _known(known[name]) for name in groups}
        drawn: list[Block] = [
            lengths(task, {labels[name]: samples for name, samples in groups.items()}, notes),
            budgets(task, {labels[name]: points[name] for name in groups}),
        ]
        sections.append(Section(title=task, blocks=drawn))
    names = ", ".join(labels)
    found = {"runs": [{"run": name, "tasks": tasks} for name, tasks in data.items()]}
    return Page(title=f"lengths and budgets of {names}", blocks=sections, data=found)


def _known(known: budget.Lengths) -> str:
    median = "over half are cut" if known.median is None else f"median {known.median:g}"
    return f"{median}, cut {100 * known.censored:.1f} %"


def _label(run: Run) -> str:
    return f"{run.name[:12]}  {Path(run.manifest.model).name}"
