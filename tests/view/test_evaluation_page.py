"""The tables of an evaluation: what thinking is worth where anything was thought, and medians that are only bounds."""

from __future__ import annotations

from pathlib import Path

from harness.records import Grade, Sample
from harness.results.summary import row
from harness.view.evaluation import page
from harness.view.render import terminal


def sample(item, thinking, right, level=0, **more):
    return Sample(
        key="", task="t", problem_id=item, index=0, seed=0, prompt_ids_hash="", text="", token_ids=[1] * 60,
        thinking_tokens=thinking, answer_tokens=1, level=level,
        **{"finish": "stop", "grade": Grade(verdict="correct" if right else "wrong", reason=""), **more},
    )  # fmt: skip


def cut(item, thinking, level=0):
    unfinished = Grade(verdict="unfinished", reason="", think_state="unclosed")
    return sample(item, thinking, False, level, finish="length", grade=unfinished)


def shown(width=80, **rows):
    text = terminal.text(page("m", [Path("runs/m")], {name: row(samples) for name, samples in rows.items()}), width)
    assert max(map(len, text.splitlines())) <= width
    return [line.split() for line in text.splitlines()]


def test_what_thinking_is_worth_stands_in_a_table_of_its_own():
    levels = [sample("a", 10, True, 1), sample("b", 20, False, 1), sample("c", 60, True, 3), sample("d", 30, True, 3)]
    lines = shown(levels=levels, flat=[sample("a", 50, True)], unthought=[sample("a", 0, True)])
    at = lines.index(["task", "tokens/right", "AUC", "AUC", "100", "F1", "F1", "100", "hard/easy"])
    # 240 tokens for 3 right; easy: (1 - 10/1000) / 2; hard: 1; medians 45 and 15.
    assert lines[at + 2 : at + 4] == [
        ["levels", "80", "0.72", "0.50", "0.66", "0.62", "3.00"],
        ["flat", "60", "0.95", "0.50", "–", "–", "–"],
    ]
    assert [line[0] for line in lines if "unthought" in line] == ["unthought"]


def test_without_any_thinking_there_is_no_such_table():
    assert not [line for line in shown(t=[sample("a", 0, True)]) if "AUC" in line]


def test_a_median_of_thoughts_that_were_cut_is_a_bound():
    assert ">40" in shown(t=[cut("a", 40), cut("b", 40), sample("c", 5, True)])[2]
    assert "5" in shown(t=[cut("a", 40), sample("b", 5, True), sample("c", 5, True)])[2]
