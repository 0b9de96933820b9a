"""Grammars by name or path (shipped, or a YAML file of the user's), and what makes one unsearchable or is a slip."""

from __future__ import annotations

import math
import re
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from harness.errors import DataError, nearest
from harness.files import read_text
from harness.search.grammar.schema import Grammar, Weighted, children
from harness.thoughts import KINDS, THINK_CLOSE, THINK_OPEN

_SHIPPED = resources.files("harness.search.grammar") / "shipped"


def shipped() -> list[str]:
    return sorted(p.name.removesuffix(".yaml") for p in _SHIPPED.iterdir() if p.name.endswith(".yaml"))


def source(name: str) -> str:
    """The YAML text of a shipped grammar by name, or of one of the user's by path. Raises DataError and BadFile."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise DataError(f"{name}: no such file")
        return read_text(path)
    if name not in shipped():
        raise DataError(f"no grammar {name!r}; shipped: {', '.join(shipped())}; or give a path ending in .yaml")
    return (_SHIPPED / f"{name}.yaml").read_text()


def parse(name: str, text: str) -> Grammar:
    """The grammar that ``text`` describes, without a look at whether it can be searched. Raises DataError."""
    import yaml

    try:
        return Grammar.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise DataError(f"{name}: " + "; ".join(lines)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{name}: not YAML: {' '.join(str(error).split())[:200]}") from None


def load(name: str) -> Grammar:
    """A shipped grammar by name, or one of the user's by path. Raises DataError naming every defect."""
    grammar = parse(name, source(name))
    if problems := defects(grammar):
        raise DataError(f"{name}: " + "; ".join(problems))
    return grammar


def defects(grammar: Grammar) -> list[str]:
    """Every defect of the grammar and of each of its patterns; an empty list if it can be searched."""
    out = _kinds(grammar)
    if grammar.patterns and (grammar.start or grammar.backtrack or any(k.next for k in grammar.kinds.values())):
        out.append("start, next and backtrack belong into the patterns where there are patterns")
    for name, pattern in grammar.patterns.items():
        if not 0 < pattern.weight < math.inf:
            out.append(f"pattern {name} has the weight {pattern.weight:g}; it must be a number above 0")
        unknown = [kind for kind in pattern.next if kind not in grammar.kinds]
        out += [f"pattern {name} says what follows {kind!r}, {_undefined(kind, grammar)}" for kind in unknown]
    if out:
        return out
    used: set[str] = set()
    for name, resolved in grammar.resolved.items():
        where = f"pattern {name}: " if grammar.patterns else ""
        out += [where + text for text in _transitions(resolved) or _paths(resolved)]
        used |= _reachable(resolved)
    return out or [f"{name} can never be reached" for name in grammar.kinds if name not in used]


def _undefined(kind: str, grammar: Grammar) -> str:
    return f"which is not defined{nearest(kind, grammar.kinds)}"


def _kinds(grammar: Grammar) -> list[str]:
    """Defects of single kinds."""
    out = []
    tags: dict[str, str] = {}
    rules = [grammar.backtrack, *(pattern.backtrack for pattern in grammar.patterns.values())]
    backs = {rule.kind for rule in rules if rule is not None}
    for name, kind in grammar.kinds.items():
        if name not in KINDS:
            out.append(f"kind {name!r} is not a thought kind{nearest(name, KINDS)} ({', '.join(KINDS)})")
        tag, closing = grammar.tag(name), grammar.closing(name)
        if not re.fullmatch(r"[A-Za-z][\w-]*", tag):
            out.append(f"the tag of {name} is {tag!r}; a tag is letters, digits, - and _")
        if tag in tags:
            out.append(f"{tags[tag]} and {name} have the same tag {tag!r}")
        tags[tag] = name
        for prefill in kind.prefills:
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
    for where, following in {"start": grammar.start, **{n: k.next for n, k in grammar.kinds.items()}}.items():
        weighted = isinstance(following, Weighted)
        for child, number in children(following).items():
            if child not in grammar.kinds:
                out.append(f"{where} leads to {child!r}, {_undefined(child, grammar)}")
            if weighted and not 0 < number < math.inf:
                out.append(f"{where} gives {child!r} the weight {number:g}; it must be above 0")
            elif number < 1 and not weighted:
                out.append(f"{where} asks for {number:g} children of kind {child!r}")
        if isinstance(following, Weighted) and (following.width < 1 or not following.weights):
            out.append(f"{where} draws {following.width} children from {len(following.weights)} kinds")
    if not children(grammar.start):
        out.append("start leads nowhere")
    if children(grammar.kinds["answer"].next):
        out.append("answer is terminal and may not lead anywhere")
    if back := grammar.backtrack:
        if back.kind not in grammar.kinds:
            out.append(f"backtracking writes {back.kind!r}, {_undefined(back.kind, grammar)}")
        if back.kind == "answer":
            out.append("backtracking writes an answer; it must write a thought")
        if back.to and back.to not in grammar.kinds:
            out.append(f"backtracking goes to {back.to!r}, {_undefined(back.to, grammar)}")
    return out


def _paths(grammar: Grammar) -> list[str]:
    """Defects of the table as a whole."""
    reached, steps, back = _reachable(grammar), grammar.steps, grammar.backtrack
    out = [f"{name} has no path to an answer" for name in grammar.kinds if name in reached and name not in steps]
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
        following = [child for child in children(free[name].next) if child in free]
        return next((loop for child in following if (loop := walk(child, [*path, name]))), [])

    return next((loop for name in free if (loop := walk(name, []))), [])
