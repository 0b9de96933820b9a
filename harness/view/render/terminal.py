"""Pages as text for a terminal, in its width; figures as rows of blocks. No control character gets through."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.view.figure import Curves, Histogram
from harness.view.page import Block, Branch, Line, Page, Section, Style, Table, Text, lines_of
from harness.view.text import clean

if TYPE_CHECKING:
    from rich.console import Console

FORM = "table"
_STYLES: dict[Style, str] = {
    "": "", "strong": "bold", "dim": "dim", "good": "green", "bad": "red", "open": "yellow", "note": "dim",
    "mark": "cyan",
}  # fmt: skip
_BLOCKS = " ▁▂▃▄▅▆▇█"
_GAP = 2  # characters between two columns of a table


def render(page: Page) -> str:
    """The page for the terminal that stdout is, with its colours; 80 columns of plain text where it is none."""
    from rich.console import Console

    here = Console()
    return text(page, here.width, here.is_terminal)


def text(page: Page, width: int, colours: bool = False) -> str:
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colours, highlight=False, emoji=False, markup=False)
    for number, block in enumerate(page.blocks):
        if number and isinstance(block, Table) and block.title:
            console.print()
        _print(console, block)
    return out.getvalue() if colours else "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _print(console: Console, block: Block) -> None:
    from rich.text import Text as Styled

    if isinstance(block, Section):
        console.print(Styled("\n" + clean(block.title), "bold"))
        for each in block.blocks:
            _print(console, each)
    elif isinstance(block, Table):
        _table(console, block)
    elif isinstance(block, Branch):
        console.print(_tree(block))
    elif isinstance(block, Text):
        shown = Styled(clean(block.text, lines=block.verbatim), _STYLES[block.style])
        console.print(shown, soft_wrap=block.verbatim or not block.wrap)
    else:
        for line in drawn(block):
            console.print(Styled(line), soft_wrap=True)


def _table(console: Console, table: Table) -> None:
    from rich.text import Text as Styled

    if table.title:
        console.print(Styled(clean(table.title), "bold"))
    rows = [_merged(group) for group in table.groups()]
    widths = [
        max(Styled(clean(column.name)).cell_len, *(Styled(_plain(line)).cell_len for row in rows for line in row[i]), 0)
        for i, column in enumerate(table.columns)
    ]
    for number, chosen in enumerate(_blocks(widths, console.width, any(column.wrap for column in table.columns))):
        if number:
            console.print()
        console.print(_grid(table, rows, chosen))
    for note in (*table.legend, *table.notes):
        console.print(Styled(clean(note), "dim"))


def _merged(group: Sequence[Any]) -> list[list[Line]]:
    """A group of rows as one row of several lines: the first cell once."""
    first, *others = zip(*group, strict=True)
    return [list(lines_of(first[0])), *([line for cell in column for line in lines_of(cell)] for column in others)]


def _blocks(widths: Sequence[int], width: int, wrap: bool) -> list[list[int]]:
    """Which columns stand side by side; those that do not fit go on beneath, after the first column again."""
    if wrap:
        return [list(range(len(widths)))]
    out = [[0]]
    for i in range(1, len(widths)):
        if len(out[-1]) > 1 and sum(widths[j] + _GAP for j in out[-1]) + widths[i] > width:
            out.append([0])
        out[-1].append(i)
    return out


def _grid(table: Table, rows: Sequence[Sequence[Sequence[Line]]], chosen: Sequence[int]) -> Any:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text as Styled

    high = any(len(cell) > 1 for row in rows for cell in row)
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_lines=high, padding=(0, _GAP - 1, 0, 0))
    for i in chosen:
        column = table.columns[i]
        header = Styled(clean(column.name))
        wide = i == 0 and len(chosen) < 3  # the only other column: names of any length are broken, not cut
        grid.add_column(header, justify=column.align, no_wrap=not (column.wrap or wide), overflow="fold")
    for row in rows:
        grid.add_row(*(Styled("\n").join(map(_styled, row[i])) for i in chosen))
    return grid


def _plain(line: Line) -> str:
    return clean(line.plain(narrow=True))


def _styled(line: Line) -> Any:
    from rich.text import Text as Styled

    out = Styled(_plain(line), _STYLES[line.style])
    if line.strong:
        out.stylize("bold", 0, len(clean(line.strong)))
    return out


def _tree(branch: Branch) -> Any:
    from rich.tree import Tree

    top = Tree(_label(branch), guide_style="dim")
    _grow(top, branch)
    return top


def _grow(into: Any, branch: Branch) -> None:
    for child in branch.children:
        _grow(into.add(_label(child)), child)


def _label(branch: Branch) -> Any:
    from rich.text import Text as Styled

    out = Styled(no_wrap=branch.cut, overflow="ellipsis" if branch.cut else "fold")
    for part, style in branch.spans:
        out.append(clean(part), _STYLES[style])
    return out


def drawn(figure: Histogram | Curves) -> list[str]:
    """Lines of a figure: a row of blocks for each group of a histogram, some points of each curve."""
    if isinstance(figure, Histogram):
        lines = [f"{figure.x}, {figure.low:g} to {figure.high:g}"]
        rows = [(bars.label, _row(bars.totals()), bars.note) for bars in figure.bars]
    else:
        lines = [f"{figure.y} {f'(and {figure.second}) ' if figure.second else ''}% within a {figure.x}"]
        rows = [(series.label, _points(series), series.note) for series in figure.series]
    side = min(26, max((len(label) for label, *_ in rows), default=0))
    for label, body, note in rows:
        lines.append(f"  {label[:side]:<{side}} {body}")
        lines += [f"  {'':<{side}} {note}"] if note else []
    return [clean(line) for line in lines]


def _row(counts: Sequence[int]) -> str:
    most = max(counts, default=0) or 1
    return "".join(_BLOCKS[-(-count * (len(_BLOCKS) - 1) // most)] for count in counts)


def _points(series: Any) -> str:
    """Five points or so, the last among them."""
    count = len(series.x)
    step = max(1, -(-count // 5))
    out = []
    for i in sorted({*range(0, count, step), count - 1}):
        second = f" ({100 * series.second[i]:.0f})" if series.second else ""
        out.append(f"{series.x[i]:g}: {100 * series.y[i]:.0f}{second}")
    return "  ".join(out)
