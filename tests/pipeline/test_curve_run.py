"""A very small recipe with a learning curve and a task beside the suite, by the real command."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
RECIPE = """
extends: ablation_full
name: mine
profile: smoke
retention: [mini_premise]
stages:
  dpo: {kind: preference, model: sft, chains: trees, chosen: longest, curve: [0.25, 0.5, 1]}
arms: {sft: sft, +dpo: dpo}
"""
SMALL = ("search.problems=4", "eval.count=4", "eval.samples=1", "preference.epochs=4", "workers=1")


def test_curve_and_retention_from_end_to_end(tmp_path):
    (tmp_path / "mine.yaml").write_text(RECIPE)
    options = [word for key in SMALL for word in ("--set", f"profile.{key}")]

    def call(*words: str) -> str:
        command = [sys.executable, "-m", "harness", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    out = call("run-recipe", "mine.yaml", "--display", "plain", *options)
    [file] = (tmp_path / "runs" / "recipes").glob("*/run.json")
    record, stages = json.loads(file.read_text()), tmp_path / "runs" / "stages"
    points = record["curves"]["+dpo"]
    assert [float(share) for share in points] == [0, 0.25, 0.5, 1]
    greedy = record["decodings"]["greedy"]
    assert (points["0.0"], points["1.0"]) == (greedy["sft"], greedy["+dpo"])
    for arm in ("+dpo at 0%", "+dpo at 25%", "+dpo at 50%", "+dpo at 100%"):
        assert arm in out
    [training] = [digest for digest, stage in record["manifest"]["stages"].items() if stage["name"] == "train dpo"]
    names = {folder.name for folder in (stages / training).glob("model*")}
    assert names == {"model", "model@0.25", "model@0.5"}
    models = [json.loads((stages / digest / "done.json").read_text())["figures"] for [digest] in points.values()]
    assert len({figures["model_digest"] for figures in models}) == 4
    for [digest] in points.values():
        samples = [json.loads(line) for line in (stages / digest / "samples.jsonl").read_text().splitlines()]
        assert {sample["task"] for sample in samples} == {"mini_math", "mini_blocks", "mini_rules", "mini_premise"}
    claims = out.partition("claims, as tested by")[2]
    assert "mini_premise" not in claims
    head = out.partition("retention (nothing was trained on these)")[0]
    assert "mini_premise" not in head.partition("n = 4 per task")[2]
    report = (file.parent / "report.html").read_text()
    assert report.count("stroke-dasharray") == 4
    again = call("run-recipe", "mine.yaml", "--display", "plain", *options)
    assert "start " not in again
    assert json.loads(call("leaderboard", "--json"))["retention"][0]["task"] == "mini_premise"
