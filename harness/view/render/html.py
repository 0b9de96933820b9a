"""Pages as HTML without outside requests. Every text is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape as _escape

from harness.view.page import (
    Bars,
    Block,
    Branch,
    Cell,
    Curves,
    Histogram,
    Line,
    Page,
    Section,
    Series,
    Table,
    colour,
    lines_of,
)
from harness.view.render import svg
from harness.view.text import clean

FORM = "html"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>
{style}
</style></head><body>{heading}
{body}
</body></html>
"""
_STYLE = """:root { color-scheme: light dark; --line: #8884; --soft: #8882 }
:root { --dim: #667; --good: #07752f; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --dim: #aab; --good: #5fd38a; --bad: #ff8a80 } }
* { box-sizing: border-box } figure { display: inline-block; width: 100%; max-width: 560px; margin: 0 1rem 1rem 0 }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.5rem; margin: .5rem 0 0 } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem } h3 { font-size: 1rem }
.dim, .note, small { color: var(--dim) } .good { color: var(--good) } .bad { color: var(--bad) }
.good, .bad { font-weight: 600 } .wide { overflow-x: auto } p { margin: .3rem 0; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line) }
td small { display: block } .right { text-align: right } summary { cursor: pointer }
th:first-child, td:first-child { position: sticky; left: 0; background: Canvas }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--soft); padding: .6rem; font-size: .8rem }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif } svg text { fill: currentColor }
.axis { stroke: currentColor; stroke-width: .6 } .grid { stroke: currentColor; stroke-width: .3; opacity: .4 }
.key span { display: inline-block; margin-right: 1rem; white-space: nowrap }
.key i { display: inline-block; width: .7rem; height: .7rem; margin-right: .3rem }
@media print { body { max-width: none; font-size: 10px } h2, h3 { break-after: avoid }
  tr, figure { break-inside: avoid }
  .wide { overflow: visible } details > :not(summary) { display: none } }"""


def render(page: Page) -> str:
    title = escape(page.title)
    body = "\n".join(map(block, page.blocks))
    return _PAGE.format(title=title or "harness", style=_STYLE, heading=title and f"<h1>{title}</h1>", body=body)


def escape(text: object) -> str:
    return _escape(clean(text))


def block(one: Block) -> str:
    if isinstance(one, Section):
        outer, head = ("details", "summary") if one.folded else ("section", "h2")
        body = "\n".join(map(block, one.blocks))
        return f"<{outer}><{head}>{escape(one.title)}</{head}>\n{body}\n</{outer}>"
    if isinstance(one, Table):
        return table(one)
    if isinstance(one, Histogram | Curves):
        drawn: Sequence[Bars | Series] = one.bars if isinstance(one, Histogram) else one.series
        key = "".join(f'<span><i style="background: {colour(i)}"></i>{escape(each.label)}</span>' for i, each in
                      enumerate(drawn))  # fmt: skip
        heading = f"{escape(one.title)}: {escape(one.y)}"
        return f'<figure><h3>{heading}</h3><p class="key">{key}</p>{svg.draw(one)}</figure>'
    if isinstance(one, Branch):
        return f"<ul>{_branch(one)}</ul>"
    if one.verbatim:
        return f"<pre>{_escape(clean(one.text, lines=True))}</pre>"
    return f'<p class="{one.style}">{escape(one.text)}</p>' if one.style else f"<p>{escape(one.text)}</p>"


def table(one: Table) -> str:
    right = [' class="right"' if column.align == "right" else "" for column in one.columns]
    head = "".join(f"<th{side}>{escape(c.name)}</th>" for c, side in zip(one.columns, right, strict=True))
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
