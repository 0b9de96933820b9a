"""A search without a chain says what spoilt its nodes, the commonest first, and what to do."""

from __future__ import annotations

import pytest

from harness.records import Problem
from harness.search.grammar import Grammar
from harness.search.spec import Goals
from harness.search.stats import SearchYield, why_no_chain
from harness.search.store import Settings
from harness.search.tree.nodes import Result

GRAMMAR = Grammar.model_validate({
    "name": "g", "start": {"thinking": 6},
    "kinds": {"thinking": {"max_tokens": 9, "next": {"answer": 3}}, "answer": {"max_tokens": 9}},
})  # fmt: skip
PROBLEM = Problem(id="p", family="number", prompt="?", gold={"answer": 1})


def figures(*told: tuple[str, str, str, str]):
    """Of a tree that was told (node, text, finish, verdict)."""
    tree = Settings(grammar=GRAMMAR, goals=Goals()).tree(PROBLEM)
    for name, text, finish, verdict in told:
        tree.tell(name, Result(text=text, token_ids=(1,), finish=finish, verdict=verdict))
    total = SearchYield()
    total.add(PROBLEM, tree, [], "budget")
    return total.figures()


OPEN = [(f"thinking.{i}", f"t {i}", "end of turn", "") for i in (0, 1)]
CUT = ("thinking.2", "t 2", "length", "")
GOOD = ("thinking.3", "t 3", "stop", "")


def answer(number: int, text: str = "a", verdict: str = "", finish: str = "stop"):
    return f"thinking.3/answer.{number}", text, finish, verdict


def test_shares_of_closed_tags_and_of_what_was_cut():
    found = figures(*OPEN, CUT, GOOD, answer(0, verdict="correct"))
    assert (found["thoughts"], found["closed"], found["cut"]) == (4, 0.25, 1)
    assert found["faults"] == [
        {"kind": "thinking", "fault": "ended by end of turn", "nodes": 2},
        {"kind": "thinking", "fault": "ended by length", "nodes": 1},
    ]
    assert why_no_chain(found) == ""


@pytest.mark.parametrize(
    ("told", "counts", "advice"),
    [
        ([*OPEN, CUT], "2 thinking ended the turn without closing the tag, 1 thinking cut by the limit",
         "for thinking: tell the tags in the grammar's prompt"),
        ([GOOD, answer(0, " "), answer(1, "  "), CUT], "2 answer empty, 1 thinking cut by the limit",
         "for answer: begin the kind (prefills)"),
        ([GOOD, CUT], "1 thinking cut by the limit", "for thinking: raise its max_tokens"),
        ([GOOD, answer(0, verdict="wrong")], "1 answer wrong", "take a larger model"),
        ([GOOD, answer(0, verdict="no_answer")], "1 answer without an answer", "tell the answer's form"),
        ([GOOD, ("thinking.4", "t 3", "stop", ""), ("thinking.5", "t 3", "stop", ""), CUT],
         "2 thinking said the same as another, 1 thinking cut by the limit", "for thinking: raise its max_tokens"),
        ([GOOD], "no correct chain in 1 problems", "raise --rollouts, --requests or --tokens"),
    ],
)  # fmt: skip
def test_the_commonest_fault_comes_first_and_has_advice(told, counts, advice):
    why = why_no_chain(figures(*told))
    assert counts in why
    assert advice in why
    assert "\n" not in why
