"""Stages that train on own answers, and KTO: in a plan, and from end to end by the real command."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.errors import RecipeError
from harness.pipeline.graph import build
from harness.pipeline.recipe_files import load_profile, load_recipe

RECIPE = """
extends: ablation_full
name: arms
profile: smoke
stages:
  grpo: {kind: grpo, model: sft, length: 0.2}
  opd: {kind: opd, model: grpo, teacher: sft, share: 0.3}
  kto: {kind: kto, model: sft, chains: trees, curve: [0.5]}
arms: {sft: sft, grpo: grpo, opd: opd, kto: kto}
"""
SMALL = (
    "search.problems=4", "eval.count=4", "eval.samples=1", "workers=1", "grpo.epochs=2", "grpo.batch_size=6",
    "grpo.answer_tokens=100",
)  # fmt: skip


def plan(tmp_path, text, *settings):
    (tmp_path / "mine.yaml").write_text(text)
    return build(load_recipe(str(tmp_path / "mine.yaml")), load_profile("smoke", settings))


def named(graph, name):
    return next(job for job in graph.jobs.values() if job.name == f"train {name}")


def test_a_job_depends_on_what_it_trains_on(tmp_path):
    graph = plan(tmp_path, RECIPE)
    sft, grpo, opd, kto = (named(graph, name) for name in ("sft", "grpo", "opd", "kto"))
    assert (grpo.inputs, opd.inputs) == ({"model": sft.digest}, {"model": grpo.digest, "teacher": sft.digest})
    assert kto.inputs["chains"] == sft.inputs["chains"]
    assert (grpo.params["length"], opd.params["share"], opd.params["dose"]["answer_tokens"]) == (0.2, 0.3, 64)
    other = plan(tmp_path, RECIPE.replace("teacher: sft", "teacher: teacher"))
    assert named(other, "opd").models["teacher"].model.endswith("generator-qwen2")
    assert named(other, "opd").digest != opd.digest
    assert named(other, "grpo").digest == grpo.digest
    more = plan(tmp_path, RECIPE, "search.seed=1")  # other problems
    assert named(more, "grpo").digest != grpo.digest


def test_a_teacher_that_is_no_model_is_named(tmp_path):
    with pytest.raises(RecipeError, match="trees"):
        plan(tmp_path, RECIPE.replace("teacher: sft", "teacher: trees"))
    with pytest.raises(RecipeError, match="nobody"):
        plan(tmp_path, RECIPE.replace("teacher: sft", "teacher: nobody"))


@pytest.mark.slow
def test_arms_from_end_to_end(tmp_path):
    (tmp_path / "mine.yaml").write_text(RECIPE)
    options = [word for key in SMALL for word in ("--set", f"profile.{key}")]
    command = [sys.executable, "-m", "harness", "run-recipe", "mine.yaml", "--display", "plain", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    [file] = (tmp_path / "runs" / "recipes").glob("*/run.json")
    stages = json.loads(file.read_text())["manifest"]["stages"]
    done_by = {stage["name"]: tmp_path / "runs" / "stages" / digest / "done.json" for digest, stage in stages.items()}
    figures = {arm: json.loads(done_by[f"train {arm}"].read_text())["figures"] for arm in ("grpo", "opd", "kto")}
    assert figures["grpo"]["rows"] == figures["opd"]["rows"] == 12
    assert figures["grpo"]["sampled_tokens"] > figures["opd"]["sampled_tokens"] > 0
    assert {"share_cut", "share_zero_variance", "correct"} <= set(figures["grpo"]["end"])
    assert figures["kto"]["desirable"] + figures["kto"]["undesirable"] == figures["kto"]["rows"]
    assert "of the groups" in done.stdout
    assert "kto at 50%" in done.stdout
