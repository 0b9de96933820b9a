"""Figures as small SVG pictures inside a page, without matplotlib."""

from __future__ import annotations

import math
from html import escape

from harness.view.page import SECOND, Figure, colour
from harness.view.render.labels import LONGEST, places
from harness.view.text import clean

_LETTER = 6.2  # width of a character, about


def draw(figure: Figure) -> str:
    form = _bars if figure.bins is not None else _points if figure.points else _curves
    width, height, parts = form(figure)
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(clean(figure.title))}">'
    return head + "".join(parts) + "</svg>"


def _bars(figure: Figure) -> tuple[int, int, list[str]]:
    """A row of bars for each group; the second kind of counts in red upon the first."""
    row, side, width = 30, 130, 400
    height = row * len(figure.series) + 22
    parts = []
    for number, series in enumerate(figure.series):
        base, totals = row * (number + 1) - 4, series.totals()
        high, step = (row - 8) / (max(totals) or 1), width / len(totals)
        parts.append(_text(0, base - 4, series.label))
        for i, (first, total) in enumerate(zip(series.y, totals, strict=True)):
            for top, count, fill in ((first, first, colour(number)), (total, total - first, SECOND)):
                place = f'x="{side + i * step:.1f}" y="{base - top * high:.1f}"'
                size = f'width="{step - 1:.1f}" height="{count * high:.1f}"'
                parts += [f'<rect {place} {size} fill="{fill}"/>'] if count else []
        parts.append(_line(side, side + width, base, "axis"))
    ends = [_text(side, height - 4, "0"), _text(side + width, height - 4, f"{figure.bins:g} {figure.x}", "end")]
    return side + width + 4, height, parts + ends


def _curves(figure: Figure) -> tuple[int, int, list[str]]:
    """A line of steps for each series, or of its points and of its second figure, dashed."""
    top = max((series.x[-1] for series in figure.series), default=1) or 1
    side, width, high = 34, 496, 180
    shown = [y for series in figure.series for y in (*series.y, *(series.second if figure.lines else ()))]
    ceiling = min(1.0, 1.1 * (max(shown, default=1.0) or 1.0))
    parts = []
    for i in range(5):
        y = high - (high - 10) * i / 4
        parts += [_line(side, side + width, y, "grid"), _text(side - 4, y + 4, f"{100 * ceiling * i / 4:.0f}", "end")]
    for number, series in enumerate(figure.series):
        drawn = f'fill="none" stroke="{colour(number)}" stroke-width="1.6"'
        if figure.lines:
            for values, dashes in ((series.y, ""), (series.second, ' stroke-dasharray="3 3"')):
                xs = [f"{side + width * x / top:.1f}" for x in series.x[: len(values)]]
                places = [(x, f"{high - (high - 10) * y / ceiling:.1f}") for x, y in zip(xs, values, strict=True)]
                line = " ".join(f"{x},{y}" for x, y in places)
                parts.append(f'<polyline points="{line}" {drawn}{dashes}/>')
                if not dashes:
                    parts += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour(number)}"/>' for x, y in places]
            continue
        line, y = f"{side},{high} ", float(high)
        for at, value in zip(series.x, series.y, strict=True):
            x, before, y = side + width * at / top, y, high - (high - 10) * value / ceiling
            line += f"{x:.1f},{before:.1f} {x:.1f},{y:.1f} "
        line += f"{side + width},{y:.1f}"
        parts.append(f'<polyline points="{line}" {drawn}/>')
    end, middle = f"{top:g} {figure.x}", f"% {figure.y}"
    if figure.lines:
        end, middle = f"{top:g}", f"{middle} (dashed: {figure.kinds[1]}) by {figure.x}"
    if figure.ticks:
        last, height = len(figure.ticks) - 1, 38
        between = range(1, last)
        parts += [_text(side + width * i / last, high + 16, figure.ticks[i], "middle") for i in between]
        start, end = figure.ticks[0], figure.ticks[-1]
    else:
        start, height = "0", 22
    parts += [_text(side, high + 16, start), _text(side + width, high + 16, end, "end")]
    return side + width + 4, high + height, [*parts, _text(side + width / 2, high + height - 6, middle, "middle")]


def _points(figure: Figure) -> tuple[int, int, list[str]]:
    """A labelled point for each series with its interval, hollow where it is beaten; the others joined by a line."""
    side, width, high = 34, 496, 250
    right = _ticks(max((series.x[0] for series in figure.series), default=0))
    up = _ticks(100 * max((y for series in figure.series for y in (*series.y, *series.high)), default=0))

    def at(x: float, y: float) -> tuple[float, float]:
        return side + width * x / right[-1], high - (high - 10) * 100 * y / up[-1]

    parts = [_line(side, side + width, at(0, tick / 100)[1], "grid") for tick in up]
    parts += [_text(side - 4, at(0, tick / 100)[1] + 4, f"{tick:g}", "end") for tick in up]
    parts += [_text(at(tick, 0)[0], high + 16, f"{tick:g}", "middle") for tick in right]
    front = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in figure.front()))
    parts.append(f'<polyline points="{front}" fill="none" class="axis"/>')
    spots = [at(series.x[0], series.y[0]) for series in figure.series]
    labels = [clean(series.label)[:LONGEST] for series in figure.series]
    texts = places(spots, [_LETTER * len(label) for label in labels], 12, (side, 0, side + width, high))
    for i, (series, (x, y), label, (left, middle)) in enumerate(zip(figure.series, spots, labels, texts, strict=True)):
        for low, top in zip(series.low, series.high, strict=True):
            ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{at(0, low)[1]:.1f}" y2="{at(0, top)[1]:.1f}"'
            parts.append(f'<line {ends} stroke="{colour(i)}" opacity=".45"/>')
        near = min(max(x, left), left + _LETTER * len(label))
        parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{near:.1f}" y2="{middle:.1f}" class="grid"/>')
        fill = "Canvas" if series.beaten else colour(i)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour(i)}" stroke-width="1.6"/>')
        parts.append(_text(left, middle + 4, label))
    below = f"% {figure.y} by {figure.x}"
    return side + width + 14, high + 38, [*parts, _text(side + width / 2, high + 32, below, "middle")]


def _ticks(most: float) -> list[float]:
    """Round numbers from 0 to the first that is not below ``most``."""
    step = 10.0 ** math.floor(math.log10(most or 1))
    step = next(step * part for part in (0.2, 0.25, 0.5, 1, 2) if most <= 6 * step * part)
    return [step * i for i in range(max(1, math.ceil(round(most / step, 6))) + 1)]


def _line(left: float, right: float, y: float, kind: str) -> str:
    return f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" class="{kind}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(clean(text))}</text>'
