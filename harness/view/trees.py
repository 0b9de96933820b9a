"""Trees and grammars as drawn in the terminal. Text of models is always cleaned and escaped."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree as Branches

from harness.cli.options import safe
from harness.search.grammar.schema import Following, Grammar, Weighted, children
from harness.search.rows import Stored
from harness.search.store import Settings
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Node

STYLES = {"correct": "green", "wrong": "red"}


def draw_tree(console: Console, stored: Stored, tree: Tree, settings: Settings, text: bool = True) -> None:
    """One problem's tree: kind, visits, mean value, verdict, tokens, model and first words of every node."""
    answer = stored.problem.gold.get("answer")
    console.print(f"[bold]{escape(safe(stored.problem.id, 60))}[/bold]  {escape(safe(stored.problem.prompt, 300))}")
    named = escape(safe(settings.grammar.name, 60))
    pattern = "" if tree.grammar.name == settings.grammar.name else f", pattern {escape(safe(tree.grammar.name, 60))}"
    gold = "" if answer is None else f"; gold answer {escape(safe(str(answer), 60))}"
    console.print(f"{settings.policy}, grammar {named}{pattern}; ended by {stored.why or 'nothing yet'}{gold}")
    console.print(
        f"{len(tree.correct)} correct and {len(tree.wrong)} wrong chains, {tree.rollouts} rollouts, "
        f"{tree.requests} requests, {tree.generated:,} tokens"
    )
    console.print("kind, visits, value (mean reward), verdict, tokens, model, text", style="dim")
    top = Branches(Text("problem", style="bold").append(_counts(tree, tree.root), style="cyan"), guide_style="dim")
    _grow(top, tree.root, tree, settings, console.width if text else 0, 0)
    console.print(top)


def _grow(branch: Branches, node: Node, tree: Tree, settings: Settings, width: int, depth: int) -> None:
    for child in sorted(node.children, key=lambda c: (bool(c.on), c.id)):
        line = _line(child, tree, settings)
        room = width - 4 * (depth + 1) - line.cell_len - 2
        if child.result is not None and room > 12:
            line.append("  " + safe(child.result.text, room), style="dim")
        _grow(branch.add(line), child, tree, settings, width, depth + 1)


def _line(node: Node, tree: Tree, settings: Settings) -> Text:
    line = Text(node.id.rpartition("/")[2].partition("(")[0], style="bold", no_wrap=True)
    if node.on:
        line.append(f" on {node.on.rpartition('/')[2]}", style="yellow")
    if node.result is None:
        return line.append("  never written", style="dim")
    line.append(_counts(tree, node), style="cyan")
    if node.result.verdict:
        line.append(f"  {node.result.verdict}", style=STYLES.get(node.result.verdict, "magenta"))
    if node.discarded:
        line.append(f"  {node.discarded}", style="magenta")
    line.append(f"  {len(node.result.token_ids)}t", style="blue")
    role = "generator" if tree.whole and not node.on else tree.grammar.kinds[node.kind or ""].role
    return line.append(f" {_short(settings.names.get(role) or role)}", style="blue")


def _counts(tree: Tree, node: Node) -> str:
    return f"  {node.visits} " + (f"{tree.mean(node):.2f}" if node.visits else "–")


def _short(model: str) -> str:
    name = model.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return name if len(name) <= 16 else name[:15] + "…"


def draw_grammar(console: Console, grammar: Grammar) -> None:
    """The transition graph from the start, once for each pattern. A kind drawn above is not drawn again below."""
    console.print(f"[bold]{escape(grammar.name)}[/bold]  {escape(grammar.about)}")
    for name, resolved in grammar.resolved.items():
        weight = f", weight {grammar.patterns[name].weight:g}" if grammar.patterns else ""
        title = Text(f"pattern {name}{weight}" if grammar.patterns else "start", style="bold")
        top = Branches(title, guide_style="dim")
        drawn: set[str] = set()
        _follow(top, resolved.start, resolved, drawn)
        back = resolved.backtrack
        if back is not None:
            where = f"the nearest {back.to} above" if back.to else "the thought before it"
            line = Text("after a wrong answer, at ", style="yellow").append(where, style="yellow")
            line.append(f", at most {back.per_chain} on a chain", style="yellow")
            _follow(top.add(line), {back.kind: 1}, resolved, drawn)
        console.print(top)
    caps = [f"chains of at most {grammar.depth} thoughts"]
    caps += [f"at most {grammar.max_context:,} tokens with the prompt"] if grammar.max_context else []
    console.print(f"{', '.join(caps)}; temperature {grammar.temperature:g}, top-p {grammar.top_p:g}")


def _follow(branch: Branches, following: Following, grammar: Grammar, drawn: set[str]) -> None:
    total = sum(children(following).values())
    for name, number in children(following).items():
        kind = grammar.kinds[name]
        share = f"{number / total:.0%} of {following.width}" if isinstance(following, Weighted) else f"{number:g} x"
        line = Text(f"{share} ").append(name, style="bold")
        line.append(f"  {kind.role}, at most {kind.max_tokens} tokens", style="dim")
        if kind.per_chain:
            line.append(f", {kind.per_chain} on a chain", style="dim")
        if kind.prefills:
            line.append(f", {len(kind.prefills)} beginnings", style="dim")
        if name in drawn and children(kind.next):
            branch.add(line.append("  (goes on as above)", style="dim italic"))
            continue
        drawn.add(name)
        _follow(branch.add(line), kind.next, grammar, drawn)
