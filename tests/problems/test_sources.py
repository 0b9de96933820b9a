"""Problems to search: right by our graders, with the evaluation's prompts, whatever their number."""

from __future__ import annotations

import json
from itertools import combinations, islice, pairwise

import pytest

from harness.grading.families import INSTRUCTIONS, gold_defect
from harness.grading.grade import Grader
from harness.problems.benchmarks import planbench
from harness.problems.embedded import mini_blocks
from harness.problems.load import load
from harness.problems.sources import SOURCES, instructions, phrases, planning


def first(source, count, seed=0, data_dir=None):
    return list(islice(SOURCES[source](seed, data_dir), count))


@pytest.fixture(scope="module")
def grader(shared_data):
    with Grader(1, nltk_data=shared_data / "nltk_data") as pool:
        yield pool


@pytest.mark.parametrize(("source", "count"), [("planning", 300), ("instructions", 600), ("gsm8k", 100)])
def test_the_reference_is_graded_right_and_another_problems_is_not(source, count, grader, shared_data):
    found = first(source, count, 1, str(shared_data))
    for problem in found:
        assert not gold_defect(problem.family, problem.gold)
        made = problem.gold["reference"]
        grade = grader.grade(problem.family, problem.gold, made if isinstance(made, str) else "\n".join(made))
        assert grade.correct, (problem.prompt, grade.reason, made)
    others = list(pairwise(found[:60]))
    right = 0
    for problem, other in others:
        made = other.gold["reference"]
        right += grader.grade(problem.family, problem.gold, made if isinstance(made, str) else "\n".join(made)).correct
    assert right < len(others) / 4


@pytest.mark.parametrize("source", ["planning", "instructions"])
def test_a_problem_depends_on_seed_and_number_alone(source):
    assert first(source, 40)[:7] == first(source, 7)
    assert first(source, 5, 1) != first(source, 5)


def test_planning_prompts_are_published_ones_with_other_blocks(shared_data):
    """The published prompts come out of our wording, from the facts of their PDDL files."""
    words = dict(zip("abcdefghijkl", mini_blocks.PALETTE, strict=True))

    def stated(row):
        facts, goals = (
            [[name, *(words[b] for b in blocks)] for name, *blocks in (text.strip("()").split() for text in row[key])]
            for key in ("init", "goal")
        )
        order = ("clear", "handempty", "on", "ontable")
        return planning.Task(sorted(facts, key=lambda fact: (order.index(fact[0]), row_order(fact))), goals, [])

    def row_order(fact):
        return [mini_blocks.PALETTE.index(block) for block in fact[1:]]

    lines = (shared_data / "planbench" / "blocksworld.jsonl").read_text().splitlines()
    rows = {row["id"]: row for row in map(json.loads, lines)}
    for problem in load("blocksworld", data_dir=shared_data):
        number = int(problem.native_id)
        worked = problem.prompt.split("[PLAN]\n")[1].split("\n[PLAN END]")[0].splitlines()
        assert planning.prompt(stated(rows[number - 1]), worked, stated(rows[number])) == problem.prompt


def test_planning_problems_are_new_small_and_shown_a_right_example(grader):
    found = first("planning", 200)
    for problem in found:
        blocks = problem.gold["objects"]
        assert 3 <= len(blocks) <= 5
        assert blocks != list("abcde")[: len(blocks)]
        assert problem.gold["optimal"] == len(problem.gold["reference"]) >= 2
    assert {problem.level for problem in found} == {1, 2, 3}
    for problem in found[:40]:
        shown, plan = problem.prompt.split("[PLAN]\n")[0], problem.prompt.split("[PLAN]\n")[1].split("\n[PLAN END]")[0]
        assert grader.grade("blocksworld", planbench.blocks_gold(shown, "blocksworld"), plan).correct


def test_instructions_are_of_every_kind_and_in_the_shares_of_ifeval():
    found = first("instructions", 1500)
    known = {f"{group}:{kind}" for group, kinds in INSTRUCTIONS.items() if group != "mini_rules" for kind in kinds}
    assert set(instructions.KINDS) == set(phrases.TEXTS) == known
    assert {kind for problem in found for kind in problem.gold["instruction_id_list"]} == known
    for number, share in instructions.NUMBERS.items():
        assert sum(problem.level == number for problem in found) / len(found) == pytest.approx(share, abs=0.05)
    assert len({problem.prompt for problem in found}) > 0.99 * len(found)


def test_what_answers_are_made_of_breaks_no_instruction():
    made = " ".join((*phrases.FILLER, *phrases.ENDINGS)).lower()
    assert not set(",jqxz") & set(made + "".join(phrases.KEYWORDS))
    assert not [word for word in phrases.KEYWORDS if word in made]
    assert not [pair for pair in combinations(phrases.KEYWORDS, 2) if pair[0] in pair[1] or pair[1] in pair[0]]


def test_the_training_split_of_gsm8k_keeps_its_questions_in_a_drawn_order(shared_data):
    found = first("gsm8k", 7473, 0, str(shared_data))
    assert len({problem.id for problem in found}) == 7473
    assert not {problem.id for problem in found} & {problem.id for problem in load("gsm8k", data_dir=shared_data)}
    assert found[:3] != first("gsm8k", 3, 1, str(shared_data))
    suffix = load("gsm8k", data_dir=shared_data, limit=1)[0].prompt.splitlines()[-1]
    assert all(problem.prompt.endswith(suffix) for problem in found)
