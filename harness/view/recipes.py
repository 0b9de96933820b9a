"""What ``run-recipe`` shows: stages with what they would take, and with what they took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.view.page import Block, Column, Page, Table, columns, texts
from harness.view.text import MISSING, bytes_of, duration, magnitude

_DRY_LEGEND = (
    "time: from finished stages of the same kind and model; –: not known; ≤: the bound of the token limit; memory: "
    "weights, gradients, moments; no activations"
)


@dataclass(frozen=True, kw_only=True)
class StageRow:
    """A stage. Of a finished one: ``seconds`` it took, its result in a ``summary``, and ``details`` to stand beneath.

    Of one that is to run: the estimates, None where they are not known; ``at_most``: tokens are the bound of budgets;
    ``quick``: takes so little that nothing is estimated.
    """

    digest: str
    name: str
    done: bool
    seconds: float | None = None
    summary: str = ""
    details: Sequence[str] = ()
    quick: bool = False
    tokens: int | None = None
    at_most: bool = False
    memory: int | None = None
    disk: int | None = None

    def cells(self) -> list[str]:
        """Digest, stage, state, tokens, time, memory, disk."""
        if self.done:
            return [self.digest[:8], self.name, "cached", "", f"{self.seconds or 0:.0f} s", "", ""]
        if self.quick:
            return [self.digest[:8], self.name, "to run", "", "", "", ""]
        tokens = MISSING if self.tokens is None else ("≤ " if self.at_most else "") + magnitude(self.tokens)
        sizes = [bytes_of(self.memory), bytes_of(self.disk)]
        return [self.digest[:8], self.name, "to run", tokens, duration(self.seconds), *sizes]


def dry_run(title: str, workers: int, rows: Sequence[StageRow]) -> Page:
    """Every stage with its digest, whether it is there, and what it would take."""
    todo = [row for row in rows if not row.done]
    seconds, disk = sum(row.seconds or 0.0 for row in todo), sum(row.disk or 0 for row in todo)
    unknown = sum(row.seconds is None and not row.quick for row in todo)
    waits = f"; {unknown} stages of no measured rate" if unknown else ""
    work = f"{duration(seconds)} of work" if seconds or not unknown else "work not known"
    names = columns("digest", "stage", "state", "tokens", "time", "memory", "disk", left=3)
    blocks: list[Block] = [
        *texts(title),
        Table(columns=names, rows=[row.cells() for row in rows]),
        *texts(f"{len(todo)} of {len(rows)} stages to run: {work}, {workers} at once{waits}; disk {bytes_of(disk)}"),
        *texts(_DRY_LEGEND, style="note"),
    ]
    return Page(title=title, blocks=blocks)


def stage_times(rows: Sequence[StageRow], wall: float) -> Page:
    """Seconds and result of each finished stage, then what its kind says in more lines."""
    done = [row for row in rows if row.done]
    work = sum(row.seconds or 0.0 for row in done)
    names = (Column(name="stage", align="left"), Column(name="seconds"), Column(name="result", align="left", wrap=True))
    table = Table(columns=names, rows=[[row.name, f"{row.seconds or 0:.1f}", row.summary] for row in done])
    about = f"work {work:,.0f} s in all stages, this command {wall:,.1f} s"
    return Page(title="stages", blocks=[table, *texts(about, *(line for row in done for line in row.details))])
