"""Figures of a task from its samples: every metric of a response is summed up as its entry says."""

from __future__ import annotations

import json

from harness.evaluation.response_metrics import METRICS, Metric
from tests.commands import here as harness


def test_a_metric_is_one_entry_and_reaches_files_tables_and_their_json(tmp_path, monkeypatch):
    folder = tmp_path / "evals" / "a"
    common = ("--model", "mock", "--backend", "mock", "--tasks", "letter_count", "--limit", 6)
    harness("eval", *common, "--out", folder, code=0)
    monkeypatch.setitem(METRICS, "letters", Metric(of=lambda r: len(r.parts.answer), summary="mean"))
    harness("rescore", folder, code=0)
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    letters = sum(sample["metrics"]["letters"] for sample in samples) / 6
    assert letters > 0
    assert json.loads((folder / "metrics.json").read_text())["rows"]["letter_count"]["letters"] == letters
    board = harness("leaderboard", "--runs", folder, "--json", code=0).stdout
    [row] = json.loads(board)["rows"]
    assert row["letters"] == letters
    table = harness("leaderboard", "--runs", folder, "--format", "csv", code=0).stdout.splitlines()
    assert dict(zip(*(line.split(",") for line in table), strict=True))["letters"] == str(letters)
    (tmp_path / "board.json").write_text(board)
    assert json.loads(harness("leaderboard", tmp_path / "board.json", "--json", code=0).stdout)["rows"] == [row]
    monkeypatch.delitem(METRICS, "letters")
    gone = harness("leaderboard", "--runs", folder, code=3).stderr
    assert "not samples of this version (metrics.letters: no metric of this version)" in " ".join(gone.split())
