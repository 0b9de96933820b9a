"""Figures as files by matplotlib: PNG, SVG or PDF, by the suffix of the file's name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from harness.errors import Usage
from harness.files import about
from harness.view.page import SECOND, Curves, Histogram, Page, colour
from harness.view.text import clean

SUFFIXES = (".png", ".svg", ".pdf")


def save_all(page: Page, out: Path) -> list[Path]:
    """Every figure of a page: ``out/NAME.png``, or with ``out`` as X.svg ``X.NAME.svg``. Raises Usage, as ``save``."""
    named = out.suffix in SUFFIXES
    if out.suffix and not named and not out.is_dir():
        raise Usage(f"--out {out}: give a folder, or a name that ends in {', '.join(SUFFIXES)}")
    files = []
    for figure in page.figures():
        name = re.sub(r"[^\w.+-]", "_", figure.name)
        files.append(save(figure, out.with_suffix(f".{name}{out.suffix}") if named else out / f"{name}.png"))
    return files


def save(drawing: Histogram | Curves, file: Path) -> Path:
    """Draw a figure into ``file``. Raises BadFile where it cannot be written."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    if isinstance(drawing, Histogram):
        _bars(figure, drawing)
    else:
        _curves(figure, drawing)
    stable = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}  # the same figure, the same file
    with about(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with rc_context({"svg.hashsalt": "harness"}):
            figure.savefig(str(file), dpi=110, metadata=stable.get(file.suffix))
    return file


def _bars(figure: Any, drawing: Histogram) -> None:
    figure.set_size_inches(7, 1.3 * len(drawing.bars) + 1)
    all_axes = figure.subplots(len(drawing.bars), 1, sharex=True, squeeze=False)[:, 0]
    width = (drawing.high - drawing.low) / max(len(drawing.bars[0].counts), 1)
    for number, (bars, axes) in enumerate(zip(drawing.bars, all_axes, strict=True)):
        edges = [drawing.low + i * width for i in range(len(bars.counts))]
        axes.bar(edges, bars.counts, width, align="edge", color=colour(number), label=_plain(drawing.kinds[0]))
        if bars.second:
            axes.bar(edges, bars.second, width, bars.counts, align="edge", color=SECOND, label=_plain(drawing.kinds[1]))
        axes.set_title(_plain(bars.label), fontsize=9, loc="left")
        axes.set_ylabel(_plain(drawing.y))
    if drawing.kinds[0]:
        all_axes[0].legend(frameon=False)
    all_axes[-1].set_xlabel(_plain(f"{drawing.x}, {drawing.title}"))


def _curves(figure: Any, drawing: Curves) -> None:
    figure.set_size_inches(7, 4)
    axes = figure.subplots()
    for number, series in enumerate(drawing.series):
        axes.step(series.x, series.y, where="post", color=colour(number))
        if series.low:
            axes.fill_between(series.x, series.low, series.high, step="post", alpha=0.15, color=colour(number), lw=0)
        if series.second:
            axes.step(series.x, series.second, where="post", color=colour(number), ls=":", lw=1)
    axes.set_ylim(0, 1)
    axes.set_xlabel(_plain(f"{drawing.x}, {drawing.title}"))
    dotted = f" (dotted: {drawing.second})" if drawing.second else ""
    axes.set_ylabel(_plain(drawing.y + dotted))
    axes.legend([_plain(series.label) for series in drawing.series], frameon=False, fontsize=8)


def _plain(text: str) -> str:
    """Text that matplotlib takes for no formula."""
    return clean(text).replace("$", r"\$")
