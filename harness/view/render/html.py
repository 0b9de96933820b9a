"""Pages as HTML without outside requests. Every text is escaped here."""

from __future__ import annotations

from html import escape as _escape

from harness.view.figure import Curves, Histogram, colour
from harness.view.page import Branch, Line, Page, Table, Text, lines_of
from harness.view.render import svg
from harness.view.text import clean

FORM = "html"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>
:root {{ color-scheme: light dark }} body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem }}
{style}
</style></head><body>{heading}
{body}
</body></html>
"""
STYLE = """.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid #8884 }
.dim, .note, small { color: #778 } td small { display: block; white-space: nowrap } .right { text-align: right }
.good { color: #1a8a45 } .bad { color: #c8372d } .good, .bad { font-weight: 600 } tr.inside td { border-bottom: 0 }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8882; padding: .6rem; font-size: .8rem }
svg { width: 100%; max-width: 560px; height: auto; font: 11px system-ui, sans-serif } svg text { fill: currentColor }
.axis { stroke: currentColor; stroke-width: .6 } .grid { stroke: currentColor; stroke-width: .3; opacity: .4 }
.key span { display: inline-block; margin-right: 1rem; white-space: nowrap }
.key i { display: inline-block; width: .7rem; height: .7rem; margin-right: .3rem }"""


def render(page: Page) -> str:
    title = escape(page.title)
    body = "\n".join(map(block, page.blocks))
    return _PAGE.format(title=title or "harness", style=STYLE, heading=title and f"<h1>{title}</h1>", body=body)


def escape(text: object) -> str:
    return _escape(clean(text))


def block(one: object) -> str:
    if isinstance(one, Table):
        return table(one)
    if isinstance(one, Histogram | Curves):
        labels = [bars.label for bars in one.bars] if isinstance(one, Histogram) else [s.label for s in one.series]
        return f"<h3>{escape(one.title)}</h3>{key(labels)}{svg.draw(one)}"
    if isinstance(one, Branch):
        return f"<ul>{_branch(one)}</ul>"
    assert isinstance(one, Text)
    if one.verbatim:
        return f"<pre>{_escape(clean(one.text, lines=True))}</pre>"
    return f'<p class="{one.style}">{escape(one.text)}</p>' if one.style else f"<p>{escape(one.text)}</p>"


def table(one: Table) -> str:
    right = [' class="right"' if column.align == "right" else "" for column in one.columns]
    head = "".join(f"<th{side}>{escape(c.name)}</th>" for c, side in zip(one.columns, right, strict=True))
    rows = []
    for group in one.groups():
        for number, row in enumerate(group):
            cells = row if not number else ["", *row[1:]]
            inside = ' class="inside"' if number < len(group) - 1 else ""
            body = "".join(f"<td{side}>{_cell(lines_of(c))}</td>" for c, side in zip(cells, right, strict=True))
            rows.append(f"<tr{inside}>{body}</tr>")
    caption = f"<h3>{escape(one.title)}</h3>" if one.title else ""
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in one.notes)
    body = "\n".join(rows)
    return f'{caption}<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>{notes}'


def key(labels: list[str]) -> str:
    spans = (f'<span><i style="background: {colour(i)}"></i>{escape(label)}</span>' for i, label in enumerate(labels))
    return f'<p class="key">{"".join(spans)}</p>'


def _cell(lines: object) -> str:
    first, *more = lines  # type: ignore[misc]
    return _line(first) + "".join(f"<small>{_line(line)}</small>" for line in more)


def _line(one: Line) -> str:
    strong = f"<b>{escape(one.strong)}</b>" if one.strong else ""
    text = f'<span class="{one.style}">{escape(one.text)}</span>' if one.style else escape(one.text)
    return " ".join(part for part in (strong, text) if part)


def _branch(branch: Branch) -> str:
    inner = "".join(map(_branch, branch.children))
    text = escape("".join(text for text, _ in branch.spans))
    return f"<li>{text}{inner and f'<ul>{inner}</ul>'}</li>"
