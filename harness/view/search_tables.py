"""Tables of ``harness search``: problems of a folder, what a search yielded, what was exported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from harness.cli.options import safe
from harness.view.tables import table_of


def listing(console: Console, found: Iterable[tuple[Any, Any, Any]]) -> None:
    """One line per problem of a search."""
    table = table_of("problem", "ended by", "correct", "wrong", "rollouts", "tokens")
    for stored, tree, _ in found:
        counts = [len(tree.correct), len(tree.wrong), tree.rollouts]
        row = [
            escape(safe(stored.problem.id, 40)),
            stored.why or "unfinished",
            *map(str, counts),
            f"{tree.generated:,}",
        ]
        table.add_row(*row)
    console.print(table)


def summary(f: dict[str, Any], folder: Path) -> None:
    """What a search yielded and what it cost."""
    console = Console(highlight=False)
    tokens, nodes = sum(f["tokens"].values()), sum(f["nodes"].values())
    console.print(f"[bold]{escape(str(folder))}[/bold]  {f['problems']:,} problems, {nodes:,} nodes, {tokens:,} tokens")
    table = table_of("family", "problems", "a correct chain", "both", "correct chains", "wrong chains")
    for name, each in f["by_family"].items():
        n = max(1, each["problems"])
        shares = [f"{100 * each[key] / n:.1f} %" for key in ("with_correct", "with_both")]
        row = [name, f"{each['problems']:,}", *shares, f"{each['correct_chains']:,}", f"{each['wrong_chains']:,}"]
        table.add_row(*row)
    console.print(table)
    per_chain = "–" if f["tokens_per_correct_chain"] is None else f"{f['tokens_per_correct_chain']:,.0f}"
    per_token = "–" if f["pairs_per_1000_tokens"] is None else f"{f['pairs_per_1000_tokens']:.2f}"
    console.print(f"tokens per correct chain {per_chain}; usable pairs per 1,000 tokens {per_token}")
    followed = f["reflections_followed"] / f["reflections"] if f["reflections"] else 0.0
    share = f" ({100 * followed:.0f} %)" if f["reflections"] else ""
    console.print(f"reflections {f['reflections']:,}, followed {f['reflections_followed']:,}{share}")
    console.print(f"nodes never visited {100 * f['never_visited']:.1f} %; discarded: {_counts(f['discarded'])}")
    roles = "; ".join(f"{role} {f['nodes'][role]:,} nodes, {n:,} tokens" for role, n in f["tokens"].items())
    console.print(f"{roles or 'nothing generated'}")
    console.print(f"problems ended by: {_counts(f['endings'])}")


def _counts(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {number:,}" for name, number in ordered) or "none"


def exported(figures: dict[str, Any], out: Path) -> None:
    """What an export wrote."""
    console = Console(highlight=False)
    table = table_of("file", "rows", "shortest", "median", "longest")
    for name in ("sft", "pairs"):
        each = figures[name]
        row = [f"{name}.jsonl, .parquet", f"{each['rows']:,}"]
        table.add_row(*row, *(f"{each[key]:,} t" for key in ("shortest", "median", "longest")))
    console.print(table)
    for text, number in figures["left_out"].items():
        console.print(f"left out: {number:,} {text}")
    console.print(f"data card: {out / 'README.md'}", markup=False, soft_wrap=True)


def decodings(found: dict[str, Any], folder: Path) -> None:
    """Test@N of tree search and of plain sampling (arXiv 2503.01461, Table 7)."""
    console = Console(highlight=False)
    for task, (rows, gap) in found.items():
        ks = sorted({k for row in rows for k in row.at})
        table = table_of(task, "answers", "tokens", *(f"@{k}" for k in ks), "at last N [95%]")
        for row in rows:
            at = [f"{100 * row.at[k]:.1f}" if k in row.at else "" for k in ks]
            last = f"{100 * row.test:.1f} [{100 * row.low:.0f}…{100 * row.high:.0f}]"
            table.add_row(row.name, str(row.guesses), f"{row.tokens:,.0f}", *at, last)
        console.print(table, markup=False)
        difference = f"{100 * gap.difference:+.1f} [{100 * gap.low:+.1f}…{100 * gap.high:+.1f}]"
        console.print(f"tree against plain at equal tokens: {difference} points, n = {gap.n}", markup=False)
        console.print()
    console.print("@k: % of problems that one of the first k answers solves; tokens: generated, a problem")
    console.print("plain: independent samples, as many answers as the tree's, or for as many tokens")
    console.print("a tree's answers stand in a drawn order")
    console.print(f"samples, trees and manifests in {folder}", markup=False, soft_wrap=True)
