"""The leaderboard from samples: seeds, paired differences, lines that fit, missing runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.journal import write_rows
from harness.records import Grade, Sample
from harness.results import board
from harness.results.records import RunRecord
from harness.results.store import Store
from harness.view import board as view
from harness.view.render import markdown, show


def samples(right, n=40, tasks=("mini_math", "mini_blocks", "mini_rules"), verdict="wrong"):
    return [
        Sample(
            key=f"{task}{i}", task=task, problem_id=f"{task}-{i}", index=0, seed=0, prompt_ids_hash="h", text="",
            token_ids=[], finish="stop", thinking_tokens=512, answer_tokens=1,
            grade=Grade(verdict="correct" if i < right else verdict, reason="r"),
            metrics={"reflection_words": 1, "loop_period": 0, "loop_copies": 0},
        )
        for task in tasks
        for i in range(n)
    ]  # fmt: skip


def made():
    return board.build(
        "t", "sft", {"sft": ["a"], "+dpo": ["b", "c"]}, {"sft": [samples(20)], "+dpo": [samples(30), samples(26)]}
    )


def test_seeds_are_averaged_and_the_interval_counts_items():
    table = made()
    cell = table.cells["+dpo", "mini_math"]
    assert cell.accuracy == pytest.approx(28 / 40)
    assert (cell.n, cell.seeds) == (40, 2)
    assert cell.difference.difference == pytest.approx(8 / 40)
    assert cell.difference.low < 0.2 < cell.difference.high
    assert table.cells["sft", "mini_math"].difference is None
    low, high = cell.low, cell.high
    assert high - low > 0.25  # 40 items, not 80 samples


def test_every_line_fits_eighty_columns_even_at_the_extremes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    table = board.build(
        "t", "sft", {"sft": ["a"], "+data_balance": ["b"]},
        {"sft": [samples(39)], "+data_balance": [samples(2, verdict="unfinished")]},
    )  # fmt: skip
    show(view.page(table))
    out = capsys.readouterr().out
    assert out.count("Δ -92.5") == out.count("]*") == 3
    assert out.count("na 95 u95, 512t") == 3
    assert all(len(line) <= 80 for line in out.splitlines())
    assert out.count("|100.0") == out.count("|97.5") == 3


def test_markdown_has_a_row_per_arm():
    text = markdown.table(view.table(made()))
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 4
    assert "+dpo" in text


def test_other_items_on_one_side_are_an_error():
    with pytest.raises(KeyError, match="one side only"):
        board.build("t", "a", {"a": ["x"], "b": ["y"]}, {"a": [samples(3)], "b": [samples(3, n=39)]})


def test_runs_that_are_gone_are_named(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(board.NoRuns, match="run-recipe"):
        board.saved(store)
    record = {
        "run": "r0", "recipe": "ablation_full", "profile": "tiny", "control": "sft", "arms": {"sft": ["aaaa"]},
        "manifest": {"date": "2026"},
    }  # fmt: skip
    store.save(RunRecord.model_validate(record))
    with pytest.raises(board.NoRuns, match="are gone"):
        board.of_record(board.saved(store), store)
    write_rows(store.stage("aaaa") / "samples.jsonl", (json.loads(s.model_dump_json()) for s in samples(3)))
    rows = board.of_record(board.saved(store, "ablation_full"), store).rows
    assert [row.task for row in rows] == ["mini_math", "mini_blocks", "mini_rules"]


def test_a_board_written_to_a_file_is_read_back(tmp_path):
    file = tmp_path / "board.json"
    whole = made().model_dump()
    file.write_text(json.dumps(whole))
    assert board.of_file(file) == made()
    for broken, why in (
        ({**whole, "control": "base"}, "no row of base"),
        ({**whole, "rows": whole["rows"][1:]}, "no row of sft on mini_math"),
        ({**whole, "rows": [{**whole["rows"][0], "accuracy": "much"}]}, "rows.0.accuracy"),
        ([whole], "dictionary"),
    ):
        file.write_text(json.dumps(broken))
        with pytest.raises(board.NoRuns, match=why):
            board.of_file(file)


def test_labels_are_short_and_tell_all_runs_apart():
    ids = [Path("runs/evals/0123456789abcdef"), Path("runs/evals/0123456789abffff")]
    assert board.labels([ids[0], Path("x/sft_v1")]) == ["0123456789ab", "sft_v1"]
    assert board.labels(ids) == ["0123456789abc", "0123456789abf"]
    assert board.labels([Path("s/student_sft_v1"), Path("s/student_sft_v10")]) == ["student_sft_v1", "student_sft_v10"]
    assert board.labels([Path("a/run"), Path("b/run"), Path("b/other")]) == ["a/run", "b/run", "b/other"]
