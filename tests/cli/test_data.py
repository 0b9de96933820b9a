"""``harness data`` as users run it."""

from __future__ import annotations

import json

import pytest

from harness.problems.file import read_problems
from harness.problems.load import load
from tests.commands import here

CARD = "# Problems: "


def made(out):
    return [json.loads(line) for line in (out / "problems.jsonl").read_text(encoding="utf-8").splitlines()]


def rows(path, *questions):
    path.write_text("".join(json.dumps({"prompt": text, "gold": 1, "family": "number"}) + "\n" for text in questions))
    return path


@pytest.mark.parametrize("source", ["planning", "instructions"])
def test_a_generated_source_and_its_card(source, tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    said = here("data", source, few, "--count", 8, "--against", "embedded", code=0).stdout
    here("data", source, many, "--count", 40, "--against", "embedded", "--json", code=0)
    assert "no overlap with these tasks" in said
    assert made(few) == made(many)[:8]
    assert len({row["id"] for row in made(many)}) == 40
    assert [problem.id for problem in read_problems(many / "problems.jsonl")] == [row["id"] for row in made(many)]
    card = (few / "README.md").read_text()
    assert f"{CARD}{source}" in card
    assert "| mini_blocks | 300 | 0 |" in card


def test_problems_of_a_source_can_be_searched(tmp_path):
    here("data", "instructions", tmp_path / "data", "--count", 3, "--against", "embedded", code=0)
    done = here(
        "search", "run", "--model", "mock", "--backend", "mock", "--rollouts", 4, "--correct", 0,
        "--problems", tmp_path / "data" / "problems.jsonl", "--out", tmp_path / "trees", "--json",
    )  # fmt: skip
    assert json.loads(done.stdout)["problems"] == 3


def test_overlap_fails_is_allowed_or_left_out(tmp_path):
    suite = load("letter_count", count=200)
    fresh = [f"How many letters has the name of city number {n} on my list of many cities?" for n in range(12)]
    file = rows(tmp_path / "own.jsonl", suite[3].prompt.upper(), *fresh[:6], f"  {suite[7].source} ", *fresh[6:])
    command = ["data", file, tmp_path / "out", "--against", "letter_count"]
    done = here(*command, "--count", 14, code=1)
    assert "OVERLAP: 2 with letter_count" in done.stdout
    assert len(made(tmp_path / "out")) == 14
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| letter&#95;count | 200 | 2 |" in card or "| letter_count | 200 | 2 |" in card
    figures = json.loads(here(*command, "--count", 14, "--json", code=1).stdout)
    assert {each["problem"] for each in figures["overlaps"]} == {suite[3].id, suite[7].id}
    assert "letter_count" in here(*command, "--count", 14, "--allow", "letter_count", code=0).stdout
    left = json.loads(here(*command, "--count", 12, "--drop", "--json", code=0).stdout)
    assert left["left_out"] == {"overlapping with a suite": 2}
    assert [row["prompt"] for row in made(tmp_path / "out")] == fresh


def test_a_suite_that_could_not_be_compared_with_is_no_pass(tmp_path):
    command = [
        "data",
        "planning",
        tmp_path / "out",
        "--count",
        2,
        "--against",
        "gsm8k,mini_math",
        "--data-dir",
        tmp_path,
    ]
    done = here(*command, code=3)
    assert "NOT COMPARED with gsm8k" in done.stdout
    assert "not compared with gsm8k" in (tmp_path / "out" / "README.md").read_text()
    here(*command, "--allow", "gsm8k", code=0)


def test_without_names_all_suites_are_needed_and_other_tasks_are_told(tmp_path, shared_data):
    command = ["data", "planning", tmp_path / "out", "--count", 2, "--data-dir", shared_data]
    figures = json.loads(here(*command, "--json", code=3).stdout)
    assert set(figures["unseen"]) == {"multi_if_zh", "multi_if_other"}
    assert {"logistics"} <= set(figures["missing"])
    assert {"aime", "blocksworld_hard", "ifeval", "mini_rules"} <= set(figures["compared"])
    here(*command, "--allow", "paper", code=0)


def test_repeated_questions_count_once(tmp_path):
    file = rows(tmp_path / "own.jsonl", "What is 1+1?", "what is 1 + 1", "What is 1 - 1?")
    said = here("data", file, tmp_path / "out", "--count", 2, "--against", "letter_count", code=0).stdout
    assert "left out: 1 asked before" in said
    done = here("data", file, tmp_path / "out", "--count", 3, "--against", "letter_count", code=2)
    assert "holds 2 problems of use (1 asked before); lower --count" in done.stderr


def test_what_fails_leaves_what_was_there(tmp_path):
    file = rows(tmp_path / "own.jsonl", "What is 1+1?", "What is 2+2?")
    here("data", file, tmp_path / "out", "--count", 2, "--against", "letter_count", code=0)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with file.open("a") as more:
        more.write("{broken\n")
    assert (
        "own.jsonl:3" in here("data", file, tmp_path / "out", "--count", 3, "--against", "letter_count", code=2).stderr
    )
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["plannin"], "did you mean 'planning'"),
        (["planning", "--against", "quik"], "no task 'quik'"),
        (["planning", "--against", "mini_math", "--allow", "gsm8"], "did you mean 'gsm8k'"),
        (["gsm8k", "--against", "mini_math", "--data-dir", "nowhere"], "gsm8k/train.jsonl: no such file"),
        (["planning", "--share", "2"], "--share"),
    ],
)
def test_bad_input_is_one_line(args, why, tmp_path):
    done = here("data", args[0], "out", *args[1:], code=2, cwd=tmp_path)
    assert why in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_with_another_readme_is_left_alone(tmp_path):
    (tmp_path / "README.md").write_text("# Mine\n")
    assert "is no card of problems" in here("data", "planning", tmp_path, code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_the_training_split_of_math(tmp_path):
    """Its file is in no repository here: one of its form, with solutions that have no answer."""
    (tmp_path / "math").mkdir()
    with (tmp_path / "math" / "train.jsonl").open("w") as file:
        for n in range(7500):
            end = f"$\\boxed{{\\frac{{{n}}}{{7}}}}$" if n % 3 else "left to the reader"
            row = {"problem": f"What is ${n}$ divided by seven?", "solution": f"It is {end}.", "level": "Level 1"}
            file.write(json.dumps(row) + "\n")
    said = here(
        "data", "math", tmp_path / "out", "--count", 30, "--against", "mini_math", "--data-dir", tmp_path, code=0
    ).stdout
    assert "30 problems by grader: 30 math500" in said
    assert "without a gold answer" in said
    for problem in read_problems(tmp_path / "out" / "problems.jsonl"):
        number = problem.id.removeprefix("math-train-")
        assert problem.gold["answer"] == f"\\frac{{{number}}}{{7}}"
        assert problem.prompt.endswith("put the final answer in \\boxed{}.")


def test_a_thousand_of_gsm8k(tmp_path, shared_data):
    command = ["data", "gsm8k", tmp_path / "out", "--against", "paper", "--data-dir", shared_data, "--json"]
    figures = json.loads(here(*command, "--allow", "multi_if_zh,multi_if_other", "--drop", code=0).stdout)
    assert figures["problems"] == len(made(tmp_path / "out")) == 1000
    assert figures["compared"]["gsm8k"] == 1319
    assert set(figures["missing"]) == {"multi_if_zh", "multi_if_other"}
