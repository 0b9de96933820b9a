"""Symbolic answers: what is equivalent, what is not, and the traps of Math-Verify that we close."""

from __future__ import annotations

import json
import random

import pytest

from harness.grading import expressions
from harness.grading.boxes import last_box
from harness.grading.shapes import words


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("\\frac{1}{2}", "0.5"), ("\\frac12", "\\dfrac{1}{2}"), ("50\\%", "50"), ("x=3", "3"), ("3", "x=3"),
        ("\\text{Evelyn}", "Evelyn"), ("\\text{(A)}", "A"), ("70", "70."), ("74", "74^\\circ"), ("5", "５"),
        ("12345678", "12\\,345\\,678"), ("1,-2", "-2, 1"), ("3\\sqrt{13}", "\\sqrt{117}"), ("x^2+2x+1", "(x+1)^2"),
        ("x^2+y^2", "y^2 + x^2"), ("36", "\\$36"), ("137 \\frac{1}{2}", "137.5"), ("\\text{June 20}", "June 20"),
        ("p - q", "-q+p"), ("1 \\pm \\sqrt{19}", "1+\\sqrt{19}, 1-\\sqrt{19}"), ("11,\\! 111,\\! 100", "11,111,100"),
        ("\\begin{pmatrix} 1/3 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix}\\frac13\\\\2\\end{pmatrix}"),
        ("\\frac{\\pi}{2}", "\\pi/2"), ("[0,1)", "[0, 1)"), ("9^{9^{9}}", "9^{9^{9}}"), ("10", "10\\text{ apples}"),
        ("1,2", "2,1"), ("\\frac{14}{3}", "4\\frac23"), ("-5", "-\\,5"), ("-5", "–5"),
    ],
)  # fmt: skip
def test_equivalent(gold, answer):
    verdict, reason, *_ = expressions.compare(gold, answer)
    assert verdict == "correct", reason


@pytest.mark.parametrize(
    ("gold", "answer", "reason"),
    [
        ("7", "3 4", "without a separator"), ("(1,2)", "\\{1,2\\}", "brackets"), ("(3,4]", "(3,4)", "brackets"),
        ("2", "2,2", "several answers"), ("(2,1)", "21", "not equivalent"), ("12", "(1,2)", "several answers"),
        ("2,3,5", "235", "not equivalent"), ("5", "- 5", "is not"), ("14", "4\\frac{2}{3}", "is not"), ("5", "\\text{not } 5", "not"),
        ("(1,200)", "1200", "not equivalent"), ("x", "x,y", "several answers"), ("E", "e", "is not"), ("5", "3^5 \\bmod 7", "remainder"),
        ("40_9", "40_8", "base"),
        ("\\begin{pmatrix} -2 \\\\ -14 \\end{pmatrix}", "\\begin{pmatrix} -14 \\\\ -2 \\end{pmatrix}", "not equivalent"),
        ("2", "9^{9^{9}}", "not compared"), ("2", "99999!", "not compared"), ("2", "(" * 40 + "x" + ")" * 40, "not compared"),
        ("\\text{Evelyn}", "Evelin", "other words"), ("x^2", "x^3", "not equivalent"), ("2", "x" * 2000, "longer than"),
    ],
)  # fmt: skip
def test_not_equivalent_with_the_reason(gold, answer, reason):
    verdict, why, *_ = expressions.compare(gold, answer)
    assert verdict == "wrong"
    assert reason in why


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("first \\boxed{1}, then \\boxed{\\frac{\\pi}{2}}", "correct"),
        ("The final answer is $\\frac{\\pi}{2}$.", "correct"),
        ("#### \\frac{\\pi}{2}", "correct"),
        ("Hence the angle is $\\frac{\\pi}{2}$.", "correct"),
        ("I do not know", "no_answer"),
        ("\\boxed{\\frac{\\pi}{2}} no, \\boxed{3}", "wrong"),
    ],
)
def test_extraction(text, verdict):
    assert expressions.check("\\frac{\\pi}{2}", text, cut=False)[0] == verdict


def test_a_cut_answer_counts_only_what_it_marked():
    assert expressions.check("\\pi", "so $\\pi$", cut=True)[0] == "no_answer"
    assert expressions.check("\\pi", "\\boxed{\\pi} and", cut=True)[0] == "correct"


@pytest.mark.parametrize(
    "text",
    [
        "The answer is $\\frac{\\pi}{2}$ since $x > 3$",
        "It is $9$.\n#### \\frac{\\pi}{2}\n",
        "\\[ \\boxed{\\frac{\\pi}{2}} \\]",
        "The answer is \\pi/2; check it with 3.",
    ],
)
def test_a_correct_answer_cut_anywhere_is_never_wrong(text):
    verdicts = [expressions.check("\\frac{\\pi}{2}", text[:end], cut=True)[0] for end in range(len(text) + 1)]
    assert set(verdicts) == {"no_answer", "correct"}
    assert verdicts == sorted(verdicts, key=("no_answer", "correct").index)


def test_a_gold_that_cannot_be_parsed_is_an_error():
    with pytest.raises(ValueError, match="cannot be parsed"):
        expressions.compare("\\frac{", "x^2")


def test_every_math_gold_is_accepted_and_wrong_pairs_are_not(shared_data):
    lines = (shared_data / "math" / "math500_test.jsonl").read_text().splitlines()
    golds = [json.loads(line)["answer"] for line in lines]
    assert all(expressions.check(gold, f"so $\\boxed{{{gold}}}$", False)[0] == "correct" for gold in golds)
    parsed = [expressions.canon(gold) for gold in golds]
    symbolic = [g for g in parsed if words(g) is None and expressions.value(g) is None]
    assert len(symbolic) > 90
    assert all(expressions._equal(gold, gold) for gold in symbolic)  # through Math-Verify, not by spelling
    rng = random.Random(0)
    for _ in range(1000):
        a, b = rng.sample(golds, 2)
        if expressions.canon(a) != expressions.canon(b):
            assert expressions.compare(a, b)[0] == "wrong", (a, b)


def test_every_solution_of_the_math_test_set_agrees_with_its_last_box(shared_data):
    for line in (shared_data / "math" / "math_test_5000.jsonl").read_text().splitlines():
        solution = json.loads(line)["solution"]
        assert expressions.check(last_box(solution), solution, cut=False)[0] == "correct"
