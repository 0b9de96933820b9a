"""Verdicts on what a paper claims of a recipe's arms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.results.claims import VERDICTS, Finding, published
from harness.results.collapses import COLLAPSED, Collapse
from harness.results.records import Claim
from harness.view.page import Line, Page, Row, Style, Table
from harness.view.text import interval, points

_METRICS = {"accuracy": "accuracy", "no_answer": "no answer", "solved": "solved at least once"}
_STYLES: dict[str, Style] = {"reproduced": "good", "contradicted": "bad"}


def page(
    title: str, claims: Mapping[str, Claim], findings: Sequence[Finding], collapses: Sequence[Collapse] = ()
) -> Page:
    shown = table(claims, findings, f"claims, as tested by {title}", collapses)
    return Page(title=shown.title, blocks=[shown], data=shown.records)


def table(
    claims: Mapping[str, Claim], findings: Sequence[Finding], title: str = "", collapses: Sequence[Collapse] = ()
) -> Table:
    """One row a claim, and below a resolved one a row a task."""
    rows: list[Row] = []
    records: list[dict[str, object]] = []
    known: list[str] = []  # published differences
    for f in findings:
        c, values = claims[f.claim], published(claims[f.claim])
        fields = c.model_dump(include={"says", "arm", "against", "metric", "expect", "margin", "decoding"})
        records.append({**f.model_dump(), **fields, "published": values})
        if f.verdict is None:
            continue
        how = f", {c.decoding}" if c.decoding else ""
        about = f"{c.says} ({c.arm} - {c.against}, {_METRICS[c.metric]}{how})" if not f.task else f"  {f.task}"
        difference = f"{points(f.difference)} {interval(f.low, f.high, True)}"
        verdict = Line(text=f.verdict, style=_STYLES.get(f.verdict, ""))
        seen = f"{100 * f.smallest:.1f}" if f.smallest <= 1 else ">100"
        rows.append([about, difference, seen, str(f.seeds), verdict])
        if values and not f.task:
            by_task = ", ".join(f"{task} {value:+.1f}" for task, value in values.items())
            known.append(f"published, {c.arm} - {c.against}: {by_task}")
    primary = [f for f in findings if not f.task]
    count = Counter[str](f.verdict for f in primary if f.verdict)
    tally = ", ".join(f"{count[verdict]} {verdict}" for verdict in VERDICTS if count[verdict])
    noun = "claim" if len(primary) == 1 else "claims"
    notes = [
        f"{tally} of {len(primary)} {noun}; mean over tasks, trainings paired by seed, Holm-corrected at 5%",
        "seen from: the smallest difference that this run shows in 80% of runs, at the level that decides",
    ]
    if any(f.seeds == 1 for f in primary):
        notes.append("one training each, so no spread between trainings is counted")
    for decoding in dict.fromkeys(c.decoding for c in collapses if c.collapsed):
        collapsed = [c for c in collapses if c.collapsed and c.decoding == decoding]
        rates = ", ".join(f"{c.arm} {c.collapsed} of {c.trainings} {interval(c.low, c.high)}" for c in collapsed)
        notes.append(f"{decoding}, trainings with {100 * COLLAPSED:.0f}% or more without an answer: {rates}")
    notes += known
    names = ("claim", "points [95%]", "seen from", "seeds", "verdict")
    return Table(title=title, columns=names, left=(0, 4), wrap=[0], rows=rows, notes=notes, records=records)
