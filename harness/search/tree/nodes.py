"""What trees are made of: expansions, results, nodes, and how ids and texts are read."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field
from typing import NamedTuple

# What the two tags around a text take at most, in tokens; counted towards the context.
TAG_TOKENS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """A node to be written: its path id, its kind, the nodes it continues (root first), its beginning, its seed.

    ``whole``: everything up to the answer is asked for at once, not this one node. ``budget``: most tokens it may take.
    """

    node: str
    kind: str
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


class Share(NamedTuple):
    """A node's part of the statistics, without its children's; ``ended``: rollouts."""

    visits: int = 0
    value: float = 0.0
    pending: int = 0
    ended: int = 0


@dataclass(slots=True, eq=False)
class Node:
    """``visits`` and ``value`` sum up finished rollouts below and here, ``pending`` those begun and not finished."""

    id: str
    kind: str | None
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
    share: Share = Share()

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
        while node is not None and node.kind is not None:
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
    for part in name.split("/"):
        match = _PART.fullmatch(part)
        if match is None or match["kind"] not in kinds:
            raise KeyError(part)
    head, on = name.rpartition("/")[0], match["on"] or ""  # of the last part
    depth, path = 0, []
    for char in on:  # + stands for /; inner parentheses stay as they are
        depth += (char == "(") - (char == ")")
        path.append("/" if char == "+" and depth == 0 else char)
    on = "".join(path)
    return head, match["kind"], f"{head}/{on}" if head and on else on


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

    if edit_ratio(a, b, score_cutoff=100 * ratio) < 100 * ratio:
        return False
    return re.findall(r"\d+", a) == re.findall(r"\d+", b)
