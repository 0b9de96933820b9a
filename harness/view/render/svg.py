"""Figures as small SVG pictures inside a page, without matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from harness.view.figure import SECOND, Curves, Histogram, colour
from harness.view.text import clean


def draw(figure: Histogram | Curves) -> str:
    return _bars(figure) if isinstance(figure, Histogram) else _curves(figure)


def _bars(figure: Histogram) -> str:
    """A row of bars for each group; the second kind of counts in red upon the first."""
    row, side, width = 30, 130, 400
    height = row * len(figure.bars) + 22
    parts = []
    for number, bars in enumerate(figure.bars):
        base = row * (number + 1) - 4
        totals = bars.totals()
        high = (row - 8) / (max(totals) or 1)
        step = width / len(totals)
        parts.append(_text(0, base - 4, bars.label))
        for i, (first, total) in enumerate(zip(bars.counts, totals, strict=True)):
            x = side + i * step
            parts += [_bar(x, base - first * high, step - 1, first * high, colour(number))] if first else []
            second = total - first
            parts += [_bar(x, base - total * high, step - 1, second * high, SECOND)] if second else []
        parts.append(f'<line x1="{side}" y1="{base}" x2="{side + width}" y2="{base}" class="axis"/>')
    parts += [_text(side, height - 4, f"{figure.low:g}")]
    parts += [_text(side + width, height - 4, f"{figure.high:g} {figure.x}", "end")]
    return _svg(side + width + 4, height, figure.title, parts)


def _curves(figure: Curves) -> str:
    """A line of steps for each series."""
    top = max((series.x[-1] for series in figure.series), default=1) or 1
    side, width, high = 34, 496, 180
    best = max((y for series in figure.series for y in series.y), default=1.0) or 1.0
    ceiling = min(1.0, best * 1.1)
    parts = []
    for i in range(5):
        y = high - (high - 10) * i / 4
        parts.append(f'<line x1="{side}" y1="{y:.1f}" x2="{side + width}" y2="{y:.1f}" class="grid"/>')
        parts.append(_text(side - 4, y + 4, f"{100 * ceiling * i / 4:.0f}", "end"))
    for number, series in enumerate(figure.series):
        line, y = f"{side},{high} ", float(high)
        for at, value in zip(series.x, series.y, strict=True):
            x = side + width * at / top
            line += f"{x:.1f},{y:.1f} "
            y = high - (high - 10) * value / ceiling
            line += f"{x:.1f},{y:.1f} "
        line += f"{side + width},{y:.1f}"
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour(number)}" stroke-width="1.6"/>')
    parts += [_text(side, high + 16, "0"), _text(side + width, high + 16, f"{top:g} {figure.x}", "end")]
    parts.append(_text(side + width / 2, high + 16, f"% {figure.y}", "middle"))
    return _svg(side + width + 4, high + 22, figure.title, parts)


def _bar(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(clean(text))}</text>'


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(clean(label))}">'
    return head + "".join(parts) + "</svg>"
