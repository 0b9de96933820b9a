"""The leaderboard in other forms: Markdown, CSV, HTML, and laid out as the paper's Table 5 with its published rows."""

from __future__ import annotations

import csv
import html
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from harness.results.board import Board, interval, percent

FORMATS = ("table", "md", "csv", "json", "html")


def markdown(board: Board) -> str:
    """The same table in Markdown, for a README or a report."""
    lines = ["| arm | " + " | ".join(board.tasks) + " |", "| --- |" + " --- |" * len(board.tasks)]
    for arm in board.runs:
        cells = []
        for task in board.tasks:
            f, gap = board.cells[arm, task].figures, board.cells[arm, task].difference
            text = f"**{percent(f['accuracy'])}** ({interval(f['low'], f['high'])})"
            if gap is not None:
                text += f"<br>Δ {100 * gap.difference:+.1f} ({interval(gap.low, gap.high, True)})"
            text += f"<br>na {percent(f['no_answer'])}, think {f['median_thinking_tokens']:g}"
            cells.append(text)
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def csv_text(board: Board) -> str:
    """One line per arm and task, the difference to the control flattened."""
    rows = []
    for row in board.rows():
        gap = row.pop("difference") or {}
        flat = {key: value for key, value in row.items() if not isinstance(value, dict)}
        rows.append(flat | {f"difference_{key}": gap.get(key) for key in ("difference", "low", "high", "p")})
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def html_text(board: Board) -> str:
    """One page without any external request."""
    head = "".join(f"<th>{html.escape(task)}</th>" for task in board.tasks)
    body = []
    for arm in board.runs:
        cells = []
        for task in board.tasks:
            f, gap = board.cells[arm, task].figures, board.cells[arm, task].difference
            lines = [f"<b>{percent(f['accuracy'])}</b> <span>{interval(f['low'], f['high'])}</span>"]
            if gap is not None:
                lines.append(f"Δ {100 * gap.difference:+.1f} <span>{interval(gap.low, gap.high, True)}</span>")
            lines.append(f"no answer {percent(f['no_answer'])}, {f['median_thinking_tokens']:g} tokens")
            cells.append(f"<td>{'<br>'.join(lines)}</td>")
        body.append(f"<tr><th>{html.escape(arm)}</th>{''.join(cells)}</tr>")
    return _PAGE.format(title=html.escape(board.title), head=head, body="\n".join(body))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }}
div {{ overflow-x: auto }} table {{ border-collapse: collapse }}
th, td {{ text-align: left; padding: .5rem .8rem; border-bottom: 1px solid #ddd; vertical-align: top }}
span {{ color: #666 }} tbody th {{ white-space: nowrap }}
</style></head><body><h1>{title}</h1><div><table><thead><tr><th>arm</th>{head}</tr></thead><tbody>
{body}
</tbody></table></div>
<p>Accuracy in % with its 95% interval; Δ: difference to the control arm in points with its paired 95% interval;
share of items without an answer; median thinking tokens.</p></body></html>"""


def paper(board: Board, width: int) -> str:
    """Accuracy % (no-answer %) as in the paper's Table 5, the published rows beneath, named as published.

    Tables wider than ``width`` characters go on in blocks beneath.
    """
    from harness.shipped import published_rows

    own = [[arm, *(_cell(board.cells[arm, task].figures) for task in board.tasks)] for arm in board.runs]
    lines = [f"{board.title}: accuracy % (no-answer %)", *_aligned([["arm", *board.tasks], *own], width)]
    theirs = published_rows()
    tasks = list(theirs["items"])
    rows = [
        [arm, *(f"{row[t]['accuracy']:.1f} ({row[t]['no_answer']:g})" for t in tasks)]
        for arm, row in theirs["rows"].items()
    ]
    short = {
        "math500": "math",
        "blocksworld": "blocks",
        "multi_if_zh": "if_zh",
        "multi_if_en": "if_en",
        "multi_if_other": "if_other",
    }
    lines += [
        "",
        "published, not run here:",
        *textwrap.wrap(theirs["source"], width),
        *_aligned([["arm", *(short.get(t, t) for t in tasks)], *rows], width),
    ]
    return "\n".join([*lines, *textwrap.wrap(theirs["note"], width)])


def _cell(f: Mapping[str, Any]) -> str:
    return f"{percent(f['accuracy'])} ({percent(f['no_answer'])})"


def _aligned(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Lines of a table; columns that do not fit stand in a block of their own beneath, with the first column again."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    blocks: list[list[int]] = [[0]]
    for i in range(1, len(widths)):
        if len(blocks[-1]) > 1 and sum(widths[j] + 2 for j in blocks[-1]) + widths[i] > width:
            blocks.append([0])
        blocks[-1].append(i)
    lines = [["  ".join(row[i].ljust(widths[i]) for i in block).rstrip() for row in rows] for block in blocks]
    return [line for number, block in enumerate(lines) for line in ([""] * bool(number) + block)]
