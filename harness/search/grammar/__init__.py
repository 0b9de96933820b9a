"""Thought grammars: node kinds and what may follow what, as data (YAML), shipped or of the user's.

A grammar may hold several transition patterns over the same kinds (arXiv 2503.01461, Figure 2); every tree draws one by
weight. ``defects`` names everything that makes a grammar unsearchable; ``load`` raises it, with file and line.
"""

from __future__ import annotations

import math
import random
import re
from graphlib import CycleError, TopologicalSorter
from importlib import resources
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from harness.errors import RecipeError, nearest
from harness.files import read_text
from harness.grading.families import FAMILIES
from harness.grading.families import KINDS as KINDS_OF_GRADER
from harness.models.base import seed_of
from harness.records import Record
from harness.thoughts import KINDS, THINK_CLOSE, THINK_OPEN
from harness.yaml_files import Key, Source, mapping, validated

Findings = list[tuple[Key, str]]  # each with the key that it is about
_SHIPPED = resources.files("harness.search.grammar") / "shipped"


class Weighted(Record):
    """``width`` children, each of a kind drawn by weight."""

    width: int = 2
    weights: dict[str, float]


def _form(following: Any) -> str:
    drawn = isinstance(following, Weighted) or (isinstance(following, dict) and following.keys() & {"width", "weights"})
    return "Weighted" if drawn else "numbers"


# What may follow a node: how many children of each kind, or a number of children drawn by weight.
Following = Annotated[
    Annotated[dict[str, int], Tag("numbers")] | Annotated[Weighted, Tag("Weighted")], Discriminator(_form)
]


class Kind(Record):
    """One node kind: who writes it, in which tag, how long it may be, what may follow it.

    ``prefills``: beginnings of its text, one is drawn per node; in the kind that backtracking writes, ``{answer}``
    stands for the wrong answer. ``per_chain`` caps how often the kind may stand on one chain (0: no cap but the depth).
    ``tag``: name of the tag around its text, the kind's own name if empty.
    """

    role: Literal["generator", "critic"] = "generator"
    max_tokens: int = Field(gt=0)
    next: Following = {}
    prefills: tuple[str, ...] = ()
    per_chain: int = Field(default=0, ge=0)
    tag: str = ""


class Backtrack(Record):
    """After a wrong verdict: a node of ``kind``, at most one for each wrong answer and ``per_chain`` on one chain.

    It continues the nearest ancestor of kind ``to``, or the thought that the wrong answer followed if ``to`` is empty.
    """

    kind: str = "reflection"
    to: str = ""
    per_chain: int = Field(default=1, ge=0)


class Pattern(Record):
    """One transition table over the kinds of its grammar; ``weight``: how often trees draw it."""

    weight: float = 1.0
    start: Following
    next: dict[str, Following] = {}
    backtrack: Backtrack | None = None


class Example(Record):
    """A problem and a whole response in the grammar's tags, which models see before each problem."""

    problem: str
    response: str


class Grammar(Record):
    """How models are asked, which thoughts there are, and what may follow what.

    ``prompt``: the user's message around ``{problem}``. For models that do not know the tags by themselves, ``rules``
    stand before the first message, and ``examples`` are earlier turns: models keep to what they seem to have written.
    ``max_depth`` counts thoughts with the answer, ``max_context`` tokens of prompt and chain (0: no cap). Siblings
    whose edit ratio reaches ``same`` and whose numbers are equal count as duplicates (1: only equal texts do).
    ``exploration``: the constant of UCT, for rewards of 0 and 1. ``sources``: grammars for sources of problems, by the
    grader of their answers; this one serves the others.
    """

    name: str
    about: str = ""
    rules: str = ""
    examples: tuple[Example, ...] = ()
    prompt: str = "{problem}"
    start: Following = {}
    kinds: dict[str, Kind]
    backtrack: Backtrack | None = None
    patterns: dict[str, Pattern] = {}
    max_depth: int | None = Field(default=None, gt=1)
    max_context: int = Field(default=0, ge=0)
    temperature: float = Field(default=0.8, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    exploration: float = Field(default=0.25, ge=0)
    same: float = Field(default=0.95, gt=0, le=1)
    sources: dict[str, Grammar] = {}

    def of(self, family: str) -> Grammar:
        """The grammar for problems of a family (see ``grading.families``)."""
        return self.sources.get(FAMILIES.get(family, ""), self)

    def changed(self, **settings: Any) -> Grammar:
        """With other settings, for every source."""
        sources = {source: grammar.changed(**settings) for source, grammar in self.sources.items()}
        return self.model_copy(update=settings | {"sources": sources})

    def messages(self, problem: str) -> list[dict[str, str]]:
        """The conversation that asks for a chain: rules, examples, and the problem last."""
        asked = [self.prompt.replace("{problem}", text) for text in (*(e.problem for e in self.examples), problem)]
        if self.rules:
            asked[0] = f"{self.rules.rstrip()}\n\n{asked[0]}"
        turns = [{"role": "user", "content": text} for text in asked]
        replies = [{"role": "assistant", "content": example.response.rstrip()} for example in self.examples]
        return [turn for pair in zip_longest(turns, replies) for turn in pair if turn]

    @property
    def resolved(self) -> dict[str, Grammar]:
        """The grammar of each pattern and source by name; itself where it has one table."""
        if self.sources:
            return {name: each for other in self.sources.values() for name, each in other.resolved.items()}
        return {name: self._under(name) for name in self.patterns} or {self.name: self}

    def _under(self, name: str) -> Grammar:
        pattern = self.patterns[name]
        kinds = {k: v.model_copy(update={"next": pattern.next.get(k, {})}) for k, v in self.kinds.items()}
        change = {"name": f"{self.name}/{name}", "start": pattern.start, "backtrack": pattern.backtrack}
        return self.model_copy(update={**change, "kinds": kinds, "patterns": {}})

    def draw(self, seed: int) -> Grammar:
        """The pattern of one tree, drawn by weight from the tree's seed."""
        weights = [pattern.weight for pattern in self.patterns.values()]
        drawn = random.Random(seed_of(seed, "pattern")).choices(list(self.patterns), weights) if weights else []
        return self._under(drawn[0]) if drawn else self

    @property
    def depth(self) -> int:
        """Most thoughts of a chain, the answer among them."""
        return self.max_depth or 12

    @property
    def steps(self) -> dict[str, int]:
        """Fewest further thoughts to an answer after each kind that has a way there."""
        steps, more = dict[str, int](), {"answer"}
        while more:  # kinds of one step more in each turn
            steps |= dict.fromkeys(more, max(steps.values(), default=-1) + 1)
            more = {n for n, k in self.kinds.items() if n not in steps and children(k.next).keys() & steps.keys()}
        return steps

    def following(self, kind: str) -> Following:
        """What may follow a node of ``kind``, or the root where it is empty."""
        return self.kinds[kind].next if kind else self.start

    def slots(self, kind: str, seed: int) -> list[str]:
        """The kinds of the children that a node of ``kind`` may have, in an order drawn from ``seed``."""
        following, rng = self.following(kind), random.Random(seed)
        if isinstance(following, Weighted):
            return rng.choices(list(following.weights), list(following.weights.values()), k=following.width)
        out = [child for child, number in following.items() for _ in range(number)]
        rng.shuffle(out)
        return out

    def tag(self, kind: str) -> str:
        return self.kinds[kind].tag or kind

    @property
    def tags(self) -> tuple[str, ...]:
        """All opening and closing tags of thoughts."""
        return tuple(t for kind in self.kinds if kind != "answer" for t in (self.opening(kind), self.closing(kind)))

    def opening(self, kind: str) -> str:
        """Text before a node: its tag; the answer starts with the end of the thinking."""
        return "</think>" if kind == "answer" else f"<{self.tag(kind)}>"

    def closing(self, kind: str) -> str:
        """Text after a node; the answer ends with the turn, so nothing is written."""
        return "" if kind == "answer" else f"</{self.tag(kind)}>"


def children(following: Following) -> dict[str, float]:
    """Kinds that may follow, with their count or weight."""
    return dict(following.weights if isinstance(following, Weighted) else following)


def shipped() -> list[str]:
    return sorted(p.name.removesuffix(".yaml") for p in _SHIPPED.iterdir() if p.name.endswith(".yaml"))


def source(name: str) -> str:
    """The YAML text of a shipped grammar by name, or of one of the user's by path. Raises RecipeError and BadFile."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise RecipeError(f"{name}: no such file")
        return read_text(path)
    if name not in shipped():
        known = ", ".join(shipped())
        raise RecipeError(
            f"no grammar {name!r}{nearest(name, shipped())}; shipped: {known}; or give a path ending in .yaml"
        )
    return (_SHIPPED / f"{name}.yaml").read_text()


def load(name: str) -> Grammar:
    """A shipped grammar by name, or one of the user's by path. Raises RecipeError (a line a defect) and BadFile."""
    read = mapping(source(name), name, "grammar")
    if "sources" in read.data:
        return _of_sources(read)
    grammar = validated(Grammar, read)
    if found := defects(grammar):
        raise RecipeError("\n".join(f"{read.place(*key)}: {text}" for key, text in found))
    return grammar


class _Sources(Record):
    """A file that names a grammar for each source of problems. The first serves problems of other sources, too."""

    name: str
    about: str = ""
    sources: dict[str, str] = Field(min_length=1)


def _of_sources(read: Source) -> Grammar:
    named = validated(_Sources, read)
    for kind, name in named.sources.items():
        if kind not in KINDS_OF_GRADER:
            known = ", ".join(KINDS_OF_GRADER)
            hint = nearest(kind, KINDS_OF_GRADER)
            raise RecipeError(f"{read.place('sources', kind)}: {kind!r} is no grader of answers{hint}; known: {known}")
        if "sources" in mapping(source(name), name, "grammar").data:
            raise RecipeError(f"{read.place('sources', kind)}: {name} names sources itself; name its grammars here")
    grammars = {kind: load(name) for kind, name in named.sources.items()}
    first = next(iter(grammars.values()))
    return first.model_copy(update={"name": named.name, "about": named.about, "sources": grammars})


def defects(grammar: Grammar) -> Findings:
    """Every defect of the grammar and of each of its patterns, with its key; an empty list if it can be searched."""
    out = _kinds(grammar)
    if grammar.patterns and (grammar.start or grammar.backtrack or any(k.next for k in grammar.kinds.values())):
        out.append((("patterns",), "start, next and backtrack belong into the patterns where there are patterns"))
    for name, pattern in grammar.patterns.items():
        key = ("patterns", name)
        if not 0 < pattern.weight < math.inf:
            out.append((key, f"pattern {name} has the weight {pattern.weight:g}; it must be a number above 0"))
        out += [
            ((*key, "next", kind), f"pattern {name} says what follows {kind!r}, {_undefined(kind, grammar)}")
            for kind in pattern.next
            if kind not in grammar.kinds
        ]
    if out:
        return out
    used: set[str] = set()
    for name, resolved in grammar.resolved.items():
        under, where = (("patterns", name), f"pattern {name}: ") if grammar.patterns else ((), "")
        out += [((*under, *key), where + text) for key, text in _transitions(resolved, bool(under)) or _paths(resolved)]
        used |= _reachable(resolved)
    return out or [(("kinds", name), f"{name} can never be reached") for name in grammar.kinds if name not in used]


def _undefined(kind: str, grammar: Grammar) -> str:
    return f"which is not defined{nearest(kind, grammar.kinds)}"


def _kinds(grammar: Grammar) -> Findings:
    """Defects of single kinds."""
    out: Findings = []
    tags: dict[str, str] = {}
    rules = [grammar.backtrack, *(pattern.backtrack for pattern in grammar.patterns.values())]
    backs = {rule.kind for rule in rules if rule}
    for name, kind in grammar.kinds.items():
        texts: list[str] = []
        if name not in KINDS:
            texts.append(f"kind {name!r} is not a thought kind{nearest(name, KINDS)} ({', '.join(KINDS)})")
        tag, closing = grammar.tag(name), grammar.closing(name)
        if not re.fullmatch(r"[A-Za-z][\w-]*", tag):
            texts.append(f"the tag of {name} is {tag!r}; a tag is letters, digits, - and _")
        if tag in tags:
            texts.append(f"{tags[tag]} and {name} have the same tag {tag!r}")
        tags[tag] = name
        for prefill in kind.prefills:
            if closing and closing in prefill:
                texts.append(f"the prefill of {name} closes its own tag")
            elif any(text in prefill for text in (*grammar.tags, THINK_OPEN, THINK_CLOSE)):
                texts.append(f"the prefill of {name} holds a tag")
            if "{answer}" in prefill and name not in backs:
                texts.append(f"the prefill of {name} names {{answer}}, but no wrong answer leads to {name}")
        if grammar.max_context and kind.max_tokens >= grammar.max_context:
            texts.append(f"{name} may take {kind.max_tokens} tokens, but max_context is {grammar.max_context}")
        out += [(("kinds", name), text) for text in texts]
    if "answer" not in grammar.kinds:
        out.append((("kinds",), "there is no answer kind, so no chain can end"))
    if "{problem}" not in grammar.prompt:
        out.append((("prompt",), "the prompt does not hold {problem}"))
    for number, example in enumerate(grammar.examples):
        if fault := _strays(grammar, example.response):
            out.append((("examples", number), f"the response of example {number + 1} {fault}"))
    return out


def _strays(grammar: Grammar, response: str) -> str:
    """Where a response is no chain of the grammar's tags: what a model would learn from it to do wrong."""
    thought, closed, answer = response.strip().removeprefix(THINK_OPEN).partition(THINK_CLOSE)
    if not response.strip().startswith(THINK_OPEN) or not closed or not answer.strip():
        return f"is not {THINK_OPEN}thoughts{THINK_CLOSE} and an answer"
    while thought := thought.strip():
        kind = next((kind for kind in grammar.kinds if thought.startswith(grammar.opening(kind))), "")
        if not kind or not thought.count(closing := grammar.closing(kind)):
            return f"has no whole thought of the grammar at {thought[:40]!r}"
        inside, _, thought = thought.removeprefix(grammar.opening(kind)).partition(closing)
        if any(tag in inside for tag in grammar.tags):
            return f"has a tag inside {grammar.opening(kind)}"
    return ""


def _transitions(grammar: Grammar, in_pattern: bool = False) -> Findings:
    """Defects of single entries of the transition table."""
    out: Findings = []
    for where, following in {"start": grammar.start, **{n: k.next for n, k in grammar.kinds.items()}}.items():
        at: Key = ("start",) if where == "start" else ("next", where) if in_pattern else ("kinds", where, "next")
        weighted = isinstance(following, Weighted)
        for child, number in children(following).items():
            key = (*at, "weights", child) if weighted else (*at, child)
            if child not in grammar.kinds:
                out.append((key, f"{where} leads to {child!r}, {_undefined(child, grammar)}"))
            if weighted and not 0 < number < math.inf:
                out.append((key, f"{where} gives {child!r} the weight {number:g}; it must be above 0"))
            elif number < 1 and not weighted:
                out.append((key, f"{where} asks for {number:g} children of kind {child!r}"))
        if isinstance(following, Weighted) and (following.width < 1 or not following.weights):
            out.append((at, f"{where} draws {following.width} children from {len(following.weights)} kinds"))
    if not children(grammar.start):
        out.append((("start",), "start leads nowhere"))
    if children(grammar.kinds["answer"].next):
        out.append((("kinds", "answer", "next"), "answer is terminal and may not lead anywhere"))
    if back := grammar.backtrack:
        if back.kind not in grammar.kinds:
            out.append((("backtrack", "kind"), f"backtracking writes {back.kind!r}, {_undefined(back.kind, grammar)}"))
        if back.kind == "answer":
            out.append((("backtrack", "kind"), "backtracking writes an answer; it must write a thought"))
        if back.to and back.to not in grammar.kinds:
            out.append((("backtrack", "to"), f"backtracking goes to {back.to!r}, {_undefined(back.to, grammar)}"))
    return out


def _paths(grammar: Grammar) -> Findings:
    """Defects of the table as a whole."""
    reached, steps, back = _reachable(grammar), grammar.steps, grammar.backtrack
    out: Findings = [
        (("kinds", name), f"{name} has no path to an answer")
        for name in grammar.kinds
        if name in reached and name not in steps
    ]
    if back and back.to and back.to not in reached:
        out.append((("backtrack", "to"), f"backtracking goes to {back.to}, which can never be reached"))
    if out:
        return out
    shortest = 1 + min(steps[kind] for kind in children(grammar.start))
    if shortest > grammar.depth:
        text = f"the shortest chain has {shortest} thoughts, but max_depth is {grammar.depth}"
        out.append((("max_depth",), text))
    try:
        TopologicalSorter({n: children(kind.next) for n, kind in grammar.kinds.items() if not kind.per_chain}).prepare()
    except CycleError as error:
        if grammar.max_depth is None:
            loop = " -> ".join(reversed(error.args[1]))
            text = f"{loop} is a loop without a cap: give max_depth, or per_chain to one of its kinds"
            out.append((("kinds", error.args[1][0]), text))
    return out


def _reachable(grammar: Grammar) -> set[str]:
    seen, more = set[str](), {*children(grammar.start), *([grammar.backtrack.kind] if grammar.backtrack else [])}
    while more := (more & grammar.kinds.keys()) - seen:
        seen |= more
        more = {child for name in more for child in children(grammar.kinds[name].next)}
    return seen
