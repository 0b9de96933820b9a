"""``harness eval --thinking-budget``: one row a budget, resumed and refused like every run."""

from __future__ import annotations

import json

import pytest

from tests.commands import here

ASKED = ["eval", "--model", "shipped:student", "--tasks", "mini_math", "--limit", "12", "--temperature", "0"]


def evaluate(*more: str, code: int = 0):
    return here(*ASKED, *more, code=code)


def test_a_sweep_is_one_row_a_budget(tmp_path):
    done = evaluate("--thinking-budget", "8,512", "--out", str(tmp_path / "sweep"), "--json")
    short, long = json.loads(done.stdout)["rows"]
    assert (short["task"], long["task"]) == ("mini_math @8", "mini_math @512")
    assert (short["forced"], long["forced"]) == (1.0, 0.0)
    assert short["no_answer"] == 0
    evaluate("--out", str(tmp_path / "plain"))
    samples = [
        [json.loads(line) for line in (tmp_path / name / "samples.jsonl").read_text().splitlines()]
        for name in ("sweep/thinking-8", "sweep/thinking-512", "plain")
    ]
    assert [s["text"] for s in samples[1]] == [s["text"] for s in samples[2]]
    assert all(s["forced"] and "</think>" in s["text"] for s in samples[0])


def test_the_table_says_how_many_were_closed(tmp_path):
    done = evaluate("--thinking-budget", "8", "--out", str(tmp_path / "one"))
    assert "thoughts closed at the thinking budget: mini_math 100 %" in done.stdout


@pytest.mark.parametrize("bad", ["0", "8,x", "-3"])
def test_what_is_no_budget_is_refused(bad):
    assert "use a number of tokens, or several" in evaluate("--thinking-budget", bad, code=2).stderr


def test_trees_have_no_budget():
    assert "does not go with" in evaluate("--thinking-budget", "8", "--decode", "mcts", code=2).stderr
