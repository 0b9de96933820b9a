"""Figures of twins, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from harness.records import Grade, Sample
from harness.results.summary import row
from harness.view.evaluation import page


def sample(problem, verdict, thinking, answer=0, **details):
    return Sample(
        key=problem, task="mini_premise", problem_id=problem, index=0, seed=0, prompt_ids_hash="", text="",
        token_ids=[], finish="stop", thinking_tokens=thinking, answer_tokens=answer,
        grade=Grade(verdict=verdict, reason="", details=details),
    )  # fmt: skip


SAMPLES = [
    sample("a-missing", "correct", 90, abstained=True),
    sample("a-complete", "correct", 20, abstained=False),
    sample("b-missing", "wrong", 30, abstained=False),
    sample("b-complete", "wrong", 40, abstained=True),
    sample("c-missing", "unfinished", 500),
]


def test_rates_count_every_sample_and_lengths_pairs_alone():
    found = row(SAMPLES).model_extra
    assert found["pairs"] == 2
    assert found["abstention"] == pytest.approx(1 / 3)
    assert (found["false_abstention"], found["accuracy_complete"]) == (0.5, 0.5)
    assert found["thinking_ratio"] == pytest.approx(120 / 60)


def test_a_half_that_does_not_think_has_no_ratio():
    quiet = [sample("a-missing", "correct", 5), sample("a-complete", "correct", 0)]
    assert row(quiet).model_extra["thinking_ratio"] is None
    assert "accuracy_complete" in row(SAMPLES[:1]).model_extra


def test_other_tasks_have_no_such_figures(tmp_path):
    plain = row([sample("x", "correct", 3)])
    assert "abstention" not in plain.model_extra
    shown = [str(block) for block in page("m", [tmp_path], {"mini_premise": row(SAMPLES), "x": plain}).blocks]
    assert sum("abstains from 33.3 %" in each for each in shown) == 1
    assert not any("x: abstains" in each for each in shown)
