"""Pages as text for a terminal, in its width; figures as rows of blocks. No control character gets through."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table as Grid
from rich.text import Text as Styled
from rich.tree import Tree

from harness.view.page import Block, Branch, Figure, Line, Page, Section, Series, Style, Table, Text, lines_of
from harness.view.text import clean

FORM = "table"
_STYLES: dict[Style, str] = {
    "": "", "strong": "bold", "dim": "dim", "good": "green", "bad": "red", "open": "yellow", "note": "dim",
    "mark": "cyan",
}  # fmt: skip
_BLOCKS = " ▁▂▃▄▅▆▇█"
_GAP = 2  # characters between two columns of a table


def render(page: Page) -> str:
    """The page for the terminal that stdout is, with its colours; 80 columns of plain text where it is none."""
    here = Console()
    return text(page, here.width, here.is_terminal)


def text(page: Page, width: int, colours: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colours, highlight=False, emoji=False, markup=False)
    for number, block in enumerate(page.blocks):
        if number and isinstance(block, Table) and block.title:
            console.print()
        _print(console, block)
    return out.getvalue() if colours else "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _print(console: Console, block: Block) -> None:
    if isinstance(block, Section):
        console.print(Styled("\n" + clean(block.title), "bold"))
        for each in block.blocks:
            _print(console, each)
    elif isinstance(block, Table):
        _table(console, block)
    elif isinstance(block, Branch):
        tree = Tree(_label(block), guide_style="dim")
        _grow(tree, block)
        console.print(tree)
    elif isinstance(block, Text):
        shown = Styled(clean(block.text, lines=block.verbatim), _STYLES[block.style])
        console.print(shown, soft_wrap=block.verbatim or not block.wrap)
    else:
        for line in drawn(block):
            console.print(Styled(line), soft_wrap=True)


def _table(console: Console, table: Table) -> None:
    if table.title:
        console.print(Styled(clean(table.title), "bold"))
    rows: list[list[list[Line]]] = []
    for row in table.rows:
        cells = [list(lines_of(cell)) for cell in row]
        if rows and row[0] == "":  # goes on with the row above
            rows[-1] = [rows[-1][0], *(a + b for a, b in zip(rows[-1][1:], cells[1:], strict=True))]
        else:
            rows.append(cells)
    widths = [
        max(cell_len(text) for text in (clean(name), *(_plain(line) for row in rows for line in row[i])))
        for i, name in enumerate(table.columns)
    ]
    blocks = [[0]]  # columns side by side; those that do not fit go on beneath, after the first column again
    for i in range(1, len(widths)):
        full = sum(widths[j] + _GAP for j in blocks[-1]) + widths[i] > console.width
        if full and not table.wrap and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(i)
    sides: list[JustifyMethod] = table.sides("left", "right")
    high = any(len(cell) > 1 for row in rows for cell in row)
    for number, chosen in enumerate(blocks):
        if number:
            console.print()
        grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_lines=high, padding=(0, _GAP - 1, 0, 0))
        for i in chosen:
            wide = i == 0 and len(chosen) < 3  # the only other column: names of any length are broken, not cut
            header, no_wrap = Styled(clean(table.columns[i])), not (i in table.wrap or wide)
            grid.add_column(header, justify=sides[i], no_wrap=no_wrap, overflow="fold")
        for row in rows:
            grid.add_row(*(Styled("\n").join(map(_styled, row[i])) for i in chosen))
        console.print(grid)
    for note in (*table.legend, *table.notes):
        console.print(Styled(clean(note), "dim"))


def _plain(line: Line) -> str:
    return clean(line.plain(narrow=True))


def _styled(line: Line) -> Styled:
    out = Styled(_plain(line), _STYLES[line.style])
    out.stylize("bold", 0, len(line.strong))
    return out


def _grow(tree: Tree, branch: Branch) -> None:
    for child in branch.children:
        _grow(tree.add(_label(child)), child)


def _label(branch: Branch) -> Styled:
    out = Styled(no_wrap=branch.cut, overflow="ellipsis" if branch.cut else "fold")
    for part, style in branch.spans:
        out.append(clean(part), _STYLES[style])
    return out


def drawn(figure: Figure) -> list[str]:
    """Lines of a figure: a row of blocks for each group of a histogram, some points of each curve."""
    if figure.points:
        lines, body = [f"{figure.title}: {figure.y} % [95%] by {figure.x}; * beaten by none"], _point
    elif figure.bins is None:
        second = f"(and {figure.kinds[1]}) " if figure.kinds[1] else ""
        lines, body = [f"{figure.y} {second}% {'by' if figure.lines else 'within a'} {figure.x}"], _points
    else:
        lines, body = [f"{figure.x}, 0 to {figure.bins:g}"], _blocks
    side = min(26, max((len(series.label) for series in figure.series), default=0))
    for series in figure.series:
        lines.append(f"  {series.label[:side]:<{side}} {body(series, figure.ticks)}")
        lines += [f"  {'':<{side}} {series.note}"] if series.note and not figure.points else []
    return [clean(line) for line in lines]


def _blocks(series: Series, ticks: Sequence[str] = ()) -> str:
    counts = series.totals()
    most = max(counts, default=0) or 1
    return "".join(_BLOCKS[int(-(-count * (len(_BLOCKS) - 1) // most))] for count in counts)


def _point(series: Series, ticks: Sequence[str] = ()) -> str:
    """A point with its interval and its note, in columns."""
    sides = "".join(f" [{100 * a:.0f}…{100 * b:.0f}]" for a, b in zip(series.low, series.high, strict=True))
    right = f"{100 * series.y[0]:.1f}{sides}"
    return f"{' ' if series.beaten else '*'}{series.x[0]:>7,.0f}: {right:<16} {series.note}".rstrip()


def _points(series: Series, ticks: Sequence[str] = ()) -> str:
    """Five points or so, the last among them."""
    count = len(series.x)
    shown = sorted({*range(0, count, max(1, -(-count // 5))), count - 1})
    second = [f" ({100 * value:.0f})" for value in series.second] or [""] * count
    at = [ticks[int(x)] if ticks else f"{x:g}" for x in series.x]
    return "  ".join(f"{at[i]}: {100 * series.y[i]:.0f}{second[i]}" for i in shown)
