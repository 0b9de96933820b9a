"""The leaderboard, also laid out as the paper's Table 5 with its published rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.files import published_rows
from harness.results.board import Board
from harness.results.board import Cell as Score
from harness.view.page import Line, Page, Table
from harness.view.text import interval, percent, points, thinking

LAYOUTS = ("full", "paper")
_SHORT = {"math500": "math", "blocksworld": "blocks", "multi_if_zh": "if_zh", "multi_if_en": "if_en",
          "multi_if_other": "if_other"}  # fmt: skip
_LEGEND = (
    "line 1: accuracy % [95% interval] | accuracy given an answer",
    "line 2: difference to control in points [95% paired interval, trainings counted]; * excludes 0",
    "g: guessed %, of verdicts those on an answer that nothing marks | accuracy without them",
    "na: no-answer %, of it u unfinished, e empty, f grader failed; l ends in a repetition loop; median thinking "
    "tokens",
)
_LEGEND_AT_N = "@N: solved at least once in N answers, %"


def page(board: Board, layout: str = "full") -> Page:
    """``layout``: full, or paper (accuracy and no-answer alone, beside the published rows)."""
    blocks = [table(board)] if layout == "full" else _paper(board)
    if board.retention:
        blocks.append(replace(table(beside(board)), legend=()))  # its short lines are those of the table above
    return Page(title=_title(board), blocks=blocks, data=board.model_dump())


def beside(board: Board) -> Board:
    """The arms on the tasks that nothing was trained on, as a board of its own."""
    title = f"{board.title}, retention (nothing was trained on these)"
    return board.model_copy(update={"title": title, "rows": board.retention, "retention": []})


def _title(board: Board) -> str:
    return f"{board.title}, {board.decoding}" if board.decoding else board.title


def table(board: Board) -> Table:
    """Each cell in lines: accuracy, difference to the control, what was guessed, items without an answer, tokens."""
    cells = board.cells
    sizes = {task: cells[board.control, task].n for task in board.tasks}
    same = len(set(sizes.values())) == 1
    rows = []
    for arm in board.arms:
        seeds = cells[arm, board.tasks[0]].seeds or 1
        trained = [Line(text=f"{seeds} seeds", style="dim")] if seeds > 1 else []
        rows.append([[Line(text=arm), *trained], *(_lines(cells[arm, task]) for task in board.tasks)])
    drawn = any(cell.solved is not None for cell in board.rows)
    return Table(
        title=f"{_title(board)}, n = {sizes[board.tasks[0]]} per task" if same else _title(board),
        columns=["arm", *(t if same else f"{t}, n={sizes[t]}" for t in board.tasks)],
        left=len(sizes) + 1,
        rows=rows,
        legend=(*_LEGEND, *([_LEGEND_AT_N] if drawn else [])),
        records=_records(board),
    )


def _lines(f: Score) -> list[Line]:
    inside, given, difference = interval(f.low, f.high), percent(f.accuracy_answered), "control"
    if (gap := f.difference) is not None:
        mark = "*" if gap.low > 0 or gap.high < 0 else ""
        difference = f"Δ {points(gap.difference)} {interval(gap.low, gap.high, True)}{mark}"
    shares = (("unfinished", f.unfinished), ("empty", f.empty), ("failed", f.failed), ("looping", f.loops))
    causes = [(name, percent(share, 0)) for name, share in shares if share > 0.005]
    why = f" ({', '.join(f'{name} {share}' for name, share in causes)})" if causes else ""
    letters = "".join(f" {name[0]}{share}" for name, share in causes)
    missing, tokens = percent(f.no_answer, 1 if f.no_answer < 0.1 else 0), thinking(f)
    text = f"no answer {percent(f.no_answer)}{why}, {tokens} thinking tokens"
    out = [
        Line(strong=percent(f.accuracy), text=f"{inside}, {given} given an answer", short=f"{inside} |{given}"),
        Line(text=difference),
        Line(text=text, short=f"na {missing}{letters}, {tokens}t"),
    ]
    if f.guessed is not None:
        guessed, marked = percent(f.guessed, 0), percent(f.accuracy_marked)
        out.insert(2, Line(text=f"guessed {guessed}, {marked} without", short=f"g{guessed} |{marked}"))
    if f.solved is not None:
        solved = percent(f.solved)
        out.append(Line(text=f"solved in {f.answers} answers {solved}", short=f"@{f.answers} {solved}"))
    return out


def _records(board: Board) -> list[dict[str, Any]]:
    """Every arm on every task in one flat row, the difference to the control with it."""
    out = []
    for row in board.model_dump()["rows"]:
        gap = row.pop("difference") or {}
        flat = {key: value for key, value in row.items() if not isinstance(value, dict)}
        out.append(flat | {f"difference_{key}": gap.get(key) for key in ("difference", "low", "high", "p")})
    return out


def _paper(board: Board) -> list[Table]:
    """Accuracy and no-answer rate alone, beside the published ones."""
    rows: list[list[str]] = []
    for arm in board.arms:
        cells = [board.cells[arm, task] for task in board.tasks]
        rows.append([arm, *(f"{percent(f.accuracy)} ({percent(f.no_answer)})" for f in cells)])
    names, title = ("arm", *board.tasks), f"{_title(board)}: accuracy % (no-answer %)"
    run = Table(title=title, columns=names, left=len(names), rows=rows, records=_records(board))
    known = published_rows()
    shown = [
        [arm, *(f"{row[task]['accuracy']:.1f} ({row[task]['no_answer']:g})" for task in known["items"])]
        for arm, row in known["rows"].items()
    ]
    names, notes = ("arm", *(_SHORT.get(task, task) for task in known["items"])), [known["source"], known["note"]]
    title = "published, not run here"
    return [run, Table(title=title, columns=names, left=len(names), rows=shown, notes=notes)]
