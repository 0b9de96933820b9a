"""Learning curves and tasks beside the suite, from the samples of a recorded run."""

from __future__ import annotations

import json
from statistics import fmean

import pytest

from harness.errors import NoRuns
from harness.journal import write_rows
from harness.records import Grade, Sample
from harness.results import board
from harness.results.claims import findings
from harness.results.collapses import collapses
from harness.results.curves import curves
from harness.results.records import Claim, RunRecord
from harness.results.store import Store
from harness.view import curves as view
from harness.view.render import csv, terminal
from harness.view.report import write_report
from tests.commands import here as harness

N = 40
CLAIM = Claim(says="DPO loses", arm="+dpo", against="sft", expect="lower")
# Right and unanswered items of each evaluation, on the task of the suite and on the one beside it.
SCORES = {
    "sft0": (30, 0, 20), "sft1": (32, 0, 20), "q0": (28, 2, 10), "q1": (28, 0, 12), "h0": (20, 10, 5), "h1": (24, 6, 5),
    "dpo0": (10, 20, 40), "dpo1": (20, 10, 40),
}  # fmt: skip


def samples(right, missing, beside, tokens=9):
    of = {"mini_math": (right, missing), "mini_premise": (beside, 0)}
    return [
        Sample(
            key=f"{task}{i}", task=task, problem_id=f"{task}-{i}", index=0, seed=0, prompt_ids_hash="h", text="",
            token_ids=[], finish="stop", thinking_tokens=tokens + i, answer_tokens=1,
            grade=Grade(verdict="correct" if i < good else "unfinished" if i >= N - lost else "wrong", reason="r"),
        )
        for task, (good, lost) in of.items()
        for i in range(N)
    ]  # fmt: skip


@pytest.fixture
def run(tmp_path):
    store = Store(tmp_path)
    for name, counts in SCORES.items():
        rows = (s.model_dump() for s in samples(*counts, tokens=9 + int(name[-1])))
        write_rows(store.stage(name) / "samples.jsonl", rows)
    arms = {"sft": ["sft0", "sft1"], "+dpo": ["dpo0", "dpo1"]}
    points = {"0": arms["sft"], "0.25": ["q0", "q1"], "0.5": ["h0", "h1"], "1": arms["+dpo"]}
    record = RunRecord.model_validate({
        "run": "r0", "recipe": "mine", "profile": "tiny", "control": "sft", "arms": arms, "curves": {"+dpo": points},
        "retention": ["mini_premise"],
        "manifest": {"date": "2026-01-01", "recipe": {"claims": {"c": CLAIM.model_dump()}}},
    })  # fmt: skip
    return store, store.save(record), record


def test_points_are_means_over_trainings_and_differences_to_the_start(run):
    store, _, record = run
    [curve] = curves(record, store)
    assert (curve.arm, curve.decoding, curve.tasks) == ("+dpo", "sampled", ["mini_math", "mini_premise"])
    math = {point.share: point.cell for point in curve.points if point.cell.task == "mini_math"}
    names = {0.0: "sft", 0.25: "q", 0.5: "h", 1.0: "dpo"}
    assert list(math) == list(names)
    for share, name in names.items():
        right, missing = ([SCORES[f"{name}{seed}"][i] / N for seed in (0, 1)] for i in (0, 1))
        assert math[share].accuracy == pytest.approx(fmean(right))
        assert math[share].no_answer == pytest.approx(fmean(missing))
        assert math[share].low < math[share].accuracy < math[share].high
        assert (math[share].arm, math[share].seeds, math[share].n) == ("+dpo", 2, N)
        assert math[share].median_thinking_tokens == 9.5 + (N - 1) / 2
    assert math[0.0].difference is None
    assert math[1.0].difference.difference == pytest.approx(fmean([10, 20]) / N - fmean([30, 32]) / N)
    assert {point.retention for point in curve.points if point.cell.task == "mini_premise"} == {True}
    assert {point.retention for point in curve.points if point.cell.task == "mini_math"} == {False}


def test_the_decoding_of_a_curve_is_that_of_its_end(run):
    store, _, record = run
    other = {"greedy": record.arms, "hot": {"+dpo": ["q0"]}}
    greedy = record.model_copy(update={"arms": {arm: ["q0"] for arm in record.arms}, "decodings": other})
    assert [curve.decoding for curve in curves(greedy, store)] == ["greedy"]


def test_samples_that_are_gone_are_named(run):
    store, _, record = run
    (store.stage("h1") / "samples.jsonl").unlink()
    with pytest.raises(NoRuns, match="h1 are gone"):
        curves(record, store)


def test_the_table_has_a_row_a_point_and_fits_eighty_columns(run):
    store, _, record = run
    page = view.page("mine", curves(record, store))
    shown = terminal.text(page, 80)
    assert max(map(len, shown.splitlines())) <= 80
    assert "+dpo at 0%    77.5 na 0.0, 29t" in shown
    assert "+dpo at 100%  37.5 na 37.5, 29t" in shown
    assert "mini_premise (retention)" in shown
    rows = csv.table(page.tables()[0]).splitlines()
    assert len(rows) == 1 + 4 * 2
    assert {(row["share"], row["task"], row["retention"]) for row in page.data} == {
        (share, task, task == "mini_premise") for share in (0, 0.25, 0.5, 1) for task in ("mini_math", "mini_premise")
    }
    assert {row["arm"] for row in page.data} == {"+dpo"}


def test_a_figure_shows_each_task_against_the_share_of_the_training(run):
    store, _, record = run
    math, premise = view.figures(curves(record, store))
    assert (math.name, premise.title) == ("curve.mini_math", "mini_premise")
    [series] = math.series
    assert (series.label, series.x) == ("+dpo", [0, 0.25, 0.5, 1])
    assert series.y == pytest.approx([31 / N, 28 / N, 22 / N, 15 / N])
    assert series.second == pytest.approx([0, 1 / N, 8 / N, 15 / N])
    assert "accuracy (and no answer) % by share of the training" in terminal.drawn(math)[0]


def test_tasks_beside_the_suite_are_in_no_claim_and_shown_apart(run):
    """On them DPO is the best there is; claims and their means must not know."""
    store, _, record = run
    suite, beside = board.all_samples(record, store)
    assert {s.task for arms in suite.values() for seeds in arms.values() for one in seeds for s in one} == {"mini_math"}
    assert {s.task for s in beside["sampled"]["sft"][0]} == {"mini_premise"}
    [finding] = findings({"c": CLAIM}, suite)
    assert finding.items == N  # of one task
    assert finding.difference == pytest.approx((15 - 31) / N)
    assert [c.collapsed for c in collapses(suite) if c.arm == "+dpo"] == [2]
    made = board.of_record(record, store)
    assert made.tasks == ["mini_math"]
    assert [(row.arm, row.task, row.accuracy) for row in made.retention] == [
        ("sft", "mini_premise", 0.5), ("+dpo", "mini_premise", 1.0),
    ]  # fmt: skip
    plain = record.model_copy(update={"retention": []})
    assert board.of_record(plain, store).tasks == ["mini_math", "mini_premise"]
    assert board.all_samples(plain, store)[1] == {}


def test_the_commands_show_them_apart(run, tmp_path):
    at = ["--store", tmp_path]
    shown = harness("leaderboard", *at, code=0).stdout
    head, apart = shown.split("retention (nothing was trained on these)")
    assert "mini_math" in head
    assert "mini_premise" not in head
    assert "mini_premise" in apart
    assert "line 1:" not in apart  # said once
    assert "DPO loses" in harness("claims", *at, code=0).stdout
    [claim] = json.loads(harness("claims", *at, "--json", code=0).stdout)
    assert claim["difference"] == pytest.approx((15 - 31) / N)
    written = harness("leaderboard", *at, "--json", code=0).stdout
    assert {row["task"] for row in json.loads(written)["rows"]} == {"mini_math"}
    (tmp_path / "board.json").write_text(written)
    assert harness("leaderboard", tmp_path / "board.json", code=0).stdout == shown
    assert harness("leaderboard", *at, "--format", "csv", code=0).stdout.count("mini_premise") == 2


def test_the_report_holds_curve_figures_and_what_stands_apart(run):
    store, file, record = run
    html, text = (path.read_text() for path in write_report(store, file, record.claims))
    for shown in (html, text):
        assert "Learning curves" in shown
        assert "+dpo at 25%" in shown
        assert "retention (nothing was trained on these)" in shown
        assert "mini_premise (retention)" in shown
    assert html.count("stroke-dasharray") == 2  # items without an answer, of each task
    assert html.count("<circle") == 2 * 4 + 2  # and a point for each arm, of accuracy and tokens
    assert html.index("Learning curves") > html.index("<h2>Claims")


def test_a_run_of_before_has_neither(run):
    store, file, record = run
    old = {k: v for k, v in json.loads(file.read_text()).items() if k not in ("curves", "retention")}
    file.write_text(json.dumps(old))
    again = RunRecord.model_validate(old)
    assert (again.curves, again.retention) == ({}, [])
    assert curves(again, store) == []
    html, _ = (path.read_text() for path in write_report(store, file, record.claims))
    assert "Learning curves" not in html
