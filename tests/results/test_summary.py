"""Figures of a task from its samples: every metric of a response is summed up as its entry says."""

from __future__ import annotations

import json

from harness.evaluation.response_metrics import METRICS, Metric
from tests.commands import here as harness

FOUND = {
    "boxed": "\\boxed{7}",
    "marked line": "The answer is 7.",
    "concluding sentence": "So she keeps 7 of them.",
    "last number": "There were 9. She keeps 7 of them.",
}


def test_how_answers_were_found_is_in_verdicts_summaries_and_tables(tmp_path):
    """Two of the four right answers, and one of two wrong ones, rest on no mark."""
    texts = [*FOUND.values(), "\\boxed{8}", "That makes 8."]
    rows = [{"id": str(i), "gold": "7", "response": text} for i, text in enumerate([*texts, "No idea."])]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out.jsonl"
    command = ("score", "--grader", "number", "--responses", tmp_path / "rows.jsonl", "--out", out)
    shown = json.loads(harness(*command, "--json", code=0).stdout)
    assert shown["guessed"] == 3 / 6
    assert (shown["accuracy"], shown["accuracy_marked"]) == (4 / 7, 2 / 7)
    hows = [json.loads(line)["how"] for line in out.read_text().splitlines()]
    assert hows == [*FOUND, "boxed", "concluding sentence", ""]
    out.unlink()
    assert "guessed 50.0 % of the verdicts, 28.6 % right without them" in harness(*command, code=0).stdout


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
