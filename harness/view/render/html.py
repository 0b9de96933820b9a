"""Pages as HTML without outside requests. Every text is escaped here."""

from __future__ import annotations

from html import escape as _escape
from pathlib import Path
from string import Template

from harness.view.page import Block, Branch, Cell, Figure, Line, Page, Section, Table, colour, lines_of
from harness.view.render import svg
from harness.view.text import clean

FORM = "html"
_PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))


def render(page: Page) -> str:
    title = escape(page.title)
    body = "\n".join(map(block, page.blocks))
    return _PAGE.substitute(title=title or "harness", heading=title and f"<h1>{title}</h1>", body=body)


def escape(text: object) -> str:
    return _escape(clean(text))


def block(one: Block) -> str:
    if isinstance(one, Section):
        outer, head = ("details", "summary") if one.folded else ("section", "h2")
        body = "\n".join(map(block, one.blocks))
        return f"<{outer}><{head}>{escape(one.title)}</{head}>\n{body}\n</{outer}>"
    if isinstance(one, Table):
        return table(one)
    if isinstance(one, Figure):
        key = ""
        for i, series in enumerate(() if one.points else one.series):
            key += f'<span><i style="background: {colour(i)}"></i>{escape(series.label)}</span>'
        heading = f"{escape(one.title)}: {escape(one.y)}"
        return f'<figure><h3>{heading}</h3><p class="key">{key}</p>{svg.draw(one)}</figure>'
    if isinstance(one, Branch):
        return f"<ul>{_branch(one)}</ul>"
    if one.verbatim:
        return f"<pre>{_escape(clean(one.text, lines=True))}</pre>"
    return f'<p class="{one.style}">{escape(one.text)}</p>' if one.style else f"<p>{escape(one.text)}</p>"


def table(one: Table) -> str:
    right = one.sides("", ' class="right"')
    head = "".join(f"<th{side}>{escape(name)}</th>" for name, side in zip(one.columns, right, strict=True))
    cells = ("".join(f"<td{side}>{_cell(c)}</td>" for c, side in zip(row, right, strict=True)) for row in one.rows)
    rows = "\n".join(f"<tr>{row}</tr>" for row in cells)
    caption = f"<h3>{escape(one.title)}</h3>" if one.title else ""
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in one.notes)
    inner = f"<thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody>"
    return f'{caption}<div class="wide"><table>{inner}</table></div>{notes}'


def _cell(cell: Cell) -> str:
    first, *more = lines_of(cell)
    return _line(first) + "".join(f"<small>{_line(line)}</small>" for line in more)


def _line(one: Line) -> str:
    strong = f"<b>{escape(one.strong)}</b>" if one.strong else ""
    text = f'<span class="{one.style}">{escape(one.text)}</span>' if one.style else escape(one.text)
    return " ".join(part for part in (strong, text) if part)


def _branch(branch: Branch) -> str:
    inner = "".join(map(_branch, branch.children))
    text = escape("".join(text for text, _ in branch.spans))
    return f"<li>{text}{inner and f'<ul>{inner}</ul>'}</li>"
