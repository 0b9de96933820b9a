"""The pool: verdicts with reasons, a hard deadline, use from threads."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.errors import NoGrader
from harness.grading.grade import Grader
from harness.problems.embedded import mini_rules, problems


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=2, limit=3.0) as pool:
        yield pool


def test_unfinished_thoughts_are_never_graded(grader):
    grade = grader.grade("mini_math", {"answer": 4}, "<think>so \\boxed{4}", "length")
    assert (grade.verdict, grade.think_state) == ("unfinished", "unclosed")


def test_causes_of_no_answer(grader):
    gold = {"answer": 4}
    assert grader.grade("mini_math", gold, "<think>x</think>").verdict == "no_answer"
    assert grader.grade("mini_math", gold, "<think>x</think>", "length").verdict == "unfinished"
    assert grader.grade("mini_math", gold, "<think>x</think>hm", "length").verdict == "unfinished"
    assert grader.grade("mini_math", gold, "", "error").verdict == "infra_error"


def test_a_grader_that_hangs_is_killed_and_the_pool_goes_on(grader):
    """Exponential backtracking in a checker's pattern: a real hang in C code, which no exception can end."""
    gold = {"instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": ["(a+)+$"]}]}
    assert grader.grade("mini_rules", gold, "a" * 40 + "b").verdict == "grader_timeout"
    assert grader.grade("mini_math", {"answer": 4}, "\\boxed{4}").verdict == "correct"


def test_threads_get_their_own_verdicts(grader):
    with ThreadPoolExecutor(8) as threads:
        grades = list(
            threads.map(lambda n: grader.grade("mini_math", {"answer": n}, f"\\boxed{{{n % 7}}}"), range(100))
        )
    assert [g.correct for g in grades] == [n == n % 7 for n in range(100)]


def test_unknown_family_is_an_error(grader):
    with pytest.raises(NoGrader, match="no grader"):
        grader.grade("poetry", {}, "x")


def test_every_rule_is_checked(grader):
    """Breaking one rule at a time of a right answer turns the verdict."""
    rng = random.Random(0)
    broken = 0
    for problem in problems("mini_rules", "eval", 40):
        spec = problem.gold["spec"]
        words = (
            [spec["word"]] * spec["times"]
            if spec["form"] == "repeat"
            else [w for w in spec["words"] if w not in spec["forbidden"]][: spec["number"]]
        )
        assert grader.grade("mini_rules", problem.gold, mini_rules.write(spec, words)).correct
        assert not grader.grade("mini_rules", problem.gold, mini_rules.write(spec, words[1:])).correct
        for rule in ("case", "start", "end", "quotes"):
            if rule in spec and spec.get(rule) != "lower":
                without = {k: v for k, v in spec.items() if k != rule}
                assert not grader.grade("mini_rules", problem.gold, mini_rules.write(without, words)).correct
                broken += 1
        extra = mini_rules.write(spec, [*words, rng.choice(("zebra", "quartz"))])
        assert not grader.grade("mini_rules", problem.gold, extra).correct
    assert broken > 20
