"""What ``run-recipe`` and ``train`` show: stages with what they take, a training, how far masks move a gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.view import trainings
from harness.view.page import Page, Table, texts
from harness.view.text import MISSING, bytes_of, duration, magnitude

_DRY_LEGEND = (
    "time: from finished stages of the same kind and model; –: not known; ≤: the bound of the token limit; memory: "
    "weights, gradients, moments; no activations"
)


@dataclass(frozen=True, kw_only=True)
class StageRow:
    """A stage. Of a finished one: ``seconds`` it took, its result in a ``summary``, and ``details`` to stand beneath.

    Else estimates, None where not known; ``at_most``: tokens are the bound of budgets; ``quick``: not worth estimating.
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
        tokens = MISSING if self.tokens is None else ("≤ " if self.at_most else "") + magnitude(self.tokens)
        estimates = [tokens, duration(self.seconds), bytes_of(self.memory), bytes_of(self.disk)]
        if self.done or self.quick:
            estimates = ["", f"{self.seconds or 0:.0f} s" if self.done else "", "", ""]
        return [self.digest[:8], self.name, "cached" if self.done else "to run", *estimates]


def dry_run(title: str, workers: int, rows: Sequence[StageRow]) -> Page:
    """Every stage with its digest, whether it is there, and what it would take."""
    todo = [row for row in rows if not row.done]
    seconds, disk = sum(row.seconds or 0.0 for row in todo), sum(row.disk or 0 for row in todo)
    unknown = sum(row.seconds is None and not row.quick for row in todo)
    waits = f"; {unknown} stages of no measured rate" if unknown else ""
    work = f"{duration(seconds)} of work" if seconds or not unknown else "work not known"
    names = ("digest", "stage", "state", "tokens", "time", "memory", "disk")
    table = Table(columns=names, left=3, rows=[row.cells() for row in rows])
    about = f"{len(todo)} of {len(rows)} stages to run: {work}, {workers} at once{waits}; disk {bytes_of(disk)}"
    return Page(title=title, blocks=[*texts(title), table, *texts(about), *texts(_DRY_LEGEND, style="note")])


def stage_times(rows: Sequence[StageRow], wall: float) -> Page:
    """Seconds and result of each finished stage, then what its kind says in more lines."""
    done = [row for row in rows if row.done]
    work = sum(row.seconds or 0.0 for row in done)
    cells = [[row.name, f"{row.seconds or 0:.1f}", row.summary] for row in done]
    table = Table(columns=("stage", "seconds", "result"), left=(0, 2), wrap=[2], rows=cells)
    about = f"work {work:,.0f} s in all stages, this command {wall:,.1f} s"
    return Page(title="stages", blocks=[table, *texts(about, *(line for row in done for line in row.details))])


def trained(figures: Mapping[str, Any], out: Path) -> Page:
    """What a training did, and how to score its model."""
    through, rows = figures["tokens_through_network"], figures["tokens_in_rows"]
    what = "prompts" if figures.get("sampled_tokens") else "rows" if "rows" in figures else "pairs"
    count = f"{figures['pairs' if what == 'pairs' else 'rows']:,} {what}"
    lines = [
        f"{figures['steps']:,} steps on {count}; mean loss {figures['loss']:.4f}, last {figures['last']['loss']:.4f}",
        *filter(None, [trainings.line(figures), trainings.answers(figures)]),
        f"{through:,} tokens through the network for {rows:,} in rows ({rows / max(through, 1):.2f} times)",
        f"model: {out}",
        f"score it: harness eval --model {out} --suite embedded",
    ]
    return Page(title=f"training of {out}", blocks=texts(*lines, wrap=False), data={**figures, "model": str(out)})


def masks(pairs: int, rows: Sequence[Mapping[str, Any]]) -> Page:
    """For every objective and mask, how far the gradient moves from the unmasked one."""
    shares = ("float32", "bfloat16")
    cells = [[row["objective"], row["masked"], *(f"{100 * row['change'][p]:.2g}%" for p in shares)] for row in rows]
    shared = f"{pairs} pairs, {100 * rows[0]['share']:.0f}% of their tokens shared"
    about = f"{shared}; how far the gradient moves when they are masked:"
    table = Table(columns=("objective", "masked in", *shares), rows=cells, records=rows)
    return Page(title="masks", blocks=[*texts(about), table], data={"pairs": pairs, "rows": list(rows)})
