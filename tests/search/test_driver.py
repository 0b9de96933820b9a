"""The driver over scripted servers: roles, faults, limits, exact resume."""

from __future__ import annotations

import contextlib
import copy
import json
import random

import pytest

from harness.chains.extract import chains_of
from harness.errors import SearchIncomplete, SearchMismatch
from harness.models.prompts import prompt_ids
from harness.search.grammar import load
from harness.search.launch import run as drive
from harness.search.run.roles import Role
from harness.search.run.work import Budget, Search
from harness.search.spec import Goals, Limits
from harness.search.stats import SearchYield
from harness.search.store import Settings, Store, trees
from tests.search.scripted import PROBLEMS, SETTINGS, run, sent, served, state_of


@pytest.fixture(scope="module")
def whole(tokenizer, grader, tmp_path_factory):
    """The folder and the state of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(served(tokenizer, grader), folder)


def test_each_role_writes_its_kinds(tokenizer, grader, tmp_path):
    search = served(tokenizer, grader)
    run(search, tmp_path)
    for role, others in (("critic", False), ("generator", True)):
        for body in search.roles[role].replicas[0].sent:
            text = tokenizer.decode(json.loads(body)["prompt"])
            assert text.endswith(("<double-check>", "<reflection>")) != others
            assert text.count("<think>") == 1


def test_a_fifth_of_the_calls_fail_and_nothing_changes(tokenizer, grader, tmp_path, whole):
    search = served(tokenizer, grader, faults=0.2)
    assert run(search, tmp_path) == whole[1]
    sent = sum(len(role.replicas[0].sent) for role in search.roles.values())
    assert sent > 1.15 * sum(len(rows) for _, rows in whole[1].values())


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_killed_search_goes_on_and_asks_for_nothing_twice(tokenizer, grader, tmp_path, whole, deterministic):
    """The journal is cut at any line, and in the middle of the next one."""
    folder = tmp_path / "base"
    with Store(folder, SETTINGS) as store:
        store.compact = lambda: None  # leave everything in the journal
        drive(served(tokenizer, grader), PROBLEMS, store)
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    rng = random.Random(0)
    for cut in [2, *rng.sample(range(3, len(lines) - 2), 5), len(lines) - 2]:
        part = tmp_path / f"{deterministic}{cut}"
        part.mkdir()
        (part / "search.json").write_bytes((folder / "search.json").read_bytes())
        (part / "journal.jsonl").write_bytes(b"".join(lines[:cut]) + lines[cut][:9])
        kept = {(r["problem"], r["node"]) for r in map(json.loads, lines[:cut]) if "node" in r}
        search = served(tokenizer, grader, deterministic=deterministic)
        with Store(part, SETTINGS) as store:
            assert store.torn == len(lines[cut][:9])
            drive(search, PROBLEMS, store)
        after = state_of(part)
        new = sum(len(rows) for _, rows in after.values()) - len(kept)
        assert sum(len(role.replicas[0].sent) for role in search.roles.values()) == new
        for problem, node in kept:
            assert any(row["node"] == node for row in after[problem][1])
        assert all(why for why, _ in after.values())
        if deterministic:
            assert after == whole[1]


def test_a_finished_search_asks_nothing(tokenizer, grader, whole):
    search = served(tokenizer, grader)
    assert run(search, whole[0]) == whole[1]
    assert not any(role.replicas[0].sent for role in search.roles.values())


def test_a_folder_keeps_its_settings(tokenizer, grader, whole):
    other = Settings(grammar=SETTINGS.grammar, goals=SETTINGS.goals, seed=2)
    with pytest.raises(SearchMismatch, match="seed: 1, now 2"), Store(whole[0], other):
        pass


@pytest.mark.parametrize("limits", [Limits(requests=60), Limits(tokens=900)])
def test_limits_of_a_run_are_never_exceeded_and_the_next_run_goes_on(tokenizer, grader, tmp_path, whole, limits):
    runs = 0
    while True:
        search = served(tokenizer, grader, limits=limits)
        runs += 1
        try:
            after = run(search, tmp_path)
        except SearchIncomplete as error:
            stopped = str(error)
        else:
            break
        finally:
            sent = sum(len(role.replicas[0].sent) for role in search.roles.values())
            assert not limits.requests or sent <= limits.requests
            assert not limits.tokens or search.tokens <= limits.tokens
        assert runs < 60
    assert runs > 2
    assert "budget" in stopped
    assert after == whole[1]


def test_seconds_end_a_run_and_a_problem(tokenizer, grader, tmp_path):
    with pytest.raises(SearchIncomplete, match="budget"):
        run(served(tokenizer, grader, latency=0.05, limits=Limits(seconds=0.3)), tmp_path / "a")
    run(served(tokenizer, grader, latency=0.05, limits=Limits(problem_seconds=0.2)), tmp_path / "b")
    assert {why for why, _ in state_of(tmp_path / "b").values()} == {"seconds"}


def test_a_dead_server_ends_the_run_soon_and_loses_nothing(tokenizer, grader, tmp_path, whole):
    search = served(tokenizer, grader, retries=0)
    calls = 0

    async def dies(body):
        nonlocal calls
        calls += 1
        if calls > 40:
            raise ConnectionRefusedError("nobody there")
        return await alive(body)

    model = search.roles["generator"].replicas[0]
    alive, model._given_post = model._given_post, dies
    with pytest.raises(SearchIncomplete, match="nobody there"):
        run(search, tmp_path)
    assert calls < 100
    assert run(served(tokenizer, grader), tmp_path) == whole[1]


def test_compaction_keeps_every_tree(tokenizer, grader, tmp_path, whole, monkeypatch):
    monkeypatch.setattr("harness.search.store.COMPACT_BYTES", 4000)
    assert run(served(tokenizer, grader, window=3), tmp_path) == whole[1]
    assert len(list(tmp_path.glob("trees-*.jsonl"))) > 2
    assert (tmp_path / "journal.jsonl").read_text() == ""
    # Killed between the segment and the new journal: a problem stands in both, once in the result.
    segment = next(iter(sorted(tmp_path.glob("trees-*.jsonl"))))
    entry = json.loads(segment.read_text().splitlines()[0])
    name = entry["problem"]["id"]
    rows = [{"problem": name, "record": entry["problem"], "tokens": entry["tokens"]}, {"problem": name, "done": "x"}]
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(served(tokenizer, grader), tmp_path) == whole[1]


def test_original_and_other_policies_run_and_resume(tokenizer, grader, tmp_path):
    for policy in ("original", "rejection", "chain_first"):
        settings = Settings(grammar=load("embedded"), goals=Goals(rollouts=5), policy=policy, seed=3)
        few = PROBLEMS[:3]
        after = run(served(tokenizer, grader, settings), tmp_path / policy, few)
        assert all(why for why, _ in after.values())
        again = served(tokenizer, grader, settings)
        assert run(again, tmp_path / policy, few) == after
        assert not any(role.replicas[0].sent for role in again.roles.values())
        stats = SearchYield()
        for stored in trees(tmp_path / policy):
            stats.add(stored.problem, settings.fold(stored), stored.rows, stored.why)
        assert stats.figures()["problems"] == 3
        assert stats.figures()["correct_chains"] + stats.figures()["wrong_chains"] > 0


def test_models_of_two_vocabularies_read_the_same_text(tokenizer, grader, tmp_path):
    other = copy.deepcopy(tokenizer)
    other.add_tokens(["+ 1"])
    search = served(tokenizer, grader)
    roles = {**search.roles, "critic": Role(search.roles["critic"].replicas, other, slots=8)}
    search = Search(settings=search.settings, roles=roles, verifier=search.verifier)
    search.roles["critic"].replicas[0].tokenizer = other
    run(search, tmp_path)
    texts = {json.dumps(json.loads(body)["prompt"]) for body in search.roles["critic"].replicas[0].sent}
    assert texts
    for stored in trees(tmp_path):
        tree = search.settings.fold(stored)
        for chain in chains_of(tree, stored.problem, prompt_ids(tokenizer, stored.problem.prompt), tokenizer):
            assert tokenizer.decode(chain.token_ids) == chain.text + tokenizer.eos_token


def test_a_budget_of_just_enough_ends_the_search(tokenizer, grader, tmp_path, whole):
    needed = sum(len(rows) for _, rows in whole[1].values())
    assert run(served(tokenizer, grader, limits=Limits(requests=needed)), tmp_path) == whole[1]


def test_searches_of_one_run_share_its_budget(tokenizer, grader, tmp_path):
    spent, calls = Budget(limits=Limits(requests=70)), 0
    for number in range(3):
        search = served(tokenizer, grader)
        search.budget = spent
        with contextlib.suppress(SearchIncomplete):
            run(search, tmp_path / str(number), PROBLEMS[4 * number : 4 * number + 4])
        calls += sent(search)
    assert calls == 70


def test_a_reader_sees_what_a_search_compacts_meanwhile(tokenizer, grader, tmp_path):
    with Store(tmp_path, SETTINGS) as store:
        for half in (PROBLEMS[:6], PROBLEMS[6:]):
            for problem in half:
                store.begin(problem, 3)
                store.finish(problem.id, "goals")
            if half[0] is PROBLEMS[0]:
                store.compact()
        reader = trees(tmp_path)
        seen = [next(reader).problem.id]
        store.compact()
        assert sorted(seen + [stored.problem.id for stored in reader]) == sorted(p.id for p in PROBLEMS)


def test_chains_hold_the_tokens_that_were_sampled(tokenizer, grader, whole):
    total = 0
    for stored in trees(whole[0]):
        tree, problem = SETTINGS.fold(stored), stored.problem
        chains = chains_of(tree, problem, prompt_ids(tokenizer, problem.prompt), tokenizer)
        for chain in chains:
            assert tokenizer.decode(chain.token_ids) == chain.text + tokenizer.eos_token
            assert grader.grade("mini_math", problem.gold, chain.text).correct == chain.correct
            assert len(chain.kinds) == len(chain.writers) > 0
        for correct in (True, False):
            ranked = [c for c in chains if c.correct == correct]
            assert [c.rank for c in ranked] == list(range(len(ranked)))
            assert [c.length for c in ranked] == sorted(c.length for c in ranked)
        total += len(chains)
    assert total > 10
