"""The splitter: four states, and never an unfinished thought as the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.grading.thinking import split

plain = st.text(alphabet=st.characters(exclude_characters="<>`"))


@pytest.mark.parametrize(
    ("text", "prefilled", "state", "thinking", "answer"),
    [
        ("4", False, "none", "", "4"),
        ("<think>2+2</think>4", False, "closed", "2+2", "4"),
        ("guess 3</think>4", False, "orphan_close", "guess 3", "4"),
        ("guess 3</think>4", True, "closed", "guess 3", "4"),
        ("<think>maybe \\boxed{3}", False, "unclosed", "maybe \\boxed{3}", ""),
        ("maybe 3", True, "unclosed", "maybe 3", ""),
        ("<think>a</think>b<think>c", False, "unclosed", "c", ""),
        ("<think>a</think>b</think>c", False, "closed", "a</think>b", "c"),
        ("<think>a<think>b</think>c", False, "closed", "a<think>b", "c"),
        ("<think>a</think>write `<think>` first", False, "closed", "a", "write `<think>` first"),
        ("<think>a `</think>` is", False, "unclosed", "a `</think>` is", ""),
        ("<think>a```</think>```b```", False, "closed", "a```", "```b```"),
    ],
)
def test_states(text, prefilled, state, thinking, answer):
    parts = split(text, prefilled=prefilled)
    assert (parts.state, parts.thinking, parts.answer) == (state, thinking, answer)


@given(plain, plain)
def test_a_closed_thought_gives_back_both_parts(thinking, answer):
    parts = split(f"<think>{thinking}</think>{answer}")
    assert (parts.state, parts.thinking, parts.answer) == ("closed", thinking, answer)


@given(plain)
def test_an_unclosed_thought_has_no_answer(text):
    assert split("<think>" + text).answer == ""
