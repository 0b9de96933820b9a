"""The table of claims: what is said, what this run shows, on a terminal or as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from rich.console import Console

from harness.cli.options import safe
from harness.results.records import Claim
from harness.results.claims import VERDICTS, Finding, published
from harness.view.tables import table_of

_METRICS = {"accuracy": "accuracy", "no_answer": "no answer", "solved": "solved at least once"}


def show(title: str, claims: Mapping[str, Claim], found: Sequence[Finding]) -> None:
    """One row a claim, one line a task."""
    table = table_of("claim", "task", "points [95%]", "seen from", "verdict")
    table.columns[1].justify = table.columns[4].justify = "left"
    table.columns[0].ratio = 1
    table.expand = True
    for column in table.columns[1:]:
        column.no_wrap = True
    for name, group in groupby(found, key=lambda finding: finding.claim):
        each = list(group)
        lines = [[f.task for f in each], [_gap(f) for f in each], [f"{100 * f.smallest:.1f}" for f in each],
                 [f.verdict for f in each]]  # fmt: skip
        table.add_row(_what(claims[name]), *("\n".join(column) for column in lines), end_section=True)
    console = Console(highlight=False)
    console.print(f"claims, as tested by {safe(title)}", justify="center", markup=False)
    console.print(table, markup=False)
    console.print(f"{tally(found)} of {len(found)} tests; Holm-corrected at 5%", markup=False)
    console.print("seen from: the smallest difference that this run would show, in 80% of runs", markup=False)
    once = [arm for arm, seeds in _arms(claims, found).items() if seeds == 1]
    if once:
        console.print(f"one run each, so no spread between trainings is counted: {', '.join(once)}", markup=False)
    for name in dict.fromkeys(finding.claim for finding in found):
        rows = published(claims[name])
        if rows:
            said = ", ".join(f"{task} {value:+.1f}" for task, value in rows.items())
            console.print(f"published, {claims[name].arm} - {claims[name].against}: {said}", markup=False)


def _arms(claims: Mapping[str, Claim], found: Sequence[Finding]) -> dict[str, int]:
    """Training seeds of every arm that is spoken of."""
    out: dict[str, int] = {}
    for finding in found:
        claim = claims[finding.claim]
        out |= dict(zip((claim.arm, claim.against), finding.seeds, strict=True))
    return out


def tally(found: Sequence[Finding]) -> str:
    count = Counter(finding.verdict for finding in found)
    return ", ".join(f"{count[verdict]} {verdict}" for verdict in VERDICTS)


def markdown(claims: Mapping[str, Claim], found: Sequence[Finding]) -> str:
    lines = [
        "| claim | task | points [95%] | seen from | verdict | published |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    before = ""
    for f in found:
        what = said = ""
        if f.claim != before:
            what = _what(claims[f.claim])
            said = ", ".join(f"{task} {value:+.1f}" for task, value in published(claims[f.claim]).items())
        before = f.claim
        lines.append(f"| {what} | {f.task} | {_gap(f)} | {100 * f.smallest:.1f} | {f.verdict} | {said} |")
    return "\n".join(lines)


def _what(claim: Claim) -> str:
    return safe(f"{claim.says} ({claim.arm} - {claim.against}, {_METRICS[claim.metric]})")


def _gap(f: Finding) -> str:
    return f"{100 * f.difference:+.1f} [{100 * f.low:+.0f}…{100 * f.high:+.0f}]"
