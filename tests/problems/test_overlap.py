"""Questions of a suite are found in other texts: against a plain computation, planted ones, and no others."""

from __future__ import annotations

import random
import time
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import Usage
from harness.problems import overlap
from harness.problems.benchmarks import math
from harness.problems.embedded import problems
from harness.problems.load import load
from harness.problems.overlap import RUN, SHORTEST, WORDING, Index
from harness.problems.sources import SOURCES
from harness.records import Problem


def asked(*questions: str) -> list[Problem]:
    return [Problem(id=str(n), family="number", prompt=text, gold={"answer": 1}) for n, text in enumerate(questions)]


def runs(text: str, length: int) -> set[tuple[str, ...]]:
    said = text.split()
    return {tuple(said[i : i + length]) for i in range(len(said) - length + 1)}


def plainly(questions: list[str], texts: list[str], share: float) -> dict[tuple[int, str], float]:
    """By comparing every text with every question."""
    lengths = [min(RUN, len(question.split())) for question in questions]
    mine = [
        runs(question, length) if length >= SHORTEST else set()
        for question, length in zip(questions, lengths, strict=True)
    ]
    common = {run for each in mine for run in each if sum(run in other for other in mine) > WORDING}
    found = {}
    for number, text in enumerate(texts):
        for name, question in enumerate(questions):
            own = mine[name] - common
            part = len(own & runs(text, lengths[name])) / len(own) if own else 0.0
            part = 1.0 if text.split() == question.split() else part
            if part >= share and part > 0:
                found[number, str(name)] = part
    return found


said = st.lists(st.sampled_from("abc"), min_size=1, max_size=40).map(" ".join)


@given(st.lists(said, min_size=1, max_size=25), st.lists(said, max_size=8), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_as_a_plain_comparison_of_all_with_all_finds(questions, texts, share):
    found = {(m.text, m.problem): m.share for m in Index({"gsm8k": asked(*questions)}).matches(texts, share)}
    assert found == pytest.approx(plainly(questions, texts, share))


def respaced(text: str, rng: random.Random) -> str:
    """The same words with other spaces, cases, punctuation and line breaks."""
    gaps = (" ", "  ", "\n", "\t", " \u00a0", "\n\n")
    made = "".join(rng.choice(gaps) if c.isspace() else c for c in text)
    made = made.replace(",", rng.choice([",", " ,", ""])).replace(".", rng.choice([".", " ."]))
    return rng.choice(
        [made, made.upper(), made.lower(), f"Question: {made}\n\nAnswer step by step.", "\u200b".join(made)]
    )


def test_fifty_planted_problems_are_found_each_with_its_own(shared_data):
    rng = random.Random(0)
    suites = {task: load(task, data_dir=shared_data) for task in ("gsm8k", "math500", "aime", "ifeval", "blocksworld")}
    index = Index(suites)
    planted = [(task, problem) for task, each in suites.items() for problem in rng.sample(each, 10)]
    texts = [
        rng.choice([each.prompt, respaced(each.prompt if task == "blocksworld" else each.source or each.prompt, rng)])
        for task, each in planted
    ]
    clean = [problem.prompt for problem in islice(SOURCES["gsm8k"](0, str(shared_data)), 200)]
    found = {(m.text, m.task, m.problem) for m in index.matches([*clean, *texts])}
    assert {(200 + n, task, problem.id) for n, (task, problem) in enumerate(planted)} <= found
    assert not [match for match in found if match[0] < 200]


def test_the_training_split_of_gsm8k_shares_one_question_with_its_test_split(shared_data):
    """Two training problems are one test problem with other numbers; any common run finds two pairs more."""
    index = Index({"gsm8k": load("gsm8k", data_dir=shared_data)})
    texts = [problem.prompt for problem in math.EXAMPLES["gsm8k"](str(shared_data))]
    assert {(m.text, m.problem) for m in index.matches(texts)} == {(1314, "gsm8k-0602"), (5162, "gsm8k-0602")}


def test_a_statement_of_planbench_is_found_in_any_order_and_as_an_example(shared_data):
    first, second = load("blocksworld", data_dir=shared_data, limit=2)
    index = Index({"blocksworld": [second]})
    head, _, statement = second.prompt.rpartition("[STATEMENT]")
    given, _, rest = statement.partition("My goal")
    facts = given.removeprefix("\nAs initial conditions I have that, ").rstrip(".\n").replace(" and ", ", ").split(", ")
    turned = f"{head}[STATEMENT]\nAs initial conditions I have that, {', '.join(facts[::-1])}.\nMy goal{rest}"
    other = second.prompt.replace(
        "My goal is to have that the ", "My goal is to have that the cyan block is on top of the "
    )
    found = [match.text for match in index.matches([first.prompt, turned, other, second.prompt + " A plan."])]
    assert found == [1, 3]
    # The example of each published prompt is the problem before it.
    assert [m.text for m in Index({"blocksworld": [first]}).matches([second.prompt])] == [0]


@pytest.mark.parametrize("family", ["mini_math", "mini_blocks", "mini_rules"])
def test_problems_made_by_rule_are_compared_whole(family):
    index = Index({family: load(family)})
    assert not list(index.matches(problem.prompt for problem in problems(family, "search", 300)))
    assert len({m.problem for m in index.matches(problem.prompt for problem in load(family, count=20))}) == 20


def test_wording_that_a_task_repeats_says_nothing():
    frame = "Answer the question below in one word and give no reason at all for what you say there:"
    questions = [f"{frame} what is the capital of country number {n}?" for n in range(20)]
    index = Index({"ifeval": asked(*questions)})
    assert not list(index.matches([f"{frame} who wrote the book that I lent to you last year?"], 0.0))
    assert [m.problem for m in index.matches([questions[7]])] == ["7"]


def test_short_questions_and_other_scripts():
    index = Index({"aime": asked("Find 2x + 1.", "小明有三个苹果，又买了两个。他现在一共有几个苹果？")})
    texts = ["FIND 2x+1", "Find 2x - 1.", "问题：小明有三个苹果,又买了两个.他现在一共有几个苹果?请回答。", ""]
    assert [(m.text, m.problem) for m in index.matches(texts)] == [(0, "0"), (2, "1")]


def test_many_texts_take_seconds(shared_data):
    index = overlap.index_of("paper,embedded", shared_data)
    assert set(index.missing) == {"multi_if_zh", "multi_if_other"}
    texts = [problem.prompt for problem in math.EXAMPLES["gsm8k"](str(shared_data))] * 3
    started = time.process_time()
    sum(1 for _ in index.matches(texts))
    assert time.process_time() - started < 20


def test_names():
    assert overlap.named("quick, aime") == ["gsm8k", "blocksworld", "ifeval", "aime"]
    with pytest.raises(Usage, match="did you mean 'gsm8k'"):
        overlap.named("gsm8")
