"""How far preference training moved the chains that it should prefer: the line, the warning, the table."""

from __future__ import annotations

import pytest

from harness.pipeline.kinds.preference import Preference
from harness.results.records import StageRecord
from harness.view.page import Page
from harness.view.render import terminal
from harness.view.trainings import line, table

SIZES = {"pairs": 9, "chosen_tokens": 65.0, "rejected_tokens": 70.0, "steps": 4, "loss": 0.6}


def figures(chosen, rejected=-3.0, at="end", **more):
    return (
        SIZES
        | {at: {"chosen_change": chosen, "rejected_change": rejected, "preferred": 0.75, "tokens/chosen": 65}}
        | more
    )


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (figures(-0.999), "chosen fell by 1.00 nat"),
        (figures(-1.001), "warning (over 1 nat): chosen fell by 1.00 nat"),
        (figures(0.25), "chosen rose by 0.25 nat"),
        (figures(-4.2, at="last"), "warning (over 1 nat): chosen fell by 4.20 nat"),  # of a run before there were means
        (figures(-0.5) | {"last": figures(-9)["end"]}, "chosen fell by 0.50 nat"),
        # Means over tokens: 65 tokens by 0.01 nat are 0.65 nat, by 0.02 they are 1.3.
        (figures(-0.01, length_normalized=True), "chosen fell by 0.01 nat a token"),
        (figures(-0.02, length_normalized=True), "warning (over 1 nat): chosen fell by 0.02 nat a token"),
        ({"rows": 9, "last": {"sft": 1.0}}, ""),
        ({}, ""),
    ],
)
def test_a_warning_where_whole_chosen_chains_fell_by_more_than_a_nat(told, found):
    assert line(told) == found


def test_a_stages_result_says_so():
    assert Preference().summary(figures(-2.0)) == (
        "9 pairs, 65 against 70 tokens, 4 steps, loss 0.6, warning (over 1 nat): chosen fell by 2.00 nat"
    )
    assert Preference().summary(SIZES) == "9 pairs, 65 against 70 tokens, 4 steps, loss 0.6"


def test_a_row_has_the_mean_over_trainings_and_the_lowest():
    stages = {
        "a": StageRecord(name="train dpo #0", kind="preference", figures=figures(-0.5)),
        "b": StageRecord(name="train dpo #1", kind="preference", figures=figures(-2.5, -5.0)),
        "c": StageRecord(name="train joint", kind="preference", figures=figures(0.5)),
        "d": StageRecord(name="train sft #0", kind="sft", figures={"rows": 9, "last": {"sft": 1.0}}),
        "e": StageRecord(name="search", kind="search", figures={}),
    }
    found = table(stages)
    first, second = found.data()
    assert (first["stage"], first["trainings"], first["fell"]) == ("dpo", 2, 1)
    assert (first["chosen_change"], first["chosen_change_lowest"], first["rejected_change"]) == (-1.5, -2.5, -4.0)
    assert (second["stage"], second["chosen_change"], second["fell"]) == ("joint", 0.5, 0)
    shown = [text.split() for text in terminal.text(Page(blocks=[found]), 80).splitlines()[2:4]]
    assert shown == [
        ["dpo", "2", "-1.50", "(lowest", "-2.50)", "-4.00", "75", "1", "of", "2"],
        ["joint", "1", "+0.50", "-3.00", "75", "–"],
    ]
    assert table({"d": stages["d"]}) is None
