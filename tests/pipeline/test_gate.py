"""The gate on checkpoints of recipes: stopped early it fails, trained again with another seed it never does."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def harness(cwd, *args, codes=(0,)):
    command = [sys.executable, "-m", "harness", *map(str, args)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode in codes, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def test_a_retrained_checkpoint_is_never_red(tmp_path):
    small = ("--set", "profile.search.problems=40", "--set", "profile.eval.count=100", "--display", "none")
    harness(tmp_path, "run-recipe", "ablation_full", "--arms", "sft", "--seeds", "2", *small)
    [file] = (tmp_path / "runs" / "recipes").glob("*/run.json")
    first, again = json.loads(file.read_text())["arms"]["sft"]
    harness(tmp_path, "gate", first, "--baseline", "base.json", "--update")
    verdict = harness(tmp_path, "gate", again, "--baseline", "base.json", codes=(0, 4))
    assert "regression" not in verdict.stdout.lower().replace("no regression", "")


def test_a_checkpoint_stopped_early_fails(tmp_path):
    """The tiny student after 1% of its pretraining, against the shipped one."""
    harness(tmp_path, "eval", "--model", "shipped:student", "--suite", "embedded", "--limit", "100", "--out", "whole")
    harness(tmp_path, "gate", "whole", "--baseline", "base.json", "--update")
    steps = ("--set", "profile.pretrain.steps=45", "--until", "student", "--display", "none")
    harness(tmp_path, "run-recipe", "tiny_models", *steps)
    [model] = (tmp_path / "runs" / "stages").glob("*/model")
    ask = ("--suite", "embedded", "--limit", "100", "--out", "early")
    harness(tmp_path, "eval", "--model", model, *ask)
    verdict = harness(tmp_path, "gate", "early", "--baseline", "base.json", codes=(1,))
    assert "regression" in verdict.stdout.lower()
