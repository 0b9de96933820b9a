"""What a command shows: a page of texts, tables, figures and trees. The modules of ``view/render`` put it into a form.

Pages hold text as it is, hostile text included: escaping is the renderers' work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Style = Literal["", "strong", "dim", "good", "bad", "open", "note", "mark"]
Span = tuple[str, Style]
_Side = TypeVar("_Side")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a cell. ``strong`` stands before ``text``; ``short`` is for narrow forms (terminal, LaTeX)."""

    text: str = ""
    strong: str = ""
    short: str | None = None
    style: Style = ""

    def marked(self, escape: Callable[[str], str], strong: str, narrow: bool = False) -> str:
        """The line with its texts escaped and the first one put into the form ``strong``."""
        rest = self.short if narrow and self.short is not None else self.text
        return " ".join(part for part in (self.strong and strong.format(escape(self.strong)), escape(rest)) if part)

    def plain(self, narrow: bool = False) -> str:
        return self.marked(str, "{}", narrow)


Cell = str | Line | Sequence[Line]  # a text, or one or several lines
Row = Sequence[Cell]


def lines_of(cell: Cell) -> Sequence[Line]:
    if isinstance(cell, str):
        return (Line(text=cell),)
    return (cell,) if isinstance(cell, Line) else cell


@dataclass(frozen=True, kw_only=True)
class Table:
    """``left``: the columns whose texts stand to the left, or how many do. ``wrap``: those that a terminal may break.

    ``notes`` stand beneath in every form; ``legend`` explains the short lines, so only where these are shown. A row
    whose first cell is empty belongs to the one above. ``records``: rows with whole values, for CSV and JSON.
    """

    columns: Sequence[str]
    rows: Sequence[Row]
    left: int | Sequence[int] = 1
    wrap: Sequence[int] = ()
    title: str = ""
    notes: Sequence[str] = ()
    legend: Sequence[str] = ()
    records: Sequence[Mapping[str, Any]] | None = None

    def sides(self, left: _Side, right: _Side) -> list[_Side]:
        """``left`` or ``right`` for each column."""
        at = range(self.left) if isinstance(self.left, int) else self.left
        return [left if i in at else right for i in range(len(self.columns))]

    def data(self) -> Sequence[Mapping[str, Any]]:
        """One mapping a row: the records, or the displayed texts by column."""
        if self.records is not None:
            return self.records
        texts = [["; ".join(line.plain() for line in lines_of(cell)) for cell in row] for row in self.rows]
        return [dict(zip(self.columns, row, strict=True)) for row in texts]


@dataclass(frozen=True, kw_only=True)
class Text:
    """One line; ``wrap=False`` for paths and commands; ``verbatim``: several lines, shown as they are."""

    text: str
    style: Style = ""
    wrap: bool = True
    verbatim: bool = False


def texts(*lines: str, style: Style = "", wrap: bool = True) -> list[Text]:
    return [Text(text=line, style=style, wrap=wrap) for line in lines]


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A tree: spans of text with their styles, and what hangs beneath. ``cut``: a terminal shows one line of it."""

    spans: Sequence[Span]
    children: list[Branch] = field(default_factory=list)
    cut: bool = False

    def add(self, text: str, style: Style = "") -> Branch:
        child = Branch(spans=[(text, style)])
        self.children.append(child)
        return child


# Colours that people who see colours differently can tell apart (Okabe and Ito), for light and dark pages.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8a800", "#5d3a9b")
SECOND = "#c00000"


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


@dataclass(frozen=True, kw_only=True)
class Series:
    """A group of a figure: ``y`` and, beside it, a ``second`` figure. ``x`` and the 95% interval: of steps alone.

    ``beaten``: of a figure of points alone, one than which another is better.
    """

    label: str
    y: Sequence[float]
    x: Sequence[float] = ()
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    second: Sequence[float] = ()
    note: str = ""
    beaten: bool = False

    def totals(self) -> list[float]:
        return [a + b for a, b in zip(self.y, self.second or [0] * len(self.y), strict=True)]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Steps of shares from 0 to 1 against x; with ``bins``, counts by equal bins from 0 to ``bins`` instead.

    ``kinds``: names of the first and the second figure of each series; second counts are stacked upon the first.
    ``lines``: instead of steps, points that were measured at each x, joined by lines; where there are ``ticks``, x
    counts them from 0. ``points``: one labelled point a series, hollow where it is beaten; the others are joined.
    """

    name: str
    title: str
    x: str
    y: str
    series: Sequence[Series]
    kinds: tuple[str, str] = ("", "")
    bins: float | None = None
    lines: bool = False
    ticks: Sequence[str] = ()
    points: bool = False

    def front(self) -> list[tuple[float, float]]:
        """The points that none beats, from the left."""
        return sorted((series.x[0], series.y[0]) for series in self.series if not series.beaten)


def binned(values: Iterable[float], high: float, bins: int) -> list[int]:
    """How many values fall into each of ``bins`` equal parts of 0 to high; the last takes its upper end, too."""
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, max(0, int(value * bins / (high or 1))))] += 1
    return counts


@dataclass(frozen=True, kw_only=True)
class Section:
    """Blocks under a heading. ``folded``: shown on demand, where a form can."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False


Block = Table | Figure | Branch | Text | Section


def flat(blocks: Sequence[Block]) -> list[Block]:
    """All blocks in order, those of sections among them instead of the sections."""
    return [one for block in blocks for one in (flat(block.blocks) if isinstance(block, Section) else [block])]


@dataclass(frozen=True, kw_only=True)
class Page:
    """``data``: what ``--json`` prints; without it, the rows of the tables."""

    blocks: Sequence[Block]
    title: str = ""
    data: Any = None

    def tables(self) -> list[Table]:
        return [block for block in flat(self.blocks) if isinstance(block, Table)]
