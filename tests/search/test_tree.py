"""The pure core, without any model."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.search.grammar import load, shipped
from harness.search.spec import Goals
from harness.search.tree.nodes import Result, alike, normal, order_of
from harness.search.tree.policies import POLICIES
from tests.search.world import result_for, search, state, tree_of

GRAMMAR = load("embedded")
GRAMMARS = {name: load(name) for name in shipped()}
SEEDS = st.integers(0, 10**6)
CHANCES = st.sampled_from([0.0, 0.1, 0.5, 1.0])
POLICY = st.sampled_from(sorted(POLICIES))
NAMES = st.sampled_from(sorted(GRAMMARS))


@settings(max_examples=150)
@given(SEEDS, CHANCES, st.integers(1, 5), POLICY, NAMES, st.randoms(use_true_random=False))
def test_a_journal_in_any_order_and_repetition_folds_to_the_tree_that_wrote_it(seed, p, flying, policy, name, rng):
    tree = tree_of(GRAMMARS[name], Goals(), seed, policy)
    log = search(tree, seed, p, flying, shuffle=rng)
    shuffled = log + rng.sample(log, len(log) // 2)
    rng.shuffle(shuffled)
    again = tree_of(GRAMMARS[name], Goals(), seed, policy)
    for row in shuffled:
        again.tell(*row)
    assert state(again) == state(tree)
    assert again.ask() is None


@settings(max_examples=150)
@given(SEEDS, CHANCES, st.integers(2, 6), st.integers(0, 40), POLICY, st.randoms(use_true_random=False))
def test_the_order_of_tells_does_not_change_what_is_asked_next(seed, p, flying, steps, policy, rng):
    trees = [tree_of(GRAMMAR, Goals(), seed, policy) for _ in range(2)]
    asked: list[list] = [[], []]
    for i, tree in enumerate(trees):
        for _ in range(steps):
            while len(asked[i]) < flying and (expansion := tree.ask()) is not None:
                asked[i].append(expansion)
            if asked[i]:
                tree.tell(asked[i][0].node, result_for(tree, asked[i].pop(0), seed, p))
    assert asked[0] == asked[1]
    rng.shuffle(asked[1])
    for tree, expansions in zip(trees, asked, strict=True):
        for expansion in expansions:
            tree.tell(expansion.node, result_for(tree, expansion, seed, p))
            tree.tell(expansion.node, Result("another text", (), "stop", "correct"))  # the first result stays
    assert state(trees[0]) == state(trees[1])
    assert [trees[0].ask() for _ in range(5)] == [trees[1].ask() for _ in range(5)]


@settings(max_examples=150)
@given(SEEDS, CHANCES, st.integers(1, 5), POLICY, NAMES)
def test_visits_and_values_conserve_and_budgets_hold(seed, p, flying, policy, name):
    goals = Goals(correct=5, wrong=2, rollouts=12, reflections=4, requests=60, tokens=9000)
    tree = tree_of(GRAMMARS[name], goals, seed, policy, prompt_tokens=30)
    grammar = tree.grammar
    outstanding, names = [], set()
    while True:
        while len(outstanding) < flying and (expansion := tree.ask()) is not None:
            parent = tree.nodes[expansion.node].parent
            assert expansion.node not in names
            assert parent.kind != "answer"
            assert not parent.discarded
            assert parent.result is not None or not parent.kind
            names.add(expansion.node)
            outstanding.append(expansion)
            assert tree.generated + sum(e.budget for e in outstanding) <= goals.tokens
        if not outstanding:
            break
        expansion = outstanding.pop(0)
        tree.tell(expansion.node, result_for(tree, expansion, seed, p))
    assert tree.requests == len(names) <= goals.requests
    assert tree.rollouts <= goals.rollouts
    assert tree.reflected <= goals.reflections
    assert tree.root.pending == sum(n.share[2] for n in tree.nodes.values())
    for node in tree.nodes.values():
        visits, value, _, _ = node.share
        assert node.visits == visits + sum(child.visits for child in node.children)
        assert node.value == value + sum(child.value for child in node.children)
        assert 0 <= node.value <= node.visits <= node.started
        assert len(node.path) <= grammar.depth or node.spoilt == "left the grammar"
        if grammar.max_context and node.result and not node.spoilt:
            assert node.context <= grammar.max_context
        if node.kind == "answer" and node.result:
            assert node.closed
            assert not node.children
        for kind, rule in grammar.kinds.items():
            assert not rule.per_chain or node.spoilt or sum(n.kind == kind for n in node.path) <= rule.per_chain


@settings(max_examples=300)
@given(SEEDS)
def test_every_wrong_answer_gets_at_most_one_reflection_and_it_is_followed(seed):
    tree = tree_of(GRAMMAR, Goals(wrong=99, rollouts=10, reflections=10), seed)
    search(tree, seed, 0.0)
    answered = [node.on for node in tree.nodes.values() if node.on]
    for leaf in tree.wrong:
        before = leaf.parent.path
        room = len(before) + 1 + GRAMMAR.steps["reflection"] <= GRAMMAR.depth
        may = sum(step.kind == "reflection" for step in before) < GRAMMAR.backtrack.per_chain
        if room and may and before and not any(step.discarded for step in before) and tree.reflected < 10:
            assert leaf.id in answered
    assert len(answered) == len(set(answered))
    for node in tree.nodes.values():
        if node.on:
            assert node.kind == "reflection"
            assert tree.nodes[node.on].result.verdict == "wrong"
            assert sum(step.kind == "reflection" for step in node.path) <= GRAMMAR.backtrack.per_chain
            assert node.children or node.discarded or node.result is None


def test_a_reflection_comes_before_everything_else():
    tree = tree_of(GRAMMAR, Goals(), 5)
    while (asked := tree.ask()) and asked.kind != "answer":
        tree.tell(asked.node, Result(f"step {asked.node}", (1,), "stop"))
    tree.tell(asked.node, Result("no", (1,), "stop", "wrong"))
    following = tree.ask()
    assert following.kind == "reflection"
    assert following.ancestors == asked.ancestors
    assert following.node == f"{asked.ancestors[-1]}/reflection(answer.0)"


def test_backtracking_goes_to_the_named_ancestor_with_the_wrong_answer_in_its_text():
    grammar = load("paper")
    seed = next(s for s in range(99) if grammar.draw(s).name == "paper/a")
    data = grammar.resolved["a"].model_copy(
        update={"backtrack": grammar.patterns["a"].backtrack.model_copy(update={"to": "sub-task"})}
    )
    tree = tree_of(data, Goals(), seed)
    while (asked := tree.ask()) and asked.kind != "answer":
        tree.tell(asked.node, Result(f"step {asked.node}", (1,), "stop"))
    tree.tell(asked.node, Result("It is 12.", (1,), "stop", "wrong", answer="12 </think>"))
    back = tree.ask()
    assert tree.nodes[back.node].parent.kind == "sub-task"
    assert "12" in back.prefill
    assert "</think>" not in back.prefill
    inside = "+".join(asked.node.split("/")[1:])
    assert back.node == f"{back.ancestors[-1]}/reflection({inside})"


def test_enough_distinct_chains_stop_the_search_and_repeats_do_not_count():
    tree = tree_of(GRAMMAR, Goals(correct=3, wrong=0), 1)
    search(tree, 1, 1.0)
    assert len(tree.correct) >= 3
    assert tree.rollouts < 16
    same = tree_of(GRAMMAR, Goals(), 0)
    while asked := same.ask():
        same.tell(asked.node, Result("same", (1,), "stop", "correct" if asked.kind == "answer" else ""))
    assert {n.discarded for n in same.nodes.values() if n.discarded} == {"duplicate"}
    assert len(same.correct) == len({tuple(n.kind for n in leaf.path) for leaf in same.correct})


@settings(max_examples=150)
@given(SEEDS, CHANCES, st.integers(1, 6), POLICY, NAMES, st.randoms(use_true_random=False))
def test_a_repeat_is_what_says_the_same_as_a_sibling_of_a_lower_number(seed, p, flying, policy, name, rng):
    tree = tree_of(GRAMMARS[name], Goals(), seed, policy)
    search(tree, seed, p, flying, shuffle=rng)
    for node in tree.written():
        text, before = normal(node.result.text), []
        for other in tree.written():
            if other.parent is node.parent and other.kind == node.kind and order_of(other) < order_of(node):
                before += [] if other.spoilt else [normal(other.result.text)]
        ratio = 1 if node.kind == "answer" else tree.grammar.same
        assert node.duplicate == any(alike(said, text, ratio) for said in before)


def test_a_lower_sibling_told_later_makes_the_higher_one_the_repeat():
    tree = tree_of(load("embedded"), Goals(), 3)
    first, second = tree.ask(), tree.ask()
    while second.kind != first.kind:
        second = tree.ask()
    tree.tell(second.node, Result("said twice", (1,), "stop"))
    tree.tell(first.node, Result("Said  twice", (1,), "stop"))
    assert tree.nodes[second.node].discarded == "duplicate"
    assert not tree.nodes[first.node].discarded
    assert tree.nodes[second.node].closed


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (Result("a <reflection> inside", (1,), "stop"), "foreign tag"),
        (Result("a </think> inside", (1,), "stop"), "foreign tag"),
        (Result("cut", (1,), "length"), "ended by length"),
        (Result("  \n", (1,), "stop"), "empty"),
    ],
)
def test_spoilt_nodes_are_no_part_of_a_chain(result, why):
    tree = tree_of(GRAMMAR, Goals(), 0)
    first = tree.ask()
    tree.tell(first.node, result)
    assert tree.nodes[first.node].discarded == why
    assert tree.nodes[first.node].closed


@pytest.mark.parametrize("name", ["embedded", "marco_o1_demo", "instructions"])
@pytest.mark.parametrize("reflections", [0, 4])
def test_a_spent_reflection_budget_does_not_end_the_search(name, reflections):
    """A grammar with room for forty rollouts uses them, although wrong answers go on asking for reflections."""
    for seed in range(8):
        tree = tree_of(GRAMMARS[name], Goals(rollouts=40, reflections=reflections), seed)
        count = 0
        while asked := tree.ask():
            count += 1
            tree.tell(asked.node, Result(f"text {count}", (1,), "stop", "wrong" if asked.kind == "answer" else ""))
        assert tree.rollouts == 40 or tree.root.closed


def test_fresh_chains_and_reflections_keep_to_the_context():
    grammar = GRAMMARS["embedded"].model_copy(update={"max_context": 200})
    for policy in ("rejection", "chain_first"):
        assert tree_of(grammar, Goals(), 1, policy, prompt_tokens=300).ask() is None
    for policy in sorted(POLICIES):
        tree = tree_of(grammar, Goals(), 1, policy, prompt_tokens=20)
        while asked := tree.ask():
            assert asked.budget > 0
            assert tree.nodes[asked.node].parent.context + asked.budget <= 200
            verdict = "wrong" if asked.kind == "answer" else ""
            tree.tell(asked.node, Result(f"text {asked.node}", tuple(range(25)), "stop", verdict))


def test_hopeless_problems_are_given_up():
    tree = tree_of(GRAMMAR, Goals(give_up=4, rollouts=40), 0)
    search(tree, 0, 0.0, in_flight=1)
    assert tree.hopeless
    assert tree.ended == 4


def test_votes_reward_agreement_and_look_at_no_verdict():
    tree = tree_of(GRAMMAR, Goals(rollouts=12), 7, reward="votes")
    search(tree, 7, 0.5)
    answers = [n.result.answer for n in tree.written() if n.kind == "answer" and not n.spoilt]
    assert len(answers) > 3
    for node in tree.written():
        if node.kind == "answer" and not node.spoilt:
            assert node.value == answers.count(node.result.answer)
            assert 0 < tree.mean(node) <= 1
    assert not tree.correct
    assert not tree.waiting


@pytest.mark.parametrize("name", ["nowhere.0", "thinking", "thinking.x", "thinking.0/nowhere.1", "reflection()"])
def test_telling_an_impossible_node_is_an_error(name):
    with pytest.raises(KeyError):
        tree_of(GRAMMAR, Goals(), 0).tell(name, Result("", (), "stop"))


def test_texts_that_differ_in_a_number_are_not_alike():
    long = "First we add the numbers of all apples in the baskets and find that there are"
    assert alike(f"{long} 12 of them", f"{long} 12 of them.", 0.95)
    assert not alike(f"{long} 12 of them", f"{long} 13 of them", 0.95)
    assert not alike("short", "other", 0.95)


def test_chain_first_asks_for_whole_chains_and_then_forks_them():
    tree = tree_of(GRAMMAR, Goals(correct=9, wrong=9, rollouts=8), 2, "chain_first")
    expansions = []
    while asked := tree.ask():
        expansions.append(asked)
        tree.tell(asked.node, result_for(tree, asked, 2, 0.5))
    assert all(e.whole for e in expansions if "(" not in e.node.rpartition("/")[2])
    assert any(e.ancestors for e in expansions if e.whole)
    assert max(len(n.path) for n in tree.nodes.values()) > 2


def test_rejection_shares_nothing():
    tree = tree_of(GRAMMAR, Goals(correct=99, rollouts=10), 2, "rejection")
    search(tree, 2, 0.5)
    assert len(tree.root.children) == 10
    assert all(len(n.children) <= 1 for n in tree.nodes.values() if n is not tree.root)
    assert not any(n.on for n in tree.nodes.values())


def test_a_tree_draws_its_pattern_by_weight():
    drawn = [load("paper").draw(random.Random(i).randrange(10**9)).name for i in range(400)]
    assert {name: 60 < drawn.count(name) < 140 for name in set(drawn)} == dict.fromkeys(
        ["paper/a", "paper/b", "paper/c", "paper/d"], True
    )
