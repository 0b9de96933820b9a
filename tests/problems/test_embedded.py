"""The embedded families: disjoint splits, exact golds, worked chains that their own graders accept."""

from __future__ import annotations

import random

import pytest

from harness.grading.grade import Grader
from harness.problems.embedded import FAMILIES, LEVELS, draw, mini_blocks, mini_math, problems, split_of
from harness.problems.embedded.worked import CARELESS, CHECKS, Style, chain, padding
from harness.thoughts import render

SPLITS = ("pretrain", "search", "dev", "eval")


@pytest.mark.parametrize("family", FAMILIES)
def test_splits_share_no_content_whatever_the_seed(family):
    module = FAMILIES[family]
    seen = {
        split: {module.content(p.gold) for seed in (0, 1) for p in problems(family, split, 60, seed)}
        for split in SPLITS
    }
    for i, a in enumerate(SPLITS):
        for b in SPLITS[i + 1 :]:
            assert not seen[a] & seen[b]


@pytest.mark.parametrize("family", FAMILIES)
def test_problems_are_a_function_of_the_seed(family):
    assert problems(family, "eval", 30, 7) == problems(family, "eval", 30, 7)
    assert problems(family, "eval", 30, 7) != problems(family, "eval", 30, 8)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_level_is_drawn_and_ids_are_unique(family):
    for level in LEVELS:
        drawn = problems(family, "search", 40, levels={level: 1.0})
        assert {p.level for p in drawn} == {level}
        assert len({p.id for p in drawn}) == 40


def test_asking_for_more_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="fewer than"):
        problems("mini_math", "dev", 100_000, levels={1: 1.0})


def test_split_depends_on_content_alone():
    assert split_of("mini_math", "3 +4") == split_of("mini_math", "3 +4")
    shares = [split_of("mini_math", str(i)) for i in range(20_000)]
    assert abs(shares.count("eval") / 20_000 - 0.12) < 0.01


def test_math_gold_equals_the_story_read_back():
    """An independent reading of the prompt: numbers and verbs, in order."""
    import re

    verbs = {"Add": 1, "buys": 1, "finds": 1, "Subtract": -1, "gives": -1, "loses": -1}
    for problem in problems("mini_math", "eval", 200):
        value = None
        for sentence in re.split(r"(?<=[.?]) ", problem.prompt):
            numbers = [int(n) for n in re.findall(r"\d+", sentence)]
            if not numbers:
                continue
            sign = next((s for verb, s in verbs.items() if verb in sentence), None)
            if sentence.startswith("Start with") or " has " in sentence:
                value = numbers[0]
            elif sign is None:
                value *= numbers[0]
            else:
                value += sign * numbers[0]
        assert value == problem.gold["answer"]


def test_math_values_stay_small():
    rng = random.Random(0)
    for level in LEVELS:
        for _ in range(300):
            assert all(0 <= v <= 99 for v in mini_math.values(draw("mini_math", rng, level, "pretrain").gold))


def test_blocks_optimum_agrees_with_the_published_ones(shared_data):
    """PlanBench's reference plans are shortest; our breadth-first search over moves must find the same length."""
    import json

    names = dict(zip("abcdefgh", mini_blocks.COLORS, strict=True))
    checked = 0
    for line in (shared_data / "planbench" / "blocksworld_3.jsonl").read_text().splitlines():
        row = json.loads(line)
        facts = [f.strip("()").split() for f in row["init"]]
        under = {f[1]: f[2] for f in facts if f[0] == "on"}
        stacks = []
        for base in (f[1] for f in facts if f[0] == "ontable"):
            stack = [base]
            while above := [a for a, b in under.items() if b == stack[-1]]:
                stack.append(above[0])
            stacks.append(tuple(names[b] for b in stack))
        goal = [[names[f.split()[1]], names[f.split()[2].strip("()")]] for f in row["goal"] if f.startswith("(on ")]
        assert 2 * len(mini_blocks.shortest(tuple(stacks), goal)) == row["optimal_length"]
        checked += 1
    assert checked == 101


def test_blocks_prompt_is_planbench_wording(shared_data):
    import json

    line = (shared_data / "planbench" / "prompts_zeroshot" / "blocksworld_3.jsonl").read_text().splitlines()[0]
    published = json.loads(line)["query"]
    assert published.startswith(mini_blocks.INTRO)
    assert published.rstrip().endswith(mini_blocks.QUESTION.strip())


@pytest.mark.parametrize("family", FAMILIES)
def test_faultless_chains_are_graded_correct_and_padding_changes_no_answer(family):
    rng = random.Random(3)
    with Grader() as grader:
        for problem in problems(family, "pretrain", 60):
            spans = chain(problem, rng, Style(fault=0.0))
            assert grader.grade(family, problem.gold, render(spans)).correct
            padded = [*spans[:-1], *padding(problem, rng), spans[-1]]
            assert grader.grade(family, problem.gold, render(padded)).correct


@pytest.mark.parametrize("family", FAMILIES)
def test_careless_chains_are_often_wrong(family):
    rng = random.Random(4)
    with Grader() as grader:
        grades = [
            grader.grade(family, p.gold, render(chain(p, rng, CARELESS))) for p in problems(family, "pretrain", 120)
        ]
    assert 0.2 < sum(g.correct for g in grades) / 120 < 0.9


def test_padding_repeats_about_sixteen_reflection_words():
    from harness.evaluation.response_metrics import reflection_words

    rng = random.Random(0)
    counts = []
    for problem in problems("mini_rules", "search", 100):
        counts.append(sum(reflection_words(span.text) for span in padding(problem, rng)))
    assert 13 <= sum(counts) / 100 <= 20
    assert len(CHECKS) == 8
