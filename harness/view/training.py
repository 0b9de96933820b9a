"""What ``train`` shows: steps, loss and tokens of a training, and how far masks move a gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.view.page import Page, Table, columns, texts


def trained(figures: Mapping[str, Any], out: Path) -> Page:
    """What a training did, and how to score its model."""
    through, rows = figures["tokens_through_network"], figures["tokens_in_rows"]
    count = f"{figures['rows']:,} rows" if "rows" in figures else f"{figures['pairs']:,} pairs"
    lines = [
        f"{figures['steps']:,} steps on {count}; mean loss {figures['loss']:.4f}, last {figures['last']['loss']:.4f}",
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
    table = Table(columns=columns("objective", "masked in", *shares), rows=cells, records=rows)
    return Page(title="masks", blocks=[*texts(about), table], data={"pairs": pairs, "rows": list(rows)})
