"""Tables as LaTeX (booktabs), ready for a paper: each a table environment with caption and notes."""

from __future__ import annotations

import re

from harness.view.page import Cell, Page, Table, Text, flat, lines_of
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
    for block in flat(page.blocks):
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
    caption = escape(one.title or title)
    notes = " ".join(escape(note).rstrip(".") + "." for note in (*one.legend, *one.notes))
    return _TABLE % (
        f"\\caption{{{caption}}}\n" if caption else "",
        "".join(one.sides("l", "r")),
        " & ".join(map(escape, one.columns)),
        "\n".join(" & ".join(map(_cell, row)) + r" \\" for row in one.rows),
        f"\\par\\smallskip\\footnotesize {notes}\n" if notes else "",
    )


def _cell(cell: Cell) -> str:
    lines = [line.marked(escape, r"\textbf{{{}}}", narrow=True) for line in lines_of(cell)]
    return lines[0] if len(lines) == 1 else r"\begin{tabular}[t]{@{}l@{}}" + r" \\ ".join(lines) + r"\end{tabular}"
