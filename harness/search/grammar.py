"""Thought grammars: node kinds and what may follow what, as data. Every defect is named when the file is loaded."""

from __future__ import annotations

from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.thoughts import KINDS, closing

Role = Literal["generator", "critic"]


class GrammarError(ValueError):
    """The grammar cannot be searched; the message lists every defect."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kind(_Strict):
    """One node kind: who writes it, how long it may be, what may follow it (kind: number of children), its prefill.

    ``per_chain`` caps how often the kind may stand on one chain (0: no cap but the depth).
    """

    role: Role = "generator"
    max_tokens: int = Field(gt=0)
    next: dict[str, int] = {}
    prefill: str = ""
    per_chain: int = Field(default=0, ge=0)


class Backtrack(_Strict):
    """After a wrong verdict: the kind written beside the wrong answer, at most ``per_chain`` times on one chain."""

    kind: str = "reflection"
    per_chain: int = Field(default=1, ge=0)


class Grammar(_Strict):
    name: str
    start: dict[str, int]
    kinds: dict[str, Kind]
    backtrack: Backtrack | None = None
    max_depth: int = Field(default=12, gt=1)
    temperature: float = Field(default=0.8, ge=0)

    @cached_property
    def digest_source(self) -> str:
        return self.model_dump_json()

    def following(self, kind: str | None) -> dict[str, int]:
        return self.start if kind is None else self.kinds[kind].next


def load(name: str) -> Grammar:
    """A shipped grammar by name, or one of the user's by path. Raises GrammarError naming every defect."""
    import yaml

    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.exists():
            raise GrammarError(f"{name}: no such file")
        text = path.read_text()
    else:
        folder = resources.files("harness.search") / "grammars"
        file = folder / f"{name}.yaml"
        if not file.is_file():
            known = sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))
            raise GrammarError(f"no grammar {name!r}; shipped: {', '.join(known)}; or give a path ending in .yaml")
        text = file.read_text()
    try:
        grammar = Grammar.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise GrammarError(f"{name}: " + "; ".join(lines)) from None
    except yaml.YAMLError as error:
        raise GrammarError(f"{name}: not YAML: {' '.join(str(error).split())[:200]}") from None
    problems = defects(grammar)
    if problems:
        raise GrammarError(f"{name}: " + "; ".join(problems))
    return grammar


def defects(grammar: Grammar) -> list[str]:
    """What makes the grammar unsearchable or is surely a slip, in words."""
    out = []
    edges = {"start": grammar.start} | {name: kind.next for name, kind in grammar.kinds.items()}
    for where, following in edges.items():
        out += [
            f"{where} leads to {child!r}, which is not defined" for child in following if child not in grammar.kinds
        ]
        out += [f"{where} asks for {n} children of kind {child!r}" for child, n in following.items() if n < 1]
    out += [f"kind {name!r} is not a thought kind ({', '.join(KINDS)})" for name in grammar.kinds if name not in KINDS]
    if "answer" not in grammar.kinds:
        return [*out, "there is no answer kind, so no chain can end"]
    if grammar.kinds["answer"].next:
        out.append("answer is terminal and may not lead anywhere")
    for name, kind in grammar.kinds.items():
        if closing(name) and closing(name) in kind.prefill:
            out.append(f"the prefill of {name} closes its own tag")
    if out:
        return out
    reached, ends = _reachable(grammar), _ending(grammar)
    out += [f"{name} can never be reached" for name in grammar.kinds if name not in reached]
    out += [f"{name} has no path to an answer" for name in grammar.kinds if name in reached and name not in ends]
    back = grammar.backtrack
    if back and back.kind not in grammar.kinds:
        out.append(f"backtracking writes {back.kind!r}, which is not defined")
    return out


def _reachable(grammar: Grammar) -> set[str]:
    todo = [*grammar.start, *([grammar.backtrack.kind] if grammar.backtrack else [])]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in grammar.kinds and name not in seen:
            seen.add(name)
            todo += grammar.kinds[name].next
    return seen


def _ending(grammar: Grammar) -> set[str]:
    ends = {"answer"}
    while True:
        more = {name for name, kind in grammar.kinds.items() if name not in ends and ends & set(kind.next)}
        if not more:
            return ends
        ends |= more
