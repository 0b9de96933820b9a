"""``ablation_full`` at smoke size: whole, cached, and killed in every phase with equal verdicts afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.pipeline.recipe import recipe_names
from harness.pipeline.recipe_files import load_recipe

pytestmark = pytest.mark.slow
HARNESS = [sys.executable, "-m", "harness", "run-recipe"]
CURVE = ["--set", "stages.dpo.curve=[0.25, 0.5]"]
COMMAND = [*HARNESS, "ablation_full", "--profile", "smoke", *CURVE, "--display", "plain"]


def verdicts(store: Path) -> dict[str, list[tuple[str, str, list[int]]]]:
    """Per arm, and point of its curve: problem, verdict and tokens of every sample of the first recipe that was run."""
    file = min((store / "recipes").glob("*/run.json"), key=lambda file: file.stat().st_mtime)
    saved = json.loads(file.read_text())
    out = {}
    points = {f"{arm} at {at}": runs for arm, curve in saved["curves"].items() for at, runs in curve.items()}
    for arm, digests in (saved["arms"] | points).items():
        out[arm] = []
        for digest in digests:
            for line in (store / "stages" / digest / "samples.jsonl").read_text().splitlines():
                row = json.loads(line)
                out[arm].append((row["problem_id"], row["grade"]["verdict"], row["token_ids"]))
    return out


def run(cwd: Path) -> str:
    done = subprocess.run(COMMAND, cwd=cwd, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("whole")
    out = run(path)
    for arm in ("base", "sft_long_cot", "+masking", "+dpo at 25%"):
        assert arm in out
    return path


def test_the_same_command_again_runs_no_stage(whole):
    before = {
        p: p.stat().st_mtime_ns for p in (whole / "runs" / "stages").rglob("*") if p.is_file() and p.suffix != ".lock"
    }
    out = run(whole)
    assert "start " not in out
    assert {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.parametrize("phase", ["search", "train sft_long_cot", "eval sft_long_cot"])
def test_killed_in_any_phase_it_ends_in_the_same_verdicts(whole, tmp_path, phase):
    process = subprocess.Popen(COMMAND, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"start {phase}"):
            break
    time.sleep(4 if phase == "search" else 2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "runs" / "recipes").glob("*/run.json"))
    run(tmp_path)
    assert verdicts(tmp_path / "runs") == verdicts(whole / "runs")


def test_two_processes_do_the_work_once_and_both_end_well(whole, tmp_path):
    """Each stage is run by one; the other waits and takes its result. A clean store gives the same verdicts."""
    both = [subprocess.Popen(COMMAND, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    out = [process.communicate(timeout=900)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], out
    logs = [json.loads(f.read_text()) for f in (tmp_path / "runs" / "stages").glob("*/done.json")]
    assert len(logs) == len({(log["name"], json.dumps(log["inputs"], sort_keys=True)) for log in logs})
    assert not list((tmp_path / "runs" / "stages").glob("*.work"))
    for kind in ("generated.jsonl", "rows.jsonl"):
        for file in (tmp_path / "runs" / "stages").glob(f"*/{kind}"):
            lines = file.read_text().splitlines()
            keys = [json.loads(line).get("key") for line in lines]
            assert None in keys or len(set(keys)) == len(keys)  # nothing was sampled twice
    assert verdicts(tmp_path / "runs") == verdicts(whole / "runs")


@pytest.mark.parametrize("name", sorted(set(recipe_names()) - {"ablation_full"}))
def test_every_recipe_runs_at_smoke_size(whole, name):
    """In the store of the whole ablation, so that stages are shared as users share them."""
    command = [*HARNESS, name, "--profile", "smoke", "--display", "plain"]
    done = subprocess.run(command, cwd=whole, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    recipe = load_recipe(name)
    assert ("report in runs/recipes/" in done.stdout) == bool(recipe.arms)
    assert ("claims, as tested by" in done.stdout) == bool(recipe.claims)


def test_stages_run_on_a_ray_cluster_with_the_same_result(whole, tmp_path):
    pytest.importorskip("ray")
    command = [*HARNESS, "smoke", "--arms", "sft", "--executor", "ray", "--display", "plain"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    theirs, ours = verdicts(tmp_path / "runs"), verdicts(whole / "runs")
    assert theirs == {"sft": ours["sft"]}


def test_training_in_a_launched_process_gives_the_same_model(whole, tmp_path):
    """As 'accelerate launch' would be; where it runs is no part of a digest, so the store is a clean one."""
    launch = f"profile.sft.launch={sys.executable}"
    command = [*HARNESS, "smoke", "--arms", "sft", "--set", launch, "--display", "plain"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert verdicts(tmp_path / "runs") == {"sft": verdicts(whole / "runs")["sft"]}


def test_leaderboard_commands(whole):
    def call(*args):
        return subprocess.run(
            [sys.executable, "-m", "harness", "leaderboard", "ablation_full", *args],
            cwd=whole,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    rows = json.loads(call("--json"))["rows"]
    assert len(rows) == 24
    wanted = {
        "run",
        "arm",
        "task",
        "n",
        "accuracy",
        "low",
        "high",
        "accuracy_answered",
        "no_answer",
        "unfinished",
        "median_thinking_tokens",
    }
    assert all(wanted <= set(row) for row in rows)
    assert all(max(map(len, line.split("\n"))) <= 80 for line in call().splitlines())
    assert call("--markdown").count("\n") >= 9
