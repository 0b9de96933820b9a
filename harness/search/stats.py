"""What a search yielded and what it spent: sums over trees, taken one tree at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.records import Problem
from harness.search.rows import NodeRow
from harness.search.store import folded
from harness.search.tree.core import Tree


@dataclass
class Family:
    """Sums over the problems of one family. ``both``: problems with a correct and a wrong chain, usable for pairs."""

    problems: int = 0
    correct: int = 0
    both: int = 0
    correct_chains: int = 0
    wrong_chains: int = 0


@dataclass
class SearchYield:
    """Add every tree once; ``figures`` are plain numbers."""

    families: dict[str, Family] = field(default_factory=lambda: defaultdict(Family))
    endings: Counter[str] = field(default_factory=Counter)
    nodes: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)
    texts: int = 0
    unvisited: int = 0
    rollouts: int = 0
    reflections: int = 0
    followed: int = 0
    pairs: int = 0

    def add(self, problem: Problem, tree: Tree, rows: Sequence[NodeRow], why: str) -> None:
        """Take in one problem; ``rows`` are its journal rows, ``why`` its ending ("" while it is unfinished)."""
        family, correct, wrong = self.families[problem.family], len(tree.correct), len(tree.wrong)
        family.problems += 1
        family.correct += correct > 0
        family.both += correct > 0 and wrong > 0
        family.correct_chains += correct
        family.wrong_chains += wrong
        self.pairs += min(correct, wrong)
        self.endings[why or "unfinished"] += 1
        for row in rows:
            self.nodes[row["role"]] += 1 + len(row.get("rest", ()))
            self.tokens[row["role"]] += row["generated"]
        texts = tree.written()
        self.texts += len(texts)
        self.discarded.update(node.discarded for node in texts if node.discarded)
        self.unvisited += len(tree.unvisited())
        self.rollouts += tree.rollouts
        written, followed = tree.reflections()
        self.reflections += written
        self.followed += followed

    @classmethod
    def of(cls, root: Path) -> SearchYield:
        """The sums over a search's folder."""
        total = cls()
        for stored, tree, _ in folded(root):
            total.add(stored.problem, tree, stored.rows, stored.why)
        return total

    def figures(self) -> dict[str, Any]:
        """All sums, shares from 0 to 1, and what a chain and a pair cost in generated tokens (None without any)."""
        of = list(self.families.values())
        problems, chains = sum(f.problems for f in of), sum(f.correct_chains for f in of)
        tokens = sum(self.tokens.values())
        return {
            "problems": problems,
            "with_correct": _share(sum(f.correct for f in of), problems),
            "with_both": _share(sum(f.both for f in of), problems),
            "correct_chains": chains,
            "wrong_chains": sum(f.wrong_chains for f in of),
            "rollouts": self.rollouts,
            "reflections": self.reflections,
            "reflections_followed": self.followed,
            "never_visited": _share(self.unvisited, self.texts),
            "discarded": dict(self.discarded),
            "endings": dict(self.endings),
            "nodes": dict(self.nodes),
            "tokens": dict(self.tokens),
            "tokens_per_correct_chain": tokens / chains if chains else None,
            "pairs_per_1000_tokens": 1000 * self.pairs / tokens if tokens else None,
            "by_family": {
                name: {
                    "problems": f.problems, "with_correct": f.correct, "with_both": f.both,
                    "correct_chains": f.correct_chains, "wrong_chains": f.wrong_chains,
                }
                for name, f in sorted(self.families.items())
            },
        }  # fmt: skip


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
