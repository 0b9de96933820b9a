"""A recipe's claims: what a paper says of two arms, what this run shows, and how they fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.results.claims import VERDICTS, Finding, published
from harness.results.records import Claim
from harness.view.page import Column, Line, Page, Row, Style, Table
from harness.view.text import interval, points

_METRICS = {"accuracy": "accuracy", "no_answer": "no answer", "solved": "solved at least once"}
_STYLES: dict[str, Style] = {"reproduced": "good", "contradicted": "bad"}
_COLUMNS = (
    Column(name="claim", align="left", wrap=True), Column(name="task", align="left"), Column(name="points [95%]"),
    Column(name="seen from"), Column(name="verdict", align="left"),
)  # fmt: skip


def page(title: str, claims: Mapping[str, Claim], found: Sequence[Finding]) -> Page:
    shown = table(claims, found, f"claims, as tested by {title}")
    return Page(title=shown.title, blocks=[shown], data=shown.records)


def table(claims: Mapping[str, Claim], found: Sequence[Finding], title: str = "") -> Table:
    """One row a claim and task."""
    rows: list[Row] = []
    records: list[dict[str, object]] = []
    seeds: dict[str, int] = {}  # trainings of every arm that a claim is about
    known: dict[str, str] = {}  # published differences by claim
    for f in found:
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
    count = Counter[str](f.verdict for f in found)
    tally = ", ".join(f"{count[verdict]} {verdict}" for verdict in VERDICTS)
    notes = [
        f"{tally} of {len(found)} tests; Holm-corrected at 5%",
        "seen from: the smallest difference that this run would show, in 80% of runs",
    ]
    if once := [arm for arm, number in seeds.items() if number == 1]:
        notes.append(f"one run each, so no spread between trainings is counted: {', '.join(once)}")
    return Table(title=title, columns=_COLUMNS, rows=rows, notes=[*notes, *known.values()], records=records)
