"""Dose and response: means over tasks and trainings by dose, differences to the control, what is shown of them."""

from __future__ import annotations

import json

import pytest

from harness.journal import write_rows
from harness.records import Grade, Sample
from harness.results.doses import families, responses, split
from harness.view.doses import figures, tables
from tests.commands import here as harness


def training(right, missing=0, task="mini_math", n=20):
    """One training's samples: the first ``right`` correct, the last ``missing`` without an answer."""
    verdicts = ["correct"] * right + ["wrong"] * (n - right - missing) + ["unfinished"] * missing
    return [
        Sample(
            key=f"{task}{i}", task=task, problem_id=f"{task}-{i}", index=0, seed=0, prompt_ids_hash="h", text="",
            token_ids=[], finish="stop", thinking_tokens=10 + i, answer_tokens=1,
            grade=Grade(verdict=verdict, reason=""),
        )
        for i, verdict in enumerate(verdicts)
    ]  # fmt: skip


ARMS = {
    "sft": [training(10) + training(6, task="mini_rules")] * 3,
    "+dpo@low": [training(12) + training(4, task="mini_rules")] * 2,
    "+dpo@high": [training(2, 10) + training(2, 4, task="mini_rules")] * 3,
    "base": [training(1) + training(1, task="mini_rules")],
}


@pytest.mark.parametrize(
    ("arm", "parts"), [("+dpo@1e-4", ("+dpo", "1e-4")), ("base", ("base", "")), ("@1", ("@1", "")), ("", ("", ""))]
)
def test_an_arms_name_and_dose(arm, parts):
    assert split(arm) == parts


def test_an_arm_of_one_dose_is_not_spread():
    assert families(["sft", "+a@1", "+b@1", "+b@2"]) == {"+b": {"1": "+b@1", "2": "+b@2"}}


def test_rates_are_means_over_tasks_and_differences_are_to_the_control():
    rows = {(one.arm, one.dose): one for one in responses("sft", {"sampled": ARMS})}
    assert [*rows] == [("sft", ""), ("+dpo", "low"), ("+dpo", "high")]
    control, low, high = rows.values()
    assert (control.accuracy, control.no_answer, control.difference) == (pytest.approx(0.4), 0, None)
    assert (low.accuracy, low.difference, low.trainings) == (pytest.approx(0.4), pytest.approx(0), 2)
    assert (high.accuracy, high.difference) == (pytest.approx(0.1), pytest.approx(-0.3))
    assert high.no_answer == pytest.approx((10 / 20 + 4 / 20) / 2)
    assert high.difference_low < -0.3 < high.difference_high < 0
    assert low.thinking_tokens == 19.5


def test_without_doses_or_control_there_is_nothing_to_show():
    assert responses("base", {"sampled": {"base": ARMS["base"], "sft": ARMS["sft"]}}) == []
    assert responses("other", {"sampled": ARMS}) == []


def test_a_table_and_a_figure_for_each_decoding():
    rows = responses("sft", {"sampled": ARMS, "greedy": ARMS})
    [sampled, greedy] = tables(rows)
    assert (sampled.title, greedy.title) == ("dose and response, sampled", "dose and response, greedy")
    assert sampled.columns == ("arm", "low", "high")
    [[arm, low, high]] = sampled.rows
    assert arm == "+dpo"
    assert high[1].text.startswith("Δ -30.0 [")
    assert high[1].text.endswith("]*")
    assert high[2].text == "na 35.0, 20t, x3"
    assert "*" not in low[1].text
    figure = figures(rows)[0]
    assert figure.ticks == ["low", "high"]
    assert [(series.label, [*series.x]) for series in figure.series] == [("sft", [0, 1]), ("+dpo", [0, 1])]


@pytest.fixture
def store(tmp_path):
    """A store with one finished recipe, greedy throughout: its further decoding is its main one."""
    digests = {arm: [f"{arm}-{i}" for i in range(len(trainings))] for arm, trainings in ARMS.items()}
    for arm, trainings in ARMS.items():
        for digest, samples in zip(digests[arm], trainings, strict=True):
            (tmp_path / "stages" / digest).mkdir(parents=True)
            write_rows(tmp_path / "stages" / digest / "samples.jsonl", (sample.model_dump() for sample in samples))
    (tmp_path / "recipes" / "r0").mkdir(parents=True)
    record = {
        "recipe": "mine",
        "profile": "laptop",
        "control": "sft",
        "arms": digests,
        "decodings": {"greedy": digests},
    }
    (tmp_path / "recipes" / "r0" / "run.json").write_text(json.dumps(record | {"manifest": {"date": "2026"}}))
    return tmp_path


def test_the_command_shows_and_draws_them(store):
    shown = harness("doses", "--store", store, code=0).stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "dose and response, greedy" in shown
    assert "sampled" not in shown
    harness("doses", "--store", store, "--out", store / "d.svg", code=0)
    assert (store / "d.doses.greedy.svg").stat().st_size > 1000
    rows = json.loads(harness("doses", "mine", "--store", store, "--json", code=0).stdout)
    assert [(row["arm"], row["dose"], row["decoding"]) for row in rows][1:] == [
        ("+dpo", "low", "greedy"), ("+dpo", "high", "greedy"),
    ]  # fmt: skip
    assert "| +dpo |" in harness("doses", "--store", store, "--markdown", code=0).stdout


def test_a_decoding_that_is_the_main_one_is_shown_once_by_its_name(store):
    board = json.loads(harness("leaderboard", "--store", store, "--json", code=0).stdout)
    assert board["decoding"] == "greedy"
    assert harness("leaderboard", "--store", store, "--decoding", "greedy", code=0).stdout
    done = harness("leaderboard", "--store", store, "--decoding", "sampled")
    assert done.stderr.strip() == "harness: mine (laptop): no decoding 'sampled'; there are greedy"


def test_rows_in_a_file_are_shown_as_those_of_a_run(store, tmp_path):
    file = tmp_path / "doses.json"
    file.write_text(harness("doses", "--store", store, "--json", code=0).stdout)
    form = ("--format", "md")
    shown = harness("doses", "--store", store, *form, code=0).stdout
    assert harness("doses", file, "--store", tmp_path / "none", *form, code=0).stdout == shown
    file.write_text('[{"arm": "+dpo"}]')
    done = harness("doses", file)
    assert done.returncode != 0
    assert done.stderr.startswith(f"harness: {file}: not what 'harness doses --json' writes (")
    assert len(done.stderr.splitlines()) == 1


def test_a_run_without_doses_is_named(store):
    file = store / "recipes" / "r0" / "run.json"
    record = json.loads(file.read_text())
    record |= {"arms": {"sft": record["arms"]["sft"]}, "decodings": {}}
    file.write_text(json.dumps(record))
    done = harness("doses", "--store", store)
    assert done.returncode == 2
    assert done.stderr.strip() == "harness: recipe mine has no arms at several doses ('doses' of a recipe)"
