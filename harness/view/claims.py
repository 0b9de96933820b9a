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
    shown = f"claims, as tested by {title}"
    data = [finding.model_dump() | _about(claims[finding.claim]) for finding in found]
    return Page(title=shown, blocks=[table(claims, found, shown)], data=data)


def table(claims: Mapping[str, Claim], found: Sequence[Finding], title: str = "") -> Table:
    """One row a claim and task."""
    rows: list[Row] = [
        [
            _says(claims[f.claim]), f.task, f"{points(f.difference)} {interval(f.low, f.high, True)}",
            f"{100 * f.smallest:.1f}", Line(text=f.verdict, style=_STYLES.get(f.verdict, "")),
        ]
        for f in found
    ]  # fmt: skip
    notes = [
        f"{tally(found)} of {len(found)} tests; Holm-corrected at 5%",
        "seen from: the smallest difference that this run would show, in 80% of runs",
    ]
    once = [arm for arm, seeds in _seeds(claims, found).items() if seeds == 1]
    if once:
        notes.append(f"one run each, so no spread between trainings is counted: {', '.join(once)}")
    for name in dict.fromkeys(finding.claim for finding in found):
        if rows_of := published(claims[name]):
            values = ", ".join(f"{task} {value:+.1f}" for task, value in rows_of.items())
            notes.append(f"published, {claims[name].arm} - {claims[name].against}: {values}")
    records = [finding.model_dump() | _about(claims[finding.claim]) for finding in found]
    return Table(title=title, columns=_COLUMNS, rows=rows, notes=notes, grouped=True, records=records)


def tally(found: Sequence[Finding]) -> str:
    count = Counter[str](finding.verdict for finding in found)
    return ", ".join(f"{count[verdict]} {verdict}" for verdict in VERDICTS)


def _about(claim: Claim) -> dict[str, object]:
    return {
        "says": claim.says, "arm": claim.arm, "against": claim.against, "metric": claim.metric, "expect": claim.expect,
        "published": published(claim),
    }  # fmt: skip


def _says(claim: Claim) -> str:
    return f"{claim.says} ({claim.arm} - {claim.against}, {_METRICS[claim.metric]})"


def _seeds(claims: Mapping[str, Claim], found: Sequence[Finding]) -> dict[str, int]:
    """Training seeds of every arm that a claim is about."""
    out: dict[str, int] = {}
    for finding in found:
        claim = claims[finding.claim]
        out |= dict(zip((claim.arm, claim.against), finding.seeds, strict=True))
    return out
