"""Where the labels of a picture's points stand, so that they cover neither each other nor a point."""

from __future__ import annotations

from collections.abc import Sequence

Place = tuple[float, float]
_Box = tuple[float, float, float, float]  # left, top, right, bottom

LONGEST = 24  # characters of a label
_NEAR, _FAR = 7, 60  # how far from its point a label may stand, in the picture's units


def places(points: Sequence[Place], widths: Sequence[float], high: float, inside: _Box) -> list[Place]:
    """(left end, middle of the height) of each point's label, of that width, as near to the point as there is room.

    Y grows downwards. Where there is no room, the place that covers least.
    """
    taken: list[_Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    out = []
    for point, width in zip(points, widths, strict=True):
        choices = _around(point, width, high)
        costs = [_cost(box, taken, inside) for box in choices]
        chosen = choices[costs.index(min(costs))]
        taken.append(chosen)
        out.append((chosen[0], (chosen[1] + chosen[3]) / 2))
    return out


def _around(point: Place, width: float, high: float) -> list[_Box]:
    """Boxes to the right and left of a point, above and below, then each of them farther away."""
    x, y = point
    lefts = [x + _NEAR, x - _NEAR - width]
    level = [(left, y - high / 2) for left in lefts]
    rows = [shift for step in range(1, _FAR // 6) for shift in (-6.0 * step, 6.0 * step)]
    corners = [x - width / 2, *lefts]
    return [
        (left, top, left + width, top + high)
        for left, top in [*level, *((left, y + row - high / 2) for row in rows for left in corners)]
    ]


def _cost(box: _Box, taken: Sequence[_Box], inside: _Box) -> float:
    """Area of others that a box covers, and far more for what lies outside the picture."""
    size = (box[2] - box[0]) * (box[3] - box[1])
    return sum(_shared(box, other) for other in taken) + 10 * (size - _shared(box, inside))


def _shared(a: _Box, b: _Box) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return wide * high if wide > 0 and high > 0 else 0.0
