"""Final numbers: markers before guesses, exact values, no evaluation."""

from __future__ import annotations

import json
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.grading.answers import read
from harness.grading.boxes import last_box
from harness.grading.numbers import value
from harness.grading.numeric import check


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("so \\boxed{7}", "7"),
        ("\\boxed{1} no, \\boxed{2}", "2"),
        ("\\boxed{\\text{ab}{b}}", "\\text{ab}{b}"),
        ("12 apples\n#### 1,200", "1,200"),
        ("the answer is **5**", "5"),
        ("The answer is $18 because 3 eggs are eaten.", "$18"),
        ("#### 18 (of 20)", "18"),
        ("#### Step 2: sell\n9*2=18\n\nSo she makes 18.", "18"),
        ("#### Step 1\n4\n#### Step 2\nThe answer is 18.", "18"),
        ("The answer is $9 + $9 = $18.", "$9 + $9 = $18"),
        ("Answer: 9 eggs at $2 each, so $18", "$18"),
        ("The answer is that Janet has 9 eggs and makes 18 dollars.", "18"),
        ("\\boxed{18}, check: \\boxed{}", "18"),
        ("The answer is not 3, it is 5", "5"),
        ("we get 3, then 4", "4"),
        ("\\boxed{unclosed 9", "unclosed 9"),
    ],
)
def test_extraction_order(text, expected):
    assert read(text).text == expected


def test_a_cut_answer_is_not_guessed_at():
    assert check("4", "3 plus 1 is 4", cut=True)[0] == "no_answer"
    assert check("4", "3 plus 1 is 4", cut=False)[0] == "correct"
    assert check("4", "\\boxed{4} and", cut=True)[0] == "correct"


CORRECT = (
    "First 3 + 4 = 7.\nThe answer is 1800.50 dollars.\n",
    "#### 1,800.5\n",
    "It costs $9, so \\boxed{1800.5}. That is 1 more.",
    "\\[ \\boxed{1800.5} \\] and so 12",
    "The answer is that Janet has 9 eggs and makes 1800.5 dollars. She keeps 3.",
    "The final answer is $1800.5$ dollars",
)


@pytest.mark.parametrize("text", CORRECT)
def test_a_correct_answer_cut_anywhere_is_never_wrong(text):
    verdicts = [check("1800.5", text[:end], cut=True)[0] for end in range(len(text) + 1)]
    assert set(verdicts) == {"no_answer", "correct"}
    assert verdicts == sorted(verdicts, key=("no_answer", "correct").index)


@given(st.integers(-(10**12), 10**12))
def test_integers_are_equal_to_themselves_and_to_no_neighbour(n):
    assert check(str(n), f"\\boxed{{{n:,}}}", cut=False)[0] == "correct"
    assert check(str(n), f"\\boxed{{{n + 1}}}", cut=False)[0] == "wrong"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("- 5", "-5"), ("-\\,5", "-5"), ("-(5)", "-5"), ("–5", "-5"), ("−$5", "-5"), ("negative 5", "-5"), ("(5)", "5"),
        ("4\\frac{2}{3}", "14/3"), ("2 1/2 cups", "5/2"), ("-1\\dfrac{1}{2}", "-3/2"), ("60 km/h", "60"), ("2/3 cups", "2/3"),
        ("1,234,567", "1234567"), ("1{,}200", "1200"), ("$1,200.50", "1200.5"), ("a + b = c = 18", "18"), ("18, of 20", None),
        ("2,4", None), ("(2,4)", None), ("(1,200)", None), ("1,2", None), ("12,34", None), ("a=2, b=3", None),
        ("18x", None), ("x - 5", None), ("not 5", None), ("at least 5", None), ("5 or more", None), ("9*2", None),
    ],
)  # fmt: skip
def test_one_number_with_its_sign_and_marks_or_none(text, number):
    assert value(text) == (Fraction(number) if number else None)


@pytest.mark.parametrize(
    "text", ["__import__('os').system('true')", "9**9**9", "1e999999999", "9" * 200, "1/0", "", "٣x"]
)
def test_what_is_no_plain_number_is_no_value(text):
    assert value(text) is None


@pytest.mark.parametrize(
    "text", ["20 \\text{ m}^2", "20\\,\\text{cm}^2", "20 \\text{ miles}/\\text{hour}", "20\\%", "\\$20.00", "=20"]
)
def test_units_are_no_numbers(text):
    assert value(text) == 20


def test_long_lists_are_read_in_bounded_time():
    started = time.monotonic()
    check("5", "1," * 10_000 + "x1. So it is 5", cut=False)
    assert time.monotonic() - started < 5


def test_values():
    assert value("$1,234.50") == Fraction("1234.5")
    assert value("50\\%") == 50


@given(st.text(alphabet="\\boxed{}1 ", max_size=60))
def test_last_box_is_balanced(text):
    box = last_box(text)
    assert box is None or box.count("{") == box.count("}")


def test_every_gsm8k_gold_is_accepted(shared_data):
    rows = [json.loads(line) for line in (shared_data / "gsm8k" / "test.jsonl").read_text().splitlines()]
    for row in rows:
        gold = row["answer"].rsplit("####", 1)[1].strip().replace(",", "")
        assert check(gold, row["answer"], cut=False)[0] == "correct"
