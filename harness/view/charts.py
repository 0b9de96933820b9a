"""Small pictures as SVG inside a page: lengths of answers by arm, accuracy within a token budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from harness.records import Sample
from harness.results import budget

# Colours that people who see colours differently can tell apart (Okabe and Ito), for light and dark pages.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8a800")
_BINS = 40


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def lengths(arms: Mapping[str, Sequence[Sample]]) -> str:
    """A row of bars for each arm: how many answers have how many tokens; those cut by the limit in red."""
    top = max((budget.length(s) for samples in arms.values() for s in samples), default=1) or 1
    row, side, width = 30, 130, 400
    height = row * len(arms) + 22
    parts = []
    for number, (arm, samples) in enumerate(arms.items()):
        base = row * (number + 1) - 4
        ended, cut = [0] * _BINS, [0] * _BINS
        for sample in samples:
            place = min(_BINS - 1, budget.length(sample) * _BINS // top)
            (cut if budget.cut(sample) else ended)[place] += 1
        most = max(map(sum, zip(ended, cut, strict=True))) or 1
        parts.append(_text(0, base - 4, arm))
        for i, (a, b) in enumerate(zip(ended, cut, strict=True)):
            x, high = side + i * width / _BINS, (row - 8) / most
            parts += [_bar(x, base - a * high, width / _BINS - 1, a * high, colour(number))] if a else []
            parts += [_bar(x, base - (a + b) * high, width / _BINS - 1, b * high, "#c00000")] if b else []
        parts.append(f'<line x1="{side}" y1="{base}" x2="{side + width}" y2="{base}" class="axis"/>')
    parts += [_text(side, height - 4, "0"), _text(side + width, height - 4, f"{top} tokens", "end")]
    return _svg(side + width + 4, height, "lengths of answers by arm", parts)


def budgets(arms: Mapping[str, Sequence[Sample]]) -> str:
    """A line for each arm: the share of items answered right within a budget of tokens."""
    curves = {arm: budget.curve(list(samples)) for arm, samples in arms.items()}
    top = max((points[-1]["budget"] for points in curves.values()), default=1) or 1
    side, width, high = 34, 496, 180
    best = max((p["accuracy"] for points in curves.values() for p in points), default=1.0) or 1.0
    ceiling = min(1.0, best * 1.1)
    parts = []
    for i in range(5):
        share = ceiling * i / 4
        y = high - (high - 10) * i / 4
        parts.append(f'<line x1="{side}" y1="{y:.1f}" x2="{side + width}" y2="{y:.1f}" class="grid"/>')
        parts.append(_text(side - 4, y + 4, f"{100 * share:.0f}", "end"))
    for number, points in enumerate(curves.values()):
        line, y = "", float(high)
        for p in points:
            x = side + width * p["budget"] / top
            line += f"{x:.1f},{y:.1f} "
            y = high - (high - 10) * p["accuracy"] / ceiling
            line += f"{x:.1f},{y:.1f} "
        line += f"{side + width},{y:.1f}"
        start = f"{side},{high} "
        parts.append(f'<polyline points="{start}{line}" fill="none" stroke="{colour(number)}" stroke-width="1.6"/>')
    parts += [_text(side, high + 16, "0"), _text(side + width, high + 16, f"{top:g} tokens", "end")]
    parts.append(_text(side + width / 2, high + 16, "% right within a budget", "middle"))
    return _svg(side + width + 4, high + 22, "accuracy within a budget of tokens", parts)


def _bar(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}">'
    return head + "".join(parts) + "</svg>"
