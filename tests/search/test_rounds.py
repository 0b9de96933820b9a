"""Rounds of a model in this process, and the order in which a folder's trees are told results."""

from __future__ import annotations

import json

import pytest

from harness.errors import ModelError, SearchIncomplete, SearchMismatch
from harness.search.launch import run as drive
from harness.search.run.roles import Role
from harness.search.run.work import GraderVerifier, Search
from harness.search.spec import Limits
from harness.search.store import Store
from tests.replies import MockCompleter
from tests.search.scripted import PROBLEMS, SETTINGS, reply, run, sent, served, state_of


class Lockstep(MockCompleter):
    """A model in this process that remembers which prompts shared a batch."""

    lockstep = True


def in_rounds(tokenizer, grader, window=128):
    models = {role: Lockstep(tokenizer, reply) for role in ("generator", "critic")}
    roles = {role: Role([model], tokenizer) for role, model in models.items()}
    return Search(settings=SETTINGS, roles=roles, verifier=GraderVerifier(grader), chunk=4, window=window), models


@pytest.mark.parametrize("window", [3, 128])
def test_rounds_resume_exactly(tokenizer, grader, tmp_path, window):
    search, _ = in_rounds(tokenizer, grader, window)
    folder = tmp_path / "whole"
    with Store(folder, SETTINGS) as store:
        store.compact = lambda: None
        drive(search, PROBLEMS, store)
    expected = state_of(folder)
    assert all(why for why, _ in expected.values())
    begun = json.loads((folder / "rounds.json").read_text()) | {"done": False}
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for cut in (1, len(lines) // 3, len(lines) - 2):
        part = tmp_path / f"part{cut}"
        part.mkdir()
        (part / "search.json").write_bytes((folder / "search.json").read_bytes())
        (part / "rounds.json").write_text(json.dumps(begun))
        (part / "journal.jsonl").write_bytes(b"".join(lines[:cut]) + lines[cut][:7])
        again, models = in_rounds(tokenizer, grader, window)
        assert run(again, part) == expected
        calls = sum(model.calls for model in models.values())
        assert calls <= len(lines) - cut + 2 * 4  # at most the chunk in flight of each role is done twice
    finished, idle = in_rounds(tokenizer, grader, window)
    assert run(finished, folder) == expected
    assert sum(model.calls for model in idle.values()) == 0


def test_rounds_over_more_problems_leave_the_finished_ones_alone(tokenizer, grader, tmp_path):
    few, rest = PROBLEMS[:4], {problem.id for problem in PROBLEMS[4:]}
    first, _ = in_rounds(tokenizer, grader, window=3)
    before = run(first, tmp_path / "grown", few)
    more, _ = in_rounds(tokenizer, grader)
    more.limits = Limits(requests=30)
    with pytest.raises(SearchIncomplete):
        run(more, tmp_path / "grown")
    more, models = in_rounds(tokenizer, grader)
    after = run(more, tmp_path / "grown")
    assert {name: after[name] for name in before} == before
    calls = sum(model.calls for model in models.values())
    alone, models = in_rounds(tokenizer, grader)
    assert run(alone, tmp_path / "alone", PROBLEMS[4:]) == {name: after[name] for name in rest}
    assert calls <= sum(model.calls for model in models.values()) - 30 + 2 * 4


def test_rounds_that_are_half_done_refuse_other_problems_and_batches(tokenizer, grader, tmp_path):
    search, _ = in_rounds(tokenizer, grader)
    search.limits = Limits(requests=40)
    with pytest.raises(SearchIncomplete):
        run(search, tmp_path, PROBLEMS[:4])
    search, models = in_rounds(tokenizer, grader)
    with pytest.raises(
        SearchMismatch, match="half done with other problems: 4 problems, --window 128, --concurrency 4"
    ):
        run(search, tmp_path)
    search.chunk = 8
    with pytest.raises(SearchMismatch, match="half done with other --concurrency:"):
        run(search, tmp_path, PROBLEMS[:4])
    assert sum(model.calls for model in models.values()) == 0


def test_half_done_trees_are_told_results_in_the_order_that_they_began_with(tokenizer, grader, tmp_path):
    def ordered():
        return served(tokenizer, grader)

    def free():
        return served(tokenizer, grader, deterministic=False)

    def rounds():
        return in_rounds(tokenizer, grader)[0]

    for name, (begun, others) in {"asked": (ordered, (free, rounds)), "arrived": (free, (ordered, rounds)),
                                  "rounds": (rounds, (ordered, free))}.items():  # fmt: skip
        first = begun()
        first.limits = Limits(requests=30)
        with pytest.raises(SearchIncomplete):
            run(first, tmp_path / name, PROBLEMS[:4])
        for other in (build() for build in others):
            with pytest.raises(SearchMismatch, match="half done with"):
                run(other, tmp_path / name, PROBLEMS[:4])
            assert not sent(other)
        before = run(begun(), tmp_path / name, PROBLEMS[:4])
        for other in (build() for build in others):  # finished, any other may follow, and leaves it alone
            assert run(other, tmp_path / name, PROBLEMS[:4]) == before
            assert not sent(other)
        after = run(others[0](), tmp_path / name)
        assert {problem: after[problem] for problem in before} == before
        assert len(after) == len(PROBLEMS)


@pytest.mark.parametrize("rounds", [True, False])
def test_another_problem_under_the_same_id_is_refused(tokenizer, grader, tmp_path, rounds):
    def search():
        return in_rounds(tokenizer, grader)[0] if rounds else served(tokenizer, grader)

    run(search(), tmp_path, PROBLEMS[:2])
    other = PROBLEMS[0].model_copy(update={"gold": {"answer": "0"}})
    with pytest.raises(SearchMismatch, match=f"problem {other.id} is stored with another text"):
        run(search(), tmp_path, [other, PROBLEMS[1]])


@pytest.mark.parametrize("limits", [Limits(requests=40), Limits(tokens=2000)])
def test_limits_hold_in_rounds(tokenizer, grader, tmp_path, limits):
    whole, _ = in_rounds(tokenizer, grader)
    expected = run(whole, tmp_path / "whole")
    for _ in range(60):
        search, models = in_rounds(tokenizer, grader)
        search.limits = limits
        try:
            after = run(search, tmp_path / "limited")
            break
        except SearchIncomplete:
            assert not limits.requests or sum(model.calls for model in models.values()) <= limits.requests
            assert not limits.tokens or search.tokens <= limits.tokens
    assert after == expected


def test_a_budget_without_room_for_the_first_call_says_how_much_it_needs(tokenizer, grader, tmp_path):
    search = served(tokenizer, grader, limits=Limits(tokens=2))
    with pytest.raises(SearchIncomplete, match="2 tokens, has no room for its first call, which may need 160"):
        run(search, tmp_path / "served")
    search, _ = in_rounds(tokenizer, grader)
    search.limits = Limits(requests=3)
    with pytest.raises(SearchIncomplete, match="3 requests, has no room for its first call, which may need 4"):
        run(search, tmp_path / "rounds")


def test_a_failing_model_in_rounds_is_an_error(tokenizer, grader, tmp_path):
    def fails(prompt):
        raise ModelError("out of memory")

    roles = {role: Role([Lockstep(tokenizer, fails)], tokenizer) for role in ("generator", "critic")}
    with pytest.raises(ModelError, match="out of memory"):
        run(Search(settings=SETTINGS, roles=roles, verifier=GraderVerifier(grader)), tmp_path)
