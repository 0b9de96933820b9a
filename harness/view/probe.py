"""What ``probe`` shows: what models answer when their thoughts are cut short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.results.probes import ProbeSummary, Rate
from harness.view.page import Block, Page, Table, texts
from harness.view.text import MISSING, interval, percent

_COLUMNS = ("task", "n", "none", "whole [95%]", "1st", "redundant", "lost", "gain", "own", "said")
_NOTES = (
    "in %: none and whole (right answers without the thought, and after all of it); of the thought: 1st (kept at the "
    "first right answer), redundant (behind F*, from where on all answers are right, if the last is)",
    "lost (right at some cut, not after the whole thought), gain (right after the whole thought, not without it)",
    "own: after the whole thought as right or not right as the run's own answer; said: of those with both, first right "
    "within one cut of the first right statement",
)


def page(rows: Sequence[ProbeSummary], left: Mapping[Any, int], folder: Path, data: Mapping[str, Any]) -> Page:
    """The figures of every task, right answers by cut, and what could not be probed."""
    shown = []
    for row in rows:
        shares = [percent(each.value, 0) for each in (row.lost, row.gained, row.own_agrees, row.stated_within)]
        shown.append([
            row.task, str(row.n), percent(row.start.value, 0), _with(row.end), percent(row.first.value, 0),
            _with(row.redundant), *shares,
        ])  # fmt: skip
    cuts = len(rows[0].right_at) - 1
    kept = [f"{100 * i / cuts:.0f}" for i in range(cuts + 1)]
    blocks: list[Block] = [
        Table(columns=_COLUMNS, wrap=[0], rows=shown, notes=_NOTES),
        Table(
            title="% right by the % of the thought that is kept",
            columns=["kept", *kept],
            wrap=[0],
            rows=[[row.task, *(percent(share, 0) for share in row.right_at)] for row in rows],
        ),
    ]
    ended = ", ".join(f"{row.task} {row.cut}" for row in rows if row.cut)
    blocks += texts(f"thoughts that had no end of their own, probed as far as they go: {ended}") if ended else []
    without = ", ".join(f"{count} ({reason})" for reason, count in left.items())
    blocks += texts(f"samples left out: {without}") if without else []
    blocks += texts(f"answers and figures in {folder}", wrap=False)
    return Page(title=f"forced answers of {data['run']}", blocks=blocks, data=data)


def _with(rate: Rate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return MISSING
    return f"{percent(rate.value, 0)} {interval(rate.low, rate.high)}"
