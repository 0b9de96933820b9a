"""The leaderboard: arms by rows, tasks by columns; and laid out as the paper's Table 5 with its published rows."""

from __future__ import annotations

from typing import Any

from harness.results.board import Board
from harness.results.board import Cell as Score
from harness.results.records import Summary
from harness.shipped import published_rows
from harness.view.page import Column, Line, Page, Table, columns
from harness.view.text import interval, percent, points

LAYOUTS = ("full", "paper")
_SHORT = {"math500": "math", "blocksworld": "blocks", "multi_if_zh": "if_zh", "multi_if_en": "if_en",
          "multi_if_other": "if_other"}  # fmt: skip
_LEGEND = (
    "line 1: accuracy % [95% interval] | accuracy given an answer",
    "line 2: difference to control in points [95% paired interval]; * excludes 0",
    "line 3: no-answer %, of it u unfinished, e empty, f grader failed; l ends in a repetition loop; median thinking "
    "tokens",
)
_LEGEND_AT_N = "@N: solved at least once in N answers, %"


def page(board: Board, layout: str = "full") -> Page:
    """``layout``: full, or paper (accuracy and no-answer alone, beside the published rows)."""
    data = {"title": board.title, "control": board.control, "rows": board.rows()}
    blocks = [table(board)] if layout == "full" else [_as_published(board), _published()]
    return Page(title=board.title, blocks=blocks, data=data)


def table(board: Board) -> Table:
    """Each cell in three lines: accuracy, difference to the control, items without an answer and thinking tokens."""
    sizes = {task: board.cells[board.control, task].summary.n for task in board.tasks}
    same = len(set(sizes.values())) == 1
    names = [Column(name=t if same else f"{t}, n={sizes[t]}", align="left") for t in board.tasks]
    rows = [[_arm(board, arm), *(_lines(board.cells[arm, task]) for task in board.tasks)] for arm in board.runs]
    drawn = any(cell.summary.solved is not None for cell in board.cells.values())
    return Table(
        title=f"{board.title}, n = {sizes[board.tasks[0]]} per task" if same else board.title,
        columns=[Column(name="arm", align="left"), *names],
        rows=rows,
        legend=(*_LEGEND, *([_LEGEND_AT_N] if drawn else [])),
        records=[_record(row) for row in board.rows()],
    )


def _arm(board: Board, arm: str) -> list[Line]:
    seeds = len(board.runs[arm])
    return [Line(text=arm), *([Line(text=f"{seeds} seeds", style="dim")] if seeds > 1 else [])]


def _lines(cell: Score) -> list[Line]:
    f, gap = cell.summary, cell.difference
    answered, inside = percent(f.accuracy_answered), interval(f.low, f.high)
    difference = "control"
    if gap is not None:
        mark = "*" if gap.low > 0 or gap.high < 0 else ""
        difference = f"Δ {points(gap.difference)} {interval(gap.low, gap.high, True)}{mark}"
    shares = (("unfinished", f.unfinished), ("empty", f.empty), ("failed", f.failed), ("looping", f.loops))
    causes = [(name, name[0], percent(share, 0)) for name, share in shares if share > 0.005]
    tokens, missing = f"{f.median_thinking_tokens:.0f}", percent(f.no_answer, 1 if f.no_answer < 0.1 else 0)
    why = f" ({', '.join(f'{name} {share}' for name, _, share in causes)})" if causes else ""
    letters = "".join(f" {letter}{share}" for _, letter, share in causes)
    out = [
        Line(strong=percent(f.accuracy), text=f"{inside}, {answered} given an answer", short=f"{inside} |{answered}"),
        Line(text=difference),
        Line(
            text=f"no answer {percent(f.no_answer)}{why}, {tokens} thinking tokens",
            short=f"na {missing}{letters}, {tokens}t",
        ),
    ]
    if f.solved is not None:
        solved = percent(f.solved)
        out.append(Line(text=f"solved in {f.answers} answers {solved}", short=f"@{f.answers} {solved}"))
    return out


def _record(row: dict[str, Any]) -> dict[str, Any]:
    """An arm on a task in one flat row, the difference to the control with it."""
    gap = row["difference"] or {}
    flat = {key: value for key, value in row.items() if not isinstance(value, dict) and key != "difference"}
    return flat | {f"difference_{key}": gap.get(key) for key in ("difference", "low", "high", "p")}


def _as_published(board: Board) -> Table:
    return Table(
        title=f"{board.title}: accuracy % (no-answer %)",
        columns=columns("arm", *board.tasks, left=len(board.tasks) + 1),
        rows=[[arm, *(_pair(board.cells[arm, task].summary) for task in board.tasks)] for arm in board.runs],
        records=[_record(row) for row in board.rows()],
    )


def _pair(f: Summary) -> str:
    return f"{percent(f.accuracy)} ({percent(f.no_answer)})"


def _published() -> Table:
    found = published_rows()
    tasks = list(found["items"])
    rows = [
        [arm, *(f"{row[t]['accuracy']:.1f} ({row[t]['no_answer']:g})" for t in tasks)]
        for arm, row in found["rows"].items()
    ]
    names = [_SHORT.get(task, task) for task in tasks]
    return Table(
        title="published, not run here",
        columns=columns("arm", *names, left=len(tasks) + 1),
        rows=rows,
        notes=[found["source"], found["note"]],
    )
