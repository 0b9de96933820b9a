"""Tables as LaTeX (booktabs), ready for a paper: each a table environment with caption and notes."""

from __future__ import annotations

import re

from harness.view.page import Cell, Page, Table, Text, lines_of
from harness.view.text import clean

FORM = "latex"
_MARKS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "#": r"\#", "%": r"\%", "&": r"\&", "_": r"\_", "$": r"\$",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}", "<": r"\textless{}",
    ">": r"\textgreater{}", '"': r"\textquotedbl{}", "[": "{[}", "]": "{]}", "*": "{*}", "Δ": r"$\Delta$",
    "≤": r"$\le$", "−": "$-$", "…": r"\,\ldots\,", "–": "--", "▸": "", "×": r"$\times$",
}  # fmt: skip
_TABLE = r"""\begin{table}
\centering
%s\begin{tabular}{%s}
\toprule
%s \\
\midrule
%s
\bottomrule
\end{tabular}
%s\end{table}
"""


def render(page: Page) -> str:
    parts = ["% \\usepackage{booktabs} in the preamble"]
    for block in page.flat():
        if isinstance(block, Table):
            parts.append(table(block, page.title))
        elif isinstance(block, Text) and not block.verbatim:
            parts.append(escape(block.text) + "\n")
    return "\n".join(parts)


def escape(text: object) -> str:
    """Text without commands; a minus before a digit becomes a real one."""
    words = re.sub(r"(?<![\w.,])-(?=\d)", "−", " ".join(clean(text).split()))
    return "".join(_MARKS.get(c, c) for c in words)


def table(one: Table, title: str = "") -> str:
    caption = one.title or title
    head = " & ".join(escape(column.name) for column in one.columns)
    groups = []
    for group in one.groups():
        rows = [row if not i else ["", *row[1:]] for i, row in enumerate(group)]
        groups.append("\n".join(" & ".join(map(_cell, row)) + r" \\" for row in rows))
    between = "\n\\addlinespace\n" if one.grouped else "\n"
    notes = " ".join(escape(note).rstrip(".") + "." for note in (*one.legend, *one.notes))
    return _TABLE % (
        f"\\caption{{{escape(caption)}}}\n" if caption else "",
        "".join("l" if column.align == "left" else "r" for column in one.columns),
        head,
        between.join(groups),
        f"\\par\\smallskip\\footnotesize {notes}\n" if notes else "",
    )


def _cell(cell: Cell) -> str:
    lines = []
    for line in lines_of(cell):
        rest = escape(line.text if line.short is None else line.short)
        lines.append(
            " ".join(part for part in (f"\\textbf{{{escape(line.strong)}}}" * bool(line.strong), rest) if part)
        )
    if len(lines) == 1:
        return lines[0]
    return r"\begin{tabular}[t]{@{}l@{}}" + r" \\ ".join(lines) + r"\end{tabular}"
