"""What ``search`` shows: problems of a folder, one of them as a tree, yield and costs, an export, a grammar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.search.grammar import Following, Grammar, Weighted, children
from harness.search.stats import faults
from harness.search.store import Settings, Stored
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Node
from harness.view.page import Block, Branch, Page, Span, Style, Table, Text, texts
from harness.view.text import MISSING, number, one_line, percent

Figures = Mapping[str, Any]
_VERDICTS: dict[str, Style] = {"correct": "good", "wrong": "bad"}
_TEXT = 400  # characters of a node: the terminal cuts the line where it ends


def listing(searched: Iterable[tuple[Stored, Tree, Any]]) -> Page:
    """One line per problem of a search."""
    records = [
        {"problem": stored.problem.id, "ended_by": stored.why or "unfinished", "correct": len(tree.correct),
         "wrong": len(tree.wrong), "rollouts": tree.rollouts, "tokens": tree.generated}
        for stored, tree, _ in searched
    ]  # fmt: skip
    rows = [[one_line(row["problem"], 40), *(_count(value) for value in list(row.values())[1:])] for row in records]
    names = ("problem", "ended by", "correct", "wrong", "rollouts", "tokens")
    table = Table(columns=names, wrap=[0], rows=rows, records=records)
    return Page(title="problems of a search", blocks=[table], data=records)


def summary(f: Figures, folder: Path) -> Page:
    """What a search yielded and what it cost."""
    tokens, nodes = sum(f["tokens"].values()), sum(f["nodes"].values())
    rows = []
    for name, each in f["by_family"].items():
        shares = [f"{percent(each[key] / max(1, each['problems']))} %" for key in ("with_correct", "with_both")]
        chains = [_count(each[key]) for key in ("correct_chains", "wrong_chains")]
        rows.append([name, _count(each["problems"]), *shares, *chains])
    names = ("family", "problems", "a correct chain", "both", "correct chains", "wrong chains")
    records = [{"family": name, **each} for name, each in f["by_family"].items()]
    followed = f" ({100 * f['reflections_followed'] / f['reflections']:.0f} %)" if f["reflections"] else ""
    roles = "; ".join(f"{role} {f['nodes'][role]:,} nodes, {n:,} tokens" for role, n in f["tokens"].items())
    pairs = f"usable pairs per 1,000 tokens {number(f['pairs_per_1000_tokens'], '{:.2f}')}"
    blocks: list[Block] = [
        Text(text=f"{folder}  {f['problems']:,} problems, {nodes:,} nodes, {tokens:,} tokens", style="strong"),
        Table(columns=names, wrap=[0], rows=rows, records=records),
        *texts(
            f"tokens per correct chain {number(f['tokens_per_correct_chain'])}; {pairs}",
            f"reflections {f['reflections']:,}, followed {f['reflections_followed']:,}{followed}",
            f"thoughts that close their tag {number(f['closed'], '{:.1%}')} of {f['thoughts']:,}; "
            f"nodes cut by the limit {f['cut']:,}; never visited {percent(f['never_visited'])} %",
            f"spoilt or not correct: {faults(f) or 'none'}",
            roles or "nothing generated",
            f"problems ended by: {_counts(f['endings'])}",
        ),
    ]
    return Page(title=f"search in {folder}", blocks=blocks, data=f)


def exported(figures: Figures, out: Path) -> Page:
    """What an export wrote."""
    records = [{"file": name, **figures[name]} for name in ("sft", "pairs", "verified")]
    sizes = ("shortest", "median", "longest")
    rows = [[f"{r['file']}.jsonl, .parquet", _count(r["rows"]), *(f"{r[s]:,} t" for s in sizes)] for r in records]
    blocks: list[Block] = [
        Table(columns=("file", "rows", *sizes), wrap=[0], rows=rows, records=records),
        *texts(*(f"left out: {count:,} {text}" for text, count in figures["left_out"].items())),
        Text(text=f"data card: {out / 'README.md'}", wrap=False),
    ]
    return Page(title=f"data in {out}", blocks=blocks, data=figures)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {count:,}" for name, count in ordered) or "none"


def problem(stored: Stored, tree: Tree, settings: Settings, text: bool = True) -> Page:
    """One problem's tree: kind, visits, mean value, verdict, tokens, model and first words of every node."""
    answer = stored.problem.gold.get("answer")
    pattern = "" if tree.grammar.name == settings.grammar.name else f", pattern {one_line(tree.grammar.name, 60)}"
    gold = "" if answer is None else f"; gold answer {one_line(answer, 60)}"
    spans: list[Span] = [("problem", "strong"), (_visits(tree, tree.root), "mark")]
    about = f"{settings.policy}, grammar {one_line(settings.grammar.name, 60)}{pattern}"
    chains = f"{len(tree.correct)} correct and {len(tree.wrong)} wrong chains, {tree.rollouts} rollouts"
    blocks: list[Block] = [
        *texts(f"{one_line(stored.problem.id, 60)}  {one_line(stored.problem.prompt, 300)}", style="strong"),
        *texts(f"{about}; ended by {stored.why or 'nothing yet'}{gold}"),
        *texts(f"{chains}, {tree.requests} requests, {tree.generated:,} tokens"),
        *texts("kind, visits, value (mean reward), verdict, tokens, model, text", style="dim"),
        Branch(spans=spans, children=_grown(tree.root, tree, settings, text)),
    ]
    return Page(title=stored.problem.id, blocks=blocks)


def _grown(node: Node, tree: Tree, settings: Settings, text: bool) -> list[Branch]:
    out = []
    for child in sorted(node.children, key=lambda c: (bool(c.on), c.id)):
        spans = _spans(child, tree, settings)
        if child.result is not None and text:
            spans.append(("  " + one_line(child.result.text, _TEXT), "dim"))
        out.append(Branch(spans=spans, cut=True, children=_grown(child, tree, settings, text)))
    return out


def _spans(node: Node, tree: Tree, settings: Settings) -> list[Span]:
    out: list[Span] = [(node.id.rpartition("/")[2].partition("(")[0], "strong")]
    if node.on:
        out.append((f" on {node.on.rpartition('/')[2]}", "open"))
    if node.result is None:
        return [*out, ("  never written", "dim")]
    out.append((_visits(tree, node), "mark"))
    if node.result.verdict:
        out.append((f"  {node.result.verdict}", _VERDICTS.get(node.result.verdict, "open")))
    if node.discarded:
        out.append((f"  {node.discarded}", "open"))
    role = tree.writer(node)
    model = (settings.names.get(role) or role).rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return [*out, (f"  {len(node.result.token_ids)}t {one_line(model, 16)}", "mark")]


def _visits(tree: Tree, node: Node) -> str:
    return f"  {node.visits} " + (f"{tree.mean(node):.2f}" if node.visits else MISSING)


def grammar(shown: Grammar) -> Page:
    """The transition graph from the start, once for each pattern. A kind drawn above is not drawn again below."""
    blocks: list[Block] = [Text(text=f"{shown.name}  {shown.about}", style="strong")]
    for name, resolved in shown.resolved.items():
        weight = f", weight {shown.patterns[name].weight:g}" if name in shown.patterns else ""
        title = f"pattern {name}{weight}" if shown.patterns else f"start of {name}" if shown.sources else "start"
        drawn: set[str] = set()
        top = Branch(spans=[(title, "strong")], children=_followers(resolved.start, resolved, drawn))
        if (back := resolved.backtrack) is not None:
            where = f"the nearest {back.to} above" if back.to else "the thought before it"
            line = f"after a wrong answer, at {where}, at most {back.per_chain} on a chain"
            top.children.append(Branch(spans=[(line, "open")], children=_followers({back.kind: 1}, resolved, drawn)))
        blocks.append(top)
    context = f", at most {shown.max_context:,} tokens with the prompt" if shown.max_context else ""
    limits = f"chains of at most {shown.depth} thoughts{context}"
    blocks += texts(f"{limits}; temperature {shown.temperature:g}, top-p {shown.top_p:g}")
    return Page(title=shown.name, blocks=blocks)


def _followers(following: Following, grammar: Grammar, drawn: set[str]) -> list[Branch]:
    out, total = [], sum(children(following).values())
    for name, weight in children(following).items():
        kind = grammar.kinds[name]
        share = f"{weight / total:.0%} of {following.width}" if isinstance(following, Weighted) else f"{weight:g} x"
        about = f"  {kind.role}, at most {kind.max_tokens} tokens"
        about += f", {kind.per_chain} on a chain" if kind.per_chain else ""
        about += f", {len(kind.prefills)} beginnings" if kind.prefills else ""
        again = name in drawn and bool(children(kind.next))
        about += "  (goes on as above)" if again else ""
        drawn.add(name)
        below = [] if again else _followers(kind.next, grammar, drawn)
        out.append(Branch(spans=[(f"{share} ", ""), (name, "strong"), (about, "dim")], children=below))
    return out
