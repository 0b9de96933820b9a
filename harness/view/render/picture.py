"""Figures as files by matplotlib: PNG, SVG or PDF, by the suffix of the file's name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from harness.errors import Usage
from harness.files import about
from harness.view.page import SECOND, Page, colour, flat
from harness.view.page import Figure as Drawing
from harness.view.render.labels import LONGEST, places
from harness.view.text import clean

_LETTER = 4.6  # width of a label's character in points, about
SUFFIXES = (".png", ".svg", ".pdf")
_BANDS = 4  # series of a figure up to which their intervals can be told apart, and a legend fits inside


def save_all(page: Page, out: Path) -> list[Path]:
    """Every figure of a page: ``out/NAME.png``, or with ``out`` as X.svg ``X.NAME.svg``. Raises Usage, as ``save``."""
    named = out.suffix in SUFFIXES
    if out.suffix and not named and not out.is_dir():
        raise Usage(f"--out {out}: give a folder, or a name that ends in {', '.join(SUFFIXES)}")
    files = []
    for figure in (block for block in flat(page.blocks) if isinstance(block, Drawing)):
        name = re.sub(r"[^\w.+-]", "_", figure.name)
        files.append(save(figure, out.with_suffix(f".{name}{out.suffix}") if named else out / f"{name}.png"))
    return files


def save(drawing: Drawing, file: Path) -> Path:
    """Draw a figure into ``file``. Raises BadFile where it cannot be written."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    (_bars if drawing.bins is not None else _points if drawing.points else _curves)(figure, drawing)
    stable = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}  # the same figure, the same file
    with about(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with rc_context({"svg.hashsalt": "harness"}):
            figure.savefig(str(file), dpi=110, metadata=stable.get(file.suffix))
    return file


def _bars(figure: Any, drawing: Drawing) -> None:
    figure.set_size_inches(7, 1.3 * len(drawing.series) + 1)
    all_axes = figure.subplots(len(drawing.series), 1, sharex=True, squeeze=False)[:, 0]
    width = (drawing.bins or 0) / max(len(drawing.series[0].y), 1)
    for number, (series, axes) in enumerate(zip(drawing.series, all_axes, strict=True)):
        edges, first, second = [i * width for i in range(len(series.y))], *map(_plain, drawing.kinds)
        axes.bar(edges, series.y, width, align="edge", color=colour(number), label=first)
        if series.second:
            axes.bar(edges, series.second, width, series.y, align="edge", color=SECOND, label=second)
        axes.set_title(_plain(series.label), fontsize=9, loc="left")
        axes.set_ylabel(_plain(drawing.y))
    if drawing.kinds[0]:
        all_axes[0].legend(frameon=False)
    all_axes[-1].set_xlabel(_plain(f"{drawing.x}, {drawing.title}"))


def _curves(figure: Any, drawing: Drawing) -> None:
    figure.set_size_inches(7, 4)
    axes = figure.subplots()
    first: list[Any] = []
    step, marker = (None, "o") if drawing.lines else ("post", "")
    for number, series in enumerate(drawing.series):
        drawn = {"drawstyle": f"steps-{step}" if step else "default", "color": colour(number)}
        first += axes.plot(series.x, series.y, marker=marker, **drawn)
        if series.low and len(drawing.series) <= _BANDS:
            axes.fill_between(series.x, series.low, series.high, step=step, alpha=0.15, color=colour(number), lw=0)
        if series.second:
            axes.plot(series.x, series.second, ls=":", lw=1, **drawn)
    dotted = f" (dotted: {drawing.kinds[1]})" if drawing.kinds[1] else ""
    axes.set(ylim=(0, 1), xlabel=_plain(f"{drawing.x}, {drawing.title}"), ylabel=_plain(drawing.y + dotted))
    if drawing.ticks:
        axes.set_xticks([*range(len(drawing.ticks))], [_plain(tick) for tick in drawing.ticks])
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if len(drawing.series) > _BANDS else {}
    axes.legend(first, [_plain(series.label) for series in drawing.series], frameon=False, fontsize=8, **beside)


def _points(figure: Any, drawing: Drawing) -> None:
    figure.set_size_inches(7, 4.5)
    axes = figure.subplots()
    for number, series in enumerate(drawing.series):
        shown = {"color": colour(number), "mfc": "white" if series.beaten else colour(number), "zorder": 3}
        axes.plot(series.x, series.y, "o", ms=6, **shown)
        axes.vlines(series.x[: len(series.low)], series.low, series.high, color=colour(number), alpha=0.4, lw=1)
    axes.plot(*zip(*drawing.front(), strict=True), lw=0.8, color="grey", zorder=1)
    axes.set(xlabel=_plain(f"{drawing.x}, {drawing.title}"), ylabel=_plain(drawing.y))
    axes.set_xlim(left=0, right=1.05 * max(1.0, *(series.x[0] for series in drawing.series)))
    axes.set_ylim(bottom=0)
    figure.draw_without_rendering()  # settles where the axes are
    unit = 72 / figure.dpi  # pixels to points, in which offsets are given
    box = axes.get_window_extent()
    spots = [axes.transData.transform((series.x[0], series.y[0])) * unit for series in drawing.series]
    labels = [clean(series.label)[:LONGEST] for series in drawing.series]
    inside = (box.x0 * unit, -box.y1 * unit, box.x1 * unit, -box.y0 * unit)
    at = places([(x, -y) for x, y in spots], [_LETTER * len(label) for label in labels], 9, inside)
    for series, (x, y), label, (left, middle) in zip(drawing.series, spots, labels, at, strict=True):
        axes.annotate(
            _plain(label), (series.x[0], series.y[0]), (left - x, -middle - y), textcoords="offset points",
            va="center", fontsize=8, arrowprops={"arrowstyle": "-", "lw": 0.3, "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip


def _plain(text: str) -> str:
    """Text that matplotlib takes for no formula."""
    return clean(text).replace("$", r"\$")
