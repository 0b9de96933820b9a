"""Pages as Markdown (GitHub's). No text opens a cell, a tag, a link or a heading."""

from __future__ import annotations

import re

from harness.view.page import Branch, Line, Page, Table, Text, lines_of
from harness.view.text import clean

FORM = "md"
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "`": "&#96;", "\\": "&#92;",
                           "*": "&#42;", "~": "&#126;"})  # fmt: skip
_LINK = re.compile(r"\](?=\s*[(\[:])")
_EDGE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # an underscore that is not inside a word
_OPENING = re.compile(r"^(#|[-+=](?=\s|[-+=]|$)|\d+(?=[.)]))")


def render(page: Page) -> str:
    parts = [f"# {line(page.title)}"] if page.title else []
    for block in page.blocks:
        if isinstance(block, Table):
            parts.append(table(block))
        elif isinstance(block, Branch):
            parts.append("\n".join(_branch(block, 0)))
        elif isinstance(block, Text):
            parts.append(fenced(block.text) if block.verbatim else line(block.text))
        else:
            parts.append(figure(block))
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: object) -> str:
    """Text in the middle of a line."""
    return _EDGE.sub("&#95;", _LINK.sub("&#93;", " ".join(clean(text).split()).translate(_ENTITIES)))


def line(text: object) -> str:
    """Text as a line of its own."""
    return _OPENING.sub(lambda found: "".join(f"&#{ord(c)};" for c in found[0]), escape(text))


def fenced(text: str) -> str:
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}\n{clean(text, lines=True)}\n{fence}"


def table(one: Table) -> str:
    title = [f"**{escape(one.title)}**", ""] if one.title else []
    head = [_row([escape(column.name) for column in one.columns])]
    head.append(_row(["---:" if column.align == "right" else "---" for column in one.columns]))
    body = [_row(["<br>".join(map(_line, lines_of(cell))) for cell in row]) for row in one.sparse()]
    notes = [text for note in one.notes for text in ("", line(note))]
    return "\n".join([*title, *head, *body, *notes])


def figure(block: object) -> str:
    from harness.view.render.terminal import drawn

    return fenced("\n".join(drawn(block)))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _line(one: Line) -> str:
    strong = f"**{escape(one.strong)}**" if one.strong else ""
    return " ".join(part for part in (strong, escape(one.text)) if part)


def _branch(branch: Branch, depth: int) -> list[str]:
    own = f"{'  ' * depth}- " + line("".join(text for text, _ in branch.spans))
    return [own, *(text for child in branch.children for text in _branch(child, depth + 1))]
