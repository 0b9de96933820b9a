"""Pages as Markdown (GitHub's). No text opens a cell, a tag, a link or a heading."""

from __future__ import annotations

import re

from harness.view.page import Block, Branch, Page, Section, Table, Text, lines_of
from harness.view.render.terminal import drawn
from harness.view.text import clean

FORM = "md"
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "`": "&#96;", "\\": "&#92;",
                           "*": "&#42;", "~": "&#126;"})  # fmt: skip
_LINK = re.compile(r"\](?=\s*[(\[:])")
_EDGE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # an underscore that is not inside a word
_OPENING = re.compile(r"^(#|[-+=](?=\s|[-+=]|$)|\d+(?=[.)]))")


def render(page: Page) -> str:
    parts = [f"# {line(page.title)}"] if page.title else []
    parts += [part for block in page.blocks for part in _parts(block, 2)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _parts(block: Block, depth: int) -> list[str]:
    if isinstance(block, Section):
        return [f"{'#' * depth} {line(block.title)}", *(p for each in block.blocks for p in _parts(each, depth + 1))]
    if isinstance(block, Table):
        return [table(block)]
    if isinstance(block, Branch):
        return ["\n".join(_branch(block, 0))]
    if isinstance(block, Text):
        return [fenced(block.text) if block.verbatim else line(block.text)]
    return [fenced("\n".join(drawn(block)))]


def escape(text: object) -> str:
    """Text in the middle of a line."""
    return _EDGE.sub("&#95;", _LINK.sub("&#93;", " ".join(clean(text).split()).translate(_ENTITIES)))


def line(text: object) -> str:
    """Text as a line of its own."""
    return _OPENING.sub(lambda match: "".join(f"&#{ord(c)};" for c in match[0]), escape(text))


def fenced(text: str) -> str:
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}\n{clean(text, lines=True)}\n{fence}"


def table(one: Table) -> str:
    title = [f"**{escape(one.title)}**", ""] if one.title else []
    rows = [list(map(escape, one.columns)), one.sides("---", "---:")]
    for row in one.rows:
        rows.append(["<br>".join(part.marked(escape, "**{}**") for part in lines_of(cell)) for cell in row])
    notes = [text for note in one.notes for text in ("", line(note))]
    return "\n".join([*title, *(f"| {' | '.join(row)} |" for row in rows), *notes])


def _branch(branch: Branch, depth: int) -> list[str]:
    own = f"{'  ' * depth}- " + line("".join(text for text, _ in branch.spans))
    return [own, *(text for child in branch.children for text in _branch(child, depth + 1))]
