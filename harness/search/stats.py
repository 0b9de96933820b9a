"""What a search yielded and what it spent: sums over trees, taken one tree at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.records import Problem
from harness.search.store import NodeRow, folded
from harness.search.tree.core import Tree

# What spoils a node: in words, and what to do about it in the grammar or on the command line.
_FAULTS = {
    "ended by end of turn": ("ended the turn without closing the tag",
                             "tell the tags in the grammar's prompt, with an example, and begin the kind (prefills)"),
    "empty": ("empty", "begin the kind (prefills) in the grammar"),
    "ended by length": ("cut by the limit", "raise its max_tokens in the grammar, or ask for short thoughts"),
    "foreign tag": ("held another tag", "say in the grammar's prompt that tags do not nest"),
    "ended by text outside tags": ("left the tags", "say in the grammar's prompt that all thoughts stand in tags"),
    "no room for an answer": ("left no room for an answer", "raise max_depth or max_context in the grammar"),
    "duplicate": ("said the same as another", "raise the temperature in the grammar"),
    "wrong": ("wrong", "take a larger model, easier problems or more --rollouts"),
    "no_answer": ("without an answer that the grader can read",
                  "tell the answer's form in the grammar's prompt, or begin it (prefills)"),
}  # fmt: skip
_MOST = 8  # faults that are told


class SearchYield:
    """Sums; add every tree once. ``families`` by name: problems, those with a correct chain, with both, and chains."""

    def __init__(self) -> None:
        self.families: dict[str, Counter[str]] = defaultdict(Counter)
        self.endings, self.nodes, self.tokens, self.discarded, self.more = (Counter[str]() for _ in range(5))
        self.faults: Counter[tuple[str, str]] = Counter()  # by kind, and by what is wrong with the node

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
        for node in texts:
            assert node.result is not None
            if fault := node.discarded or (node.result.verdict if node.result.verdict != "correct" else ""):
                self.faults[node.kind, fault] += 1
            if node.kind != "answer":
                self.more.update(thoughts=1, closed=node.result.finish == "stop")
            self.more["cut"] += node.result.finish == "length"
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
            "thoughts": self.more["thoughts"],
            "closed": self.more["closed"] / self.more["thoughts"] if self.more["thoughts"] else None,
            "cut": self.more["cut"],
            "faults": [{"kind": k, "fault": f, "nodes": n} for (k, f), n in self.faults.most_common()],
            "discarded": dict(self.discarded),
            "endings": dict(self.endings),
            "nodes": dict(self.nodes),
            "tokens": dict(self.tokens),
            "tokens_per_correct_chain": tokens / chains if chains else None,
            "pairs_per_1000_tokens": 1000 * self.more["pairs"] / tokens if tokens else None,
            "by_family": {name: dict(sums) for name, sums in sorted(self.families.items())},
        }


def faults(figures: Mapping[str, Any]) -> str:
    """What spoilt nodes or kept answers from counting, the commonest first: "9 thinking cut by the limit, ..."."""
    words = {fault: text for fault, (text, _) in _FAULTS.items()}
    told = [f"{f['nodes']:,} {f['kind']} {words.get(f['fault'], f['fault'])}" for f in figures["faults"][:_MOST]]
    rest = sum(f["nodes"] for f in figures["faults"][_MOST:])
    return ", ".join(told + [f"{rest:,} others"] * bool(rest))


def why_no_chain(figures: Mapping[str, Any]) -> str:
    """Why a search brought no correct chain and what to do about it; empty if it brought one, or had no problems."""
    if figures["correct_chains"] or not figures["problems"]:
        return ""
    found = f"no correct chain in {figures['problems']:,} problems"
    if not figures["faults"]:
        return f"{found}: their budgets ended before an answer; raise --rollouts, --requests or --tokens"
    worst = min(figures["faults"], key=lambda each: each["fault"] == "duplicate")  # the commonest that is none
    advice = _FAULTS.get(worst["fault"], ("", "look at the texts with 'harness search show'"))[1]
    return (
        f"{found}: {faults(figures)}. First, for {worst['kind']}: {advice} ('harness search cp' copies a shipped "
        "grammar); larger models keep to the tags more often"
    )
