"""What ``search`` shows: problems of a folder, what a search yielded and cost, what was exported, grammars by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.search.store import Stored
from harness.search.tree.core import Tree
from harness.view.page import Block, Page, Table, Text, columns, texts
from harness.view.text import number, one_line, percent

Figures = Mapping[str, Any]


def listing(searched: Iterable[tuple[Stored, Tree, Any]]) -> Page:
    """One line per problem of a search."""
    rows, records = [], []
    for stored, tree, _ in searched:
        records.append(record := {
            "problem": stored.problem.id, "ended_by": stored.why or "unfinished", "correct": len(tree.correct),
            "wrong": len(tree.wrong), "rollouts": tree.rollouts, "tokens": tree.generated,
        })  # fmt: skip
        rows.append([one_line(stored.problem.id, 40), *(_count(value) for value in list(record.values())[1:])])
    names = columns("problem", "ended by", "correct", "wrong", "rollouts", "tokens", wrap=[0])
    return Page(title="problems of a search", blocks=[Table(columns=names, rows=rows, records=records)], data=records)


def summary(f: Figures, folder: Path) -> Page:
    """What a search yielded and what it cost."""
    tokens, nodes = sum(f["tokens"].values()), sum(f["nodes"].values())
    rows = []
    for name, each in f["by_family"].items():
        shares = [f"{percent(each[key] / max(1, each['problems']))} %" for key in ("with_correct", "with_both")]
        chains = [_count(each[key]) for key in ("correct_chains", "wrong_chains")]
        rows.append([name, _count(each["problems"]), *shares, *chains])
    names = columns("family", "problems", "a correct chain", "both", "correct chains", "wrong chains", wrap=[0])
    records = [{"family": name, **each} for name, each in f["by_family"].items()]
    followed = f" ({100 * f['reflections_followed'] / f['reflections']:.0f} %)" if f["reflections"] else ""
    roles = "; ".join(f"{role} {f['nodes'][role]:,} nodes, {n:,} tokens" for role, n in f["tokens"].items())
    blocks: list[Block] = [
        Text(text=f"{folder}  {f['problems']:,} problems, {nodes:,} nodes, {tokens:,} tokens", style="strong"),
        Table(columns=names, rows=rows, records=records),
        *texts(
            f"tokens per correct chain {number(f['tokens_per_correct_chain'])}; usable pairs per 1,000 tokens "
            f"{number(f['pairs_per_1000_tokens'], '{:.2f}')}",
            f"reflections {f['reflections']:,}, followed {f['reflections_followed']:,}{followed}",
            f"nodes never visited {percent(f['never_visited'])} %; discarded: {_counts(f['discarded'])}",
            roles or "nothing generated",
            f"problems ended by: {_counts(f['endings'])}",
        ),
    ]
    return Page(title=f"search in {folder}", blocks=blocks, data=f)


def exported(figures: Figures, out: Path) -> Page:
    """What an export wrote."""
    records = [{"file": name, **figures[name]} for name in ("sft", "pairs")]
    sizes = ("shortest", "median", "longest")
    rows = [[f"{r['file']}.jsonl, .parquet", _count(r["rows"]), *(f"{r[s]:,} t" for s in sizes)] for r in records]
    blocks: list[Block] = [
        Table(columns=columns("file", "rows", *sizes, wrap=[0]), rows=rows, records=records),
        *texts(*(f"left out: {count:,} {text}" for text, count in figures["left_out"].items())),
        Text(text=f"data card: {out / 'README.md'}", wrap=False),
    ]
    return Page(title=f"data in {out}", blocks=blocks, data=figures)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {count:,}" for name, count in ordered) or "none"
