"""Trees: one problem's search, and a grammar's transition graph."""

from __future__ import annotations

from harness.search.grammar import Following, Grammar, Weighted, children
from harness.search.store import Settings, Stored
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Node
from harness.view.page import Block, Branch, Page, Style, Text, texts
from harness.view.text import MISSING, one_line

_VERDICTS: dict[str, Style] = {"correct": "good", "wrong": "bad"}
_TEXT = 400  # characters of a node: the terminal cuts the line where it ends


def problem(stored: Stored, tree: Tree, settings: Settings, text: bool = True) -> Page:
    """One problem's tree: kind, visits, mean value, verdict, tokens, model and first words of every node."""
    answer = stored.problem.gold.get("answer")
    pattern = "" if tree.grammar.name == settings.grammar.name else f", pattern {one_line(tree.grammar.name, 60)}"
    gold = "" if answer is None else f"; gold answer {one_line(answer, 60)}"
    top = Branch(spans=[("problem", "strong"), (_counts(tree, tree.root), "mark")])
    _grow(top, tree.root, tree, settings, text)
    blocks: list[Block] = [
        *texts(f"{one_line(stored.problem.id, 60)}  {one_line(stored.problem.prompt, 300)}", style="strong"),
        *texts(
            f"{settings.policy}, grammar {one_line(settings.grammar.name, 60)}{pattern}; ended by "
            f"{stored.why or 'nothing yet'}{gold}",
            f"{len(tree.correct)} correct and {len(tree.wrong)} wrong chains, {tree.rollouts} rollouts, "
            f"{tree.requests} requests, {tree.generated:,} tokens",
        ),
        *texts("kind, visits, value (mean reward), verdict, tokens, model, text", style="dim"),
        top,
    ]
    return Page(title=stored.problem.id, blocks=blocks)


def _grow(branch: Branch, node: Node, tree: Tree, settings: Settings, text: bool) -> None:
    for child in sorted(node.children, key=lambda c: (bool(c.on), c.id)):
        spans = _spans(child, tree, settings)
        if child.result is not None and text:
            spans.append(("  " + one_line(child.result.text, _TEXT), "dim"))
        below = Branch(spans=spans, cut=True)
        branch.children.append(below)
        _grow(below, child, tree, settings, text)


def _spans(node: Node, tree: Tree, settings: Settings) -> list[tuple[str, Style]]:
    out: list[tuple[str, Style]] = [(node.id.rpartition("/")[2].partition("(")[0], "strong")]
    if node.on:
        out.append((f" on {node.on.rpartition('/')[2]}", "open"))
    if node.result is None:
        return [*out, ("  never written", "dim")]
    out.append((_counts(tree, node), "mark"))
    if node.result.verdict:
        out.append((f"  {node.result.verdict}", _VERDICTS.get(node.result.verdict, "open")))
    if node.discarded:
        out.append((f"  {node.discarded}", "open"))
    role = tree.writer(node)
    model = (settings.names.get(role) or role).rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return [*out, (f"  {len(node.result.token_ids)}t {one_line(model, 16)}", "mark")]


def _counts(tree: Tree, node: Node) -> str:
    return f"  {node.visits} " + (f"{tree.mean(node):.2f}" if node.visits else MISSING)


def grammar(shown: Grammar) -> Page:
    """The transition graph from the start, once for each pattern. A kind drawn above is not drawn again below."""
    blocks: list[Block] = [Text(text=f"{shown.name}  {shown.about}", style="strong")]
    for name, resolved in shown.resolved.items():
        title = f"pattern {name}, weight {shown.patterns[name].weight:g}" if shown.patterns else "start"
        top = Branch(spans=[(title, "strong")])
        drawn: set[str] = set()
        _follow(top, resolved.start, resolved, drawn)
        if (back := resolved.backtrack) is not None:
            where = f"the nearest {back.to} above" if back.to else "the thought before it"
            line = f"after a wrong answer, at {where}, at most {back.per_chain} on a chain"
            _follow(top.add(line, "open"), {back.kind: 1}, resolved, drawn)
        blocks.append(top)
    context = f", at most {shown.max_context:,} tokens with the prompt" if shown.max_context else ""
    limits = f"chains of at most {shown.depth} thoughts{context}"
    blocks.append(Text(text=f"{limits}; temperature {shown.temperature:g}, top-p {shown.top_p:g}"))
    return Page(title=shown.name, blocks=blocks)


def _follow(branch: Branch, following: Following, grammar: Grammar, drawn: set[str]) -> None:
    total = sum(children(following).values())
    for name, number in children(following).items():
        kind = grammar.kinds[name]
        share = f"{number / total:.0%} of {following.width}" if isinstance(following, Weighted) else f"{number:g} x"
        about = f"  {kind.role}, at most {kind.max_tokens} tokens"
        about += f", {kind.per_chain} on a chain" if kind.per_chain else ""
        about += f", {len(kind.prefills)} beginnings" if kind.prefills else ""
        again = name in drawn and bool(children(kind.next))
        about += "  (goes on as above)" if again else ""
        below = Branch(spans=[(f"{share} ", ""), (name, "strong"), (about, "dim")])
        branch.children.append(below)
        if not again:
            drawn.add(name)
            _follow(below, kind.next, grammar, drawn)
