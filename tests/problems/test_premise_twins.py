"""Questions without a premise: what is left of them has two answers, and their twins are the families' own problems."""

from __future__ import annotations

import re

from harness.evaluation.preflight import reference
from harness.grading.grade import Grader
from harness.problems.embedded import mini_blocks, mini_math, mini_premise, split_of
from harness.problems.examples import solution
from harness.problems.load import load
from harness.problems.registry import SUITES

PROBLEMS = mini_premise.problems("eval", 200)
MISSING = [p for p in PROBLEMS if p.gold["half"] == "missing"]
COMPLETE = {p.id: p for p in PROBLEMS if p.gold["half"] == "complete"}


def test_twins_stand_side_by_side_and_name_each_other():
    assert len(MISSING) == len(COMPLETE) == 100 == len({p.gold["twin"] for p in MISSING})
    for missing, complete in zip(PROBLEMS[::2], PROBLEMS[1::2], strict=True):
        assert (missing.gold["twin"], complete.gold["twin"]) == (complete.id, missing.id)
        assert missing.prompt != complete.prompt
        assert missing.level == complete.level
    assert {p.gold["family"] for p in MISSING} == {"mini_math", "mini_blocks"}


def test_problems_depend_on_seed_and_split_and_not_on_their_number():
    assert load("mini_premise", count=200) == PROBLEMS
    assert load("mini_premise", count=33) == PROBLEMS[:33]
    assert load("mini_premise", count=200, problem_seed=1) != PROBLEMS
    for split in ("search", "dev", "eval"):
        for p in mini_premise.problems(split, 40):
            family = {"mini_math": mini_math, "mini_blocks": mini_blocks}[p.gold["family"]]
            assert p.split == split == split_of(p.gold["family"], family.content(p.gold["gold"]))


def test_the_embedded_suite_stays_as_it_was():
    assert SUITES["embedded"] == ("mini_math", "mini_blocks", "mini_rules")
    assert SUITES["overthinking"] == ("mini_premise",)


def number_in(prompt):
    return [int(n) for n in re.findall(r"\d+", prompt)]


def test_a_number_is_gone_and_two_completions_give_the_answers_told():
    """The complete prompt with another number in the one place that differs, worked out from the story's own words."""
    verbs = {"Add": 1, "buys": 1, "finds": 1, "Subtract": -1, "gives": -1, "loses": -1}

    def worked(prompt):
        value = None
        for sentence in re.split(r"(?<=[.?]) ", prompt):
            for n in number_in(sentence)[:1]:
                sign = next((s for verb, s in verbs.items() if verb in sentence), None)
                first = sentence.startswith("Start with") or " has " in sentence
                value = n if first else value * n if sign is None else value + sign * n
        return value

    for missing in (p for p in MISSING if p.gold["family"] == "mini_math"):
        whole = COMPLETE[missing.gold["twin"]]
        assert len(number_in(missing.prompt)) == len(number_in(whole.prompt)) - 1
        (told, answer), (other, another) = missing.gold["completions"]
        assert answer != another
        sentences = re.split(r"(?<=[.?]) ", whole.prompt)
        left = re.split(r"(?<=[.?]) ", missing.prompt)
        place = 0 if len(left) < len(sentences) else next(n for n, s in enumerate(sentences) if s != left[n])
        assert number_in(sentences[place]) == [int(told)]
        sentences[place] = re.sub(r"\d+", other, sentences[place])
        assert str(worked(" ".join(sentences))) == another
        assert str(worked(whole.prompt)) == answer


def test_a_fact_is_gone_and_no_plan_told_serves_both_completions():
    with Grader(workers=1) as grader:
        for missing in (p for p in MISSING if p.gold["family"] == "mini_blocks"):
            whole, gold = COMPLETE[missing.gold["twin"]], missing.gold["gold"]
            (_, first), (other, second) = missing.gold["completions"]
            assert grader.grade("mini_blocks", gold, first).correct
            assert not grader.grade("mini_blocks", gold, second).correct or "goal" not in missing.gold["removed"]
            if "goal" in missing.gold["removed"]:
                assert "My goal is to have" not in missing.prompt
                on, _, under = other.partition(" on ")
                assert not grader.grade("mini_blocks", gold | {"goal": [[on, under]]}, first).correct
                continue
            said = re.search(r"that, (.*)\.\n", missing.prompt)[1]
            assert set(re.split(r", | and ", said)) < set(
                re.split(r", | and ", re.search(r"that, (.*)\.\n", whole.prompt)[1])
            )
            block, _, under = other.partition(" on ")
            assert f"the {block} block is on t" not in said


def test_one_plan_for_two_states_is_found_where_there_is_one():
    """Where c stands does not matter for a goal that can be met without it."""
    first, second = (("a",), ("b",), ("d", "c"), ("e",)), (("a",), ("b",), ("d",), ("e", "c"))
    assert mini_premise._one_plan(first, second, [["a", "b"]])
    assert not mini_premise._one_plan(first, second, [["c", "a"]])


def test_references_and_examples_are_right():
    with Grader(workers=1) as grader:
        for problem in PROBLEMS[:60]:
            for text in (reference(problem, "premise"), solution(problem)):
                assert grader.grade("mini_premise", problem.gold, text).correct, (problem.gold, text)
