"""One spelling: what Unicode and LaTeX write in several ways is the same text, which stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.grading.notation import plain


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("5²", "5^{2}"), ("10⁻³", "10^{-3}"), ("1₂", "1_{2}"), ("2½", "2 \\frac{1}{2}"), ("√18", "\\sqrt{18}"), ("∛(x+1)", "\\sqrt[3]{x+1}"),
        ("１，２００", "1,200"), ("18，19", "18, 19"), ("−5", "-5"), ("\\dfrac12", "\\frac{1}{2}"), ("\\sqrt[3]2", "\\sqrt[3]{2}"),
        ("1+2\\mathrm{i}", "1+2i"), ("\\operatorname{cot}x", "\\cot x"), ("18\\,\\mathrm{m}", "18 \\text{m}"), ("4\\mathrm{n}", "4n"),
        ("\\text{\\textbf{Evelyn}}", "\\text{Evelyn}"), ("\\textcolor{red}{18}", "18"), ("1.5e-07", "1.5\\times 10^{-7}"),
        ("a \\\\[4pt] b", "a \\\\ b"), ("3 * sqrt(13)", "3 * \\sqrt{13}"), ("x ⩽ 4", "x \\le  4"), ("45\\text{ min}", "45\\text{ min}"),
    ],
)  # fmt: skip
def test_one_spelling(text, spelled):
    assert plain(text) == spelled


PIECES = (
    "²",
    "½",
    "√",
    "5",
    "x",
    "\\frac",
    "{",
    "}",
    "\\mathrm{e}",
    "\\text{cm}",
    "\\sqrt",
    "−",
    " ",
    "π",
    "\\,",
    "\\left(",
    "1e3",
    "₂",
    "，",
    "\n",
)


@example("\\sqrt 1e3")
@example("√{√}")
@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_a_spelled_text_stays_as_it_is(text):
    assert plain(plain(text)) == plain(text)


@given(st.text(max_size=80))
def test_any_text_has_a_spelling(text):
    assert isinstance(plain(text), str)
