"""The leaderboard, also laid out as the paper's Table 5 with its published rows; and verdicts on a paper's claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.files import published_rows
from harness.results.board import Board
from harness.results.board import Cell as Score
from harness.results.claims import VERDICTS, Finding, published
from harness.results.records import Claim
from harness.view.page import Column, Line, Page, Row, Style, Table, columns
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
_METRICS = {"accuracy": "accuracy", "no_answer": "no answer", "solved": "solved at least once"}
_STYLES: dict[str, Style] = {"reproduced": "good", "contradicted": "bad"}
_CLAIM_COLUMNS = (
    Column(name="claim", align="left", wrap=True), Column(name="task", align="left"), Column(name="points [95%]"),
    Column(name="seen from"), Column(name="verdict", align="left"),
)  # fmt: skip


def page(board: Board, layout: str = "full") -> Page:
    """``layout``: full, or paper (accuracy and no-answer alone, beside the published rows)."""
    data = {"title": board.title, "control": board.control, "rows": board.rows()}
    blocks = [table(board)] if layout == "full" else [_as_published(board), _published()]
    return Page(title=board.title, blocks=blocks, data=data)


def table(board: Board) -> Table:
    """Each cell in three lines: accuracy, difference to the control, items without an answer and thinking tokens."""
    sizes = {task: board.cells[board.control, task].summary.n for task in board.tasks}
    same = len(set(sizes.values())) == 1
    rows = []
    for arm, seeds in board.runs.items():
        trained = [Line(text=f"{len(seeds)} seeds", style="dim")] if len(seeds) > 1 else []
        rows.append([[Line(text=arm), *trained], *(_lines(board.cells[arm, task]) for task in board.tasks)])
    drawn = any(cell.summary.solved is not None for cell in board.cells.values())
    return Table(
        title=f"{board.title}, n = {sizes[board.tasks[0]]} per task" if same else board.title,
        columns=columns("arm", *(t if same else f"{t}, n={sizes[t]}" for t in board.tasks), left=len(sizes) + 1),
        rows=rows,
        legend=(*_LEGEND, *([_LEGEND_AT_N] if drawn else [])),
        records=_records(board),
    )


def _lines(cell: Score) -> list[Line]:
    f, gap = cell.summary, cell.difference
    answered, inside, difference = percent(f.accuracy_answered), interval(f.low, f.high), "control"
    if gap is not None:
        mark = "*" if gap.low > 0 or gap.high < 0 else ""
        difference = f"Δ {points(gap.difference)} {interval(gap.low, gap.high, True)}{mark}"
    shares = (("unfinished", f.unfinished), ("empty", f.empty), ("failed", f.failed), ("looping", f.loops))
    causes = [(name, percent(share, 0)) for name, share in shares if share > 0.005]
    tokens, missing = f"{f.median_thinking_tokens:.0f}", percent(f.no_answer, 1 if f.no_answer < 0.1 else 0)
    why = f" ({', '.join(f'{name} {share}' for name, share in causes)})" if causes else ""
    letters = "".join(f" {name[0]}{share}" for name, share in causes)
    text, short = (
        f"no answer {percent(f.no_answer)}{why}, {tokens} thinking tokens",
        f"na {missing}{letters}, {tokens}t",
    )
    out = [
        Line(strong=percent(f.accuracy), text=f"{inside}, {answered} given an answer", short=f"{inside} |{answered}"),
        Line(text=difference),
        Line(text=text, short=short),
    ]
    if f.solved is not None:
        solved = percent(f.solved)
        out.append(Line(text=f"solved in {f.answers} answers {solved}", short=f"@{f.answers} {solved}"))
    return out


def _records(board: Board) -> list[dict[str, Any]]:
    """Every arm on every task in one flat row, the difference to the control with it."""
    out = []
    for row in board.rows():
        gap = row["difference"] or {}
        flat = {key: value for key, value in row.items() if not isinstance(value, dict) and key != "difference"}
        out.append(flat | {f"difference_{key}": gap.get(key) for key in ("difference", "low", "high", "p")})
    return out


def _as_published(board: Board) -> Table:
    rows = []
    for arm in board.runs:
        cells = (board.cells[arm, task].summary for task in board.tasks)
        rows.append([arm, *(f"{percent(f.accuracy)} ({percent(f.no_answer)})" for f in cells)])
    return Table(
        title=f"{board.title}: accuracy % (no-answer %)",
        columns=columns("arm", *board.tasks, left=len(board.tasks) + 1),
        rows=rows,
        records=_records(board),
    )


def _published() -> Table:
    published = published_rows()
    tasks = list(published["items"])
    rows = [
        [arm, *(f"{row[t]['accuracy']:.1f} ({row[t]['no_answer']:g})" for t in tasks)]
        for arm, row in published["rows"].items()
    ]
    names = columns("arm", *(_SHORT.get(task, task) for task in tasks), left=len(tasks) + 1)
    return Table(
        title="published, not run here", columns=names, rows=rows, notes=[published["source"], published["note"]]
    )


def claims_page(title: str, claims: Mapping[str, Claim], findings: Sequence[Finding]) -> Page:
    shown = claims_table(claims, findings, f"claims, as tested by {title}")
    return Page(title=shown.title, blocks=[shown], data=shown.records)


def claims_table(claims: Mapping[str, Claim], findings: Sequence[Finding], title: str = "") -> Table:
    """One row a claim and task."""
    rows: list[Row] = []
    records: list[dict[str, object]] = []
    seeds: dict[str, int] = {}  # trainings of every arm that a claim is about
    known: dict[str, str] = {}  # published differences by claim
    for f in findings:
        c = claims[f.claim]
        first = not records or records[-1]["claim"] != f.claim
        rows.append([
            f"{c.says} ({c.arm} - {c.against}, {_METRICS[c.metric]})" if first else "", f.task,
            f"{points(f.difference)} {interval(f.low, f.high, True)}", f"{100 * f.smallest:.1f}",
            Line(text=f.verdict, style=_STYLES.get(f.verdict, "")),
        ])  # fmt: skip
        about = {name: getattr(c, name) for name in ("says", "arm", "against", "metric", "expect")}
        records.append({**f.model_dump(), **about, "published": published(c)})
        seeds |= dict(zip((c.arm, c.against), f.seeds, strict=True))
        if by_task := published(c):
            values = ", ".join(f"{task} {value:+.1f}" for task, value in by_task.items())
            known[f.claim] = f"published, {c.arm} - {c.against}: {values}"
    count = Counter[str](f.verdict for f in findings)
    tally = ", ".join(f"{count[verdict]} {verdict}" for verdict in VERDICTS)
    notes = [
        f"{tally} of {len(findings)} tests; Holm-corrected at 5%",
        "seen from: the smallest difference that this run would show, in 80% of runs",
    ]
    if once := [arm for arm, number in seeds.items() if number == 1]:
        notes.append(f"one run each, so no spread between trainings is counted: {', '.join(once)}")
    return Table(title=title, columns=_CLAIM_COLUMNS, rows=rows, notes=[*notes, *known.values()], records=records)
