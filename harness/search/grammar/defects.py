"""What makes a grammar unsearchable or is surely a slip, in words."""

from __future__ import annotations

import math
import re

from harness.errors import nearest
from harness.search.grammar.schema import Following, Grammar, Weighted, children
from harness.thoughts import KINDS, THINK_CLOSE, THINK_OPEN


def defects(grammar: Grammar) -> list[str]:
    """Every defect of the grammar and of each of its patterns; an empty list if it can be searched."""
    out = _kinds(grammar)
    if grammar.patterns and (grammar.start or grammar.backtrack or any(k.next for k in grammar.kinds.values())):
        out.append("start, next and backtrack belong into the patterns where there are patterns")
    for name, pattern in grammar.patterns.items():
        usable = 0 < pattern.weight < math.inf
        out += [] if usable else [f"pattern {name} has the weight {pattern.weight:g}; it must be a number above 0"]
        out += [
            f"pattern {name} says what follows {kind!r}, which is not defined{nearest(kind, grammar.kinds)}"
            for kind in pattern.next
            if kind not in grammar.kinds
        ]
    if out:
        return out
    used: set[str] = set()
    for name, resolved in grammar.resolved.items():
        where = f"pattern {name}: " if grammar.patterns else ""
        found = _transitions(resolved) or _paths(resolved)
        out += [where + text for text in found]
        used |= _reachable(resolved)
    if not out:
        out += [f"{name} can never be reached" for name in grammar.kinds if name not in used]
    return out


def _kinds(grammar: Grammar) -> list[str]:
    out = []
    tags: dict[str, str] = {}
    for name, kind in grammar.kinds.items():
        if name not in KINDS:
            out.append(f"kind {name!r} is not a thought kind{nearest(name, KINDS)} ({', '.join(KINDS)})")
        tag = grammar.tag(name)
        if not re.fullmatch(r"[A-Za-z][\w-]*", tag):
            out.append(f"the tag of {name} is {tag!r}; a tag is letters, digits, - and _")
        if tag in tags:
            out.append(f"{tags[tag]} and {name} have the same tag {tag!r}")
        tags[tag] = name
        rules = [grammar.backtrack, *(pattern.backtrack for pattern in grammar.patterns.values())]
        backs = {rule.kind for rule in rules if rule is not None}
        for prefill in kind.prefills:
            closing = grammar.closing(name)
            if closing and closing in prefill:
                out.append(f"the prefill of {name} closes its own tag")
            elif any(text in prefill for text in (*grammar.tags, THINK_OPEN, THINK_CLOSE)):
                out.append(f"the prefill of {name} holds a tag")
            if "{answer}" in prefill and name not in backs:
                out.append(f"the prefill of {name} names {{answer}}, but no wrong answer leads to {name}")
        if grammar.max_context and kind.max_tokens >= grammar.max_context:
            out.append(f"{name} may take {kind.max_tokens} tokens, but max_context is {grammar.max_context}")
    if "answer" not in grammar.kinds:
        out.append("there is no answer kind, so no chain can end")
    if "{problem}" not in grammar.prompt:
        out.append("the prompt does not hold {problem}")
    return out


def _transitions(grammar: Grammar) -> list[str]:
    """Defects of single entries of the transition table."""
    out = []
    edges: dict[str, Following] = {"start": grammar.start}
    edges |= {name: kind.next for name, kind in grammar.kinds.items()}
    for where, following in edges.items():
        for child, number in children(following).items():
            if child not in grammar.kinds:
                out.append(f"{where} leads to {child!r}, which is not defined{nearest(child, grammar.kinds)}")
            if isinstance(following, Weighted) and not 0 < number < math.inf:
                out.append(f"{where} gives {child!r} the weight {number:g}; it must be above 0")
            elif number < 1 and not isinstance(following, Weighted):
                out.append(f"{where} asks for {number:g} children of kind {child!r}")
        if isinstance(following, Weighted) and (following.width < 1 or not following.weights):
            out.append(f"{where} draws {following.width} children from {len(following.weights)} kinds")
    if not children(grammar.start):
        out.append("start leads nowhere")
    if children(grammar.kinds["answer"].next):
        out.append("answer is terminal and may not lead anywhere")
    back = grammar.backtrack
    if back and back.kind not in grammar.kinds:
        out.append(f"backtracking writes {back.kind!r}, which is not defined{nearest(back.kind, grammar.kinds)}")
    if back and back.kind == "answer":
        out.append("backtracking writes an answer; it must write a thought")
    if back and back.to and back.to not in grammar.kinds:
        out.append(f"backtracking goes to {back.to!r}, which is not defined{nearest(back.to, grammar.kinds)}")
    return out


def _paths(grammar: Grammar) -> list[str]:
    """Defects of the table as a whole."""
    out = []
    reached, steps = _reachable(grammar), grammar.steps
    out += [f"{name} has no path to an answer" for name in grammar.kinds if name in reached and name not in steps]
    back = grammar.backtrack
    if back and back.to and back.to not in reached:
        out.append(f"backtracking goes to {back.to}, which can never be reached")
    if out:
        return out
    shortest = 1 + min(steps[kind] for kind in children(grammar.start))
    if shortest > grammar.depth:
        out.append(f"the shortest chain has {shortest} thoughts, but max_depth is {grammar.depth}")
    loop = _loop(grammar)
    if loop and grammar.max_depth is None:
        out.append(f"{' -> '.join(loop)} is a loop without a cap: give max_depth, or per_chain to one of its kinds")
    return out


def _reachable(grammar: Grammar) -> set[str]:
    todo = [*children(grammar.start), *([grammar.backtrack.kind] if grammar.backtrack else [])]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in grammar.kinds and name not in seen:
            seen.add(name)
            todo += children(grammar.kinds[name].next)
    return seen


def _loop(grammar: Grammar) -> list[str]:
    """A cycle of kinds none of which is capped per chain, or an empty list."""
    free = {name: kind for name, kind in grammar.kinds.items() if not kind.per_chain}

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        for child in children(free[name].next):
            if child in free and (found := walk(child, [*path, name])):
                return found
        return []

    for name in free:
        if found := walk(name, []):
            return found
    return []
