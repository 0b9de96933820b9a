"""Learning curves of a recipe's arms: a table of their points, and a figure for each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.results.curves import Curve, Point
from harness.results.records import MAIN
from harness.view.page import Figure, Line, Page, Row, Series, Table
from harness.view.text import interval, percent, points, thinking

_NOTES = ("at: of the steps of the arm's own stage; 0%: the model that it starts from, 100%: the arm itself",)
_LEGEND = ("accuracy %, na: no-answer %, t: median thinking tokens; over all trainings",)


def page(title: str, curves: Sequence[Curve]) -> Page:
    shown = table(curves, f"learning curves of {title}")
    return Page(title=shown.title, blocks=[shown], data=shown.records)


def table(curves: Sequence[Curve], title: str = "") -> Table:
    """One row a point, one column a task."""
    rows: list[Row] = []
    tasks = curves[0].tasks
    for curve in curves:
        for share in dict.fromkeys(point.share for point in curve.points):
            cells = {point.cell.task: _cell(point) for point in curve.points if point.share == share}
            rows.append([f"{curve.arm} at {100 * share:g}%", *(cells[task] for task in tasks)])
    beside = {point.cell.task for curve in curves for point in curve.points if point.retention}
    names = [f"{task} (retention)" if task in beside else task for task in tasks]
    how = f", {curves[0].decoding}" if curves[0].decoding != MAIN else ""
    return Table(
        title=f"{title}{how}" if title else "", columns=("arm", *names), left=len(names) + 1, rows=rows,
        notes=_NOTES, legend=_LEGEND, records=[_record(curve, point) for curve in curves for point in curve.points],
    )  # fmt: skip


def _cell(point: Point) -> Line:
    f = point.cell
    right, missing, tokens = percent(f.accuracy), percent(f.no_answer), thinking(f)
    change = f", Δ {points(f.difference.difference)}" if f.difference else ""
    text = f"{interval(f.low, f.high)}{change}, no answer {missing}, {tokens} thinking tokens"
    return Line(strong=right, text=text, short=f"na {missing}, {tokens}t")


def _record(curve: Curve, point: Point) -> dict[str, Any]:
    flat = {key: value for key, value in point.cell.model_dump().items() if not isinstance(value, dict)}
    gap = point.cell.difference
    more = {f"difference_{key}": getattr(gap, key, None) for key in ("difference", "low", "high", "p")}
    return {"share": point.share, "decoding": curve.decoding, "retention": point.retention} | flat | more


def figures(curves: Sequence[Curve]) -> list[Figure]:
    """Accuracy and no-answer rate of each arm against the share of its training, for each task."""
    out = []
    for task in curves[0].tasks:
        series = []
        for curve in curves:
            of_task = [point for point in curve.points if point.cell.task == task]
            cells = [point.cell for point in of_task]
            series.append(Series(
                label=curve.arm, x=[point.share for point in of_task], y=[f.accuracy for f in cells],
                low=[f.low for f in cells], high=[f.high for f in cells], second=[f.no_answer for f in cells],
            ))  # fmt: skip
        out.append(Figure(
            name=f"curve.{task}", title=task, x="share of the training", y="accuracy", series=series,
            kinds=("accuracy", "no answer"), lines=True,
        ))  # fmt: skip
    return out
