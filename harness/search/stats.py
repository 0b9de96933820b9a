"""What a search yielded and what it spent: sums over trees, taken one tree at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.records import Problem
from harness.search.store import NodeRow, folded
from harness.search.tree.core import Tree


class SearchYield:
    """Sums; add every tree once. ``families`` by name: problems, those with a correct chain, with both, and chains."""

    def __init__(self) -> None:
        self.families: dict[str, Counter[str]] = defaultdict(Counter)
        self.endings, self.nodes, self.tokens, self.discarded, self.more = (Counter[str]() for _ in range(5))

    def add(self, problem: Problem, tree: Tree, rows: Sequence[NodeRow], why: str) -> None:
        """Take in one problem; ``rows`` are its journal rows, ``why`` its ending ("" while it is unfinished)."""
        correct, wrong, texts = len(tree.correct), len(tree.wrong), tree.written()
        self.families[problem.family].update(
            problems=1, with_correct=min(1, correct), with_both=min(1, correct, wrong), correct_chains=correct,
            wrong_chains=wrong,
        )  # fmt: skip
        self.endings[why or "unfinished"] += 1
        for row in rows:
            self.nodes[row["role"]] += 1 + len(row.get("rest", ()))
            self.tokens[row["role"]] += row["generated"]
        self.discarded.update(node.discarded for node in texts if node.discarded)
        written, followed = tree.reflections()
        self.more.update(
            pairs=min(correct, wrong), texts=len(texts), unvisited=len(tree.unvisited()), rollouts=tree.rollouts,
            reflections=written, reflections_followed=followed,
        )  # fmt: skip

    @classmethod
    def of(cls, root: Path) -> SearchYield:
        """The sums over a search's folder."""
        total = cls()
        for stored, tree, _ in folded(root):
            total.add(stored.problem, tree, stored.rows, stored.why)
        return total

    def figures(self) -> dict[str, Any]:
        """All sums, shares from 0 to 1, and what a chain and a pair cost in generated tokens (None without any)."""
        all_families = sum(self.families.values(), Counter[str]())
        problems, chains, tokens = all_families["problems"], all_families["correct_chains"], sum(self.tokens.values())
        return {
            "problems": problems,
            "with_correct": all_families["with_correct"] / max(1, problems),
            "with_both": all_families["with_both"] / max(1, problems),
            **{name: all_families[name] for name in ("correct_chains", "wrong_chains")},
            **{name: self.more[name] for name in ("rollouts", "reflections", "reflections_followed")},
            "never_visited": self.more["unvisited"] / max(1, self.more["texts"]),
            "discarded": dict(self.discarded),
            "endings": dict(self.endings),
            "nodes": dict(self.nodes),
            "tokens": dict(self.tokens),
            "tokens_per_correct_chain": tokens / chains if chains else None,
            "pairs_per_1000_tokens": 1000 * self.more["pairs"] / tokens if tokens else None,
            "by_family": {name: dict(sums) for name, sums in sorted(self.families.items())},
        }
