"""Dose and response of a recipe's arms: a table with the doses as columns, and a figure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.results.doses import Response
from harness.view.page import Block, Figure, Line, Page, Row, Series, Table
from harness.view.text import at_least, interval, percent, points

_LEGEND = (
    "means over tasks. line 1: accuracy %",
    "line 2: difference to control in points [95% interval, trainings counted]; * excludes 0",
    "line 3: na no-answer %, t median thinking tokens, x trainings",
)


def page(title: str, responses: Sequence[Response], pictures: bool = False) -> Page:
    """The tables; with ``pictures`` the figures, too, as ``harness doses --out`` writes them."""
    blocks: list[Block] = [*tables(responses), *(figures(responses) if pictures else ())]
    return Page(title=title, blocks=blocks, data=[one.model_dump() for one in responses])


def tables(responses: Sequence[Response]) -> list[Table]:
    """One table a decoding: an arm a row, a dose a column."""
    out = []
    for decoding, rows in _by_decoding(responses).items():
        control, doses = rows[0], list(dict.fromkeys(one.dose for one in rows[1:]))
        shown: list[Row] = []
        for arm in dict.fromkeys(one.arm for one in rows[1:]):
            cells = {one.dose: _cell(one) for one in rows[1:] if one.arm == arm}
            shown.append([arm, *(cells.get(dose, "") for dose in doses)])
        about = f"control {control.arm}: {percent(control.accuracy)}, na {percent(control.no_answer)}"
        typical = at_least(control.thinking_tokens, control.thinking_over)
        out.append(Table(
            title=f"dose and response, {decoding}", columns=("arm", *doses), left=len(doses) + 1, rows=shown,
            notes=(f"{about}, {typical}t, x{control.trainings}",), legend=_LEGEND,
            records=[one.model_dump() for one in rows],
        ))  # fmt: skip
    return out


def _cell(one: Response) -> list[Line]:
    gap, low, high = one.difference or 0.0, one.difference_low or 0.0, one.difference_high or 0.0
    clear = "*" if low > 0 or high < 0 else ""
    rest = f"na {percent(one.no_answer)}, {at_least(one.thinking_tokens, one.thinking_over)}t, x{one.trainings}"
    return [
        Line(strong=percent(one.accuracy), text=interval(one.low, one.high), short=""),
        Line(
            text=f"Δ {points(gap)} [{points(low)}…{points(high)}]{clear}",
            short=f"{points(gap, 0)} {interval(low, high, True)}{clear}",
        ),
        Line(text=rest, style="dim"),
    ]


def figures(responses: Sequence[Response]) -> list[Figure]:
    """Accuracy and no-answer rate of each arm by dose, the control as a level line; one figure a decoding."""
    out = []
    for decoding, rows in _by_decoding(responses).items():
        control, doses = rows[0], list(dict.fromkeys(one.dose for one in rows[1:]))
        level = [control.accuracy] * len(doses)
        series = [Series(
            label=control.arm, x=[*range(len(doses))], y=level, low=[control.low] * len(doses),
            high=[control.high] * len(doses), second=[control.no_answer] * len(doses),
        )]  # fmt: skip
        for arm in dict.fromkeys(one.arm for one in rows[1:]):
            of_arm = [one for one in rows[1:] if one.arm == arm]
            series.append(Series(
                label=arm, x=[doses.index(one.dose) for one in of_arm], y=[one.accuracy for one in of_arm],
                low=[one.low for one in of_arm], high=[one.high for one in of_arm],
                second=[one.no_answer for one in of_arm],
            ))  # fmt: skip
        out.append(Figure(
            name=f"doses.{decoding}", title=decoding, x="dose", y="accuracy", series=series, ticks=doses,
            kinds=("accuracy", "no answer"), lines=True,
        ))  # fmt: skip
    return out


def _by_decoding(responses: Sequence[Response]) -> dict[str, list[Response]]:
    return {name: [one for one in responses if one.decoding == name] for name in {one.decoding: 0 for one in responses}}
