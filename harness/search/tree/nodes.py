"""What trees are made of: expansions, results, nodes; how ids and texts are read, and paths as text or tokens."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from harness.search.grammar import Grammar
from harness.thoughts import THINK_OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """A node to be written: its id, kind, the role that writes it, the nodes it continues (root first), its beginning.

    ``whole``: everything up to the answer is asked for at once, not this one node. ``budget``: most tokens it may take.
    """

    node: str
    kind: str
    role: str
    ancestors: tuple[str, ...]
    seed: int
    budget: int
    prefill: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came back for an expansion. ``verdict`` is set for answers: correct, wrong, or anything else (no chain).

    ``answer``: what the grader read as the answer. ``generated``: tokens the model spent on it. ``rest``: the nodes
    that followed within one request, as (kind, result).
    """

    text: str
    token_ids: tuple[int, ...]
    finish: str
    verdict: str = ""
    reason: str = ""
    answer: str = ""
    generated: int = 0
    rest: tuple[tuple[str, Result], ...] = ()


@dataclass(slots=True, eq=False)
class Node:
    """``visits`` and ``value`` sum up finished rollouts below and here, ``pending`` those begun and not finished."""

    id: str
    kind: str  # empty: the root
    parent: Node | None
    on: str = ""  # the wrong answer that this node answers to
    result: Result | None = None
    children: list[Node] = field(default_factory=list)
    slots: list[str] = field(default_factory=list)
    visits: int = 0
    value: float = 0.0
    pending: int = 0
    closed: bool = False
    spoilt: str = ""  # why the text is no part of any chain
    duplicate: bool = False
    context: int = 0  # tokens up to and with this node
    normal: str = ""  # the normalised text
    key: bytes = b""  # digest of the normalised texts up to and with this node
    share: tuple[int, float, int, int] = (0, 0.0, 0, 0)  # visits, value, pending, rollouts ended: without children's

    @property
    def discarded(self) -> str:
        """Why the node leads to no further chain, or an empty string."""
        return self.spoilt or ("duplicate" if self.duplicate else "")

    @property
    def started(self) -> int:
        return self.visits + self.pending

    @property
    def path(self) -> list[Node]:
        """Nodes from the first thought to this one."""
        out: list[Node] = []
        node: Node | None = self
        while node is not None and node.kind:
            out.append(node)
            node = node.parent
        return out[::-1]


class Choice(NamedTuple):
    """What a policy chose: another child of ``parent``; ``on``: the wrong answer that it replies to."""

    parent: Node
    kind: str
    on: str = ""


_PART = re.compile(r"(?P<kind>[\w-]+)(?:\.\d+|\((?P<on>.+)\))")


def parsed(name: str, kinds: Container[str]) -> tuple[str, str, str]:
    """(id of the parent, kind, id of the wrong answer that it replies to) of an id. Raises KeyError for no id."""
    matches = [_PART.fullmatch(part) for part in name.split("/")]
    last = matches[-1]
    if last is None or any(match is None or match["kind"] not in kinds for match in matches):
        raise KeyError(name)
    head, on = name.rpartition("/")[0], last["on"] or ""
    depth, path = 0, []
    for char in on:  # + stands for /; inner parentheses stay as they are
        depth += (char == "(") - (char == ")")
        path.append("/" if char == "+" and depth == 0 else char)
    on = "".join(path)
    return head, last["kind"], f"{head}/{on}" if head and on else on


def order_of(node: Node) -> tuple[bool, int, str]:
    """Reflections after numbered siblings, those in the order of their numbers."""
    number = node.id.rpartition(".")[2] if not node.on else ""
    return (bool(node.on), int(number or 0), node.on)


def normal(text: str) -> str:
    """A text without its letters' case and its spacing."""
    return " ".join(text.split()).lower()


def alike(a: str, b: str, ratio: float) -> bool:
    """Whether two texts differ in so little that they say the same: by edit ratio, with the same numbers in order."""
    if ratio >= 1 or a == b:
        return a == b
    from rapidfuzz.fuzz import ratio as edit_ratio

    near = edit_ratio(a, b, score_cutoff=100 * ratio) >= 100 * ratio
    return near and re.findall(r"\d+", a) == re.findall(r"\d+", b)


def spans_of(leaf: Node) -> list[tuple[str, str]]:
    """(kind, text) of every node on the way to ``leaf``."""
    return [(node.kind, node.result.text) for node in leaf.path if node.result]


def render(grammar: Grammar, spans: Sequence[tuple[str, str]]) -> str:
    """The text of a chain of (kind, text)."""
    return THINK_OPEN + "".join(grammar.opening(kind) + text + grammar.closing(kind) for kind, text in spans)


def chain_ids(leaf: Node, grammar: Grammar, tokenizer: Any) -> list[int]:
    """Token ids of the chain to ``leaf``: the opening of the thinking, every node in its tags, the end of the turn.

    Texts as they were sampled where this tokenizer reads them so, else encoded.
    """
    encode = partial(tokenizer.encode, add_special_tokens=False)
    ids = list(encode(THINK_OPEN))
    for node in leaf.path:
        assert node.result is not None
        sampled, text = list(node.result.token_ids), node.result.text
        same = sampled and max(sampled) < len(tokenizer) and tokenizer.decode(sampled) == text
        ids += encode(grammar.opening(node.kind))
        ids += sampled if same else encode(text)
        ids += encode(grammar.closing(node.kind) or tokenizer.eos_token)
    return ids
