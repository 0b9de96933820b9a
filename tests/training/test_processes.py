"""Training as processes: killed ten times, and two of them against one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from harness.journal import write_rows
from harness.models.loading import model_digest

pytestmark = pytest.mark.slow
ENV = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def data(tmp_path_factory, tokenizer):
    """Pairs and chains that share prefixes, so that the shared layout is in use."""
    folder, rng = tmp_path_factory.mktemp("data"), random.Random(0)
    pairs, chains = [], []
    for _ in range(24):
        prompt, stem = ([rng.randrange(30, 120) for _ in range(n)] for n in (12, 30))
        for _ in range(2):
            chosen, rejected = ([*stem, *(rng.randrange(30, 120) for _ in range(n)), 1] for n in (8, 15))
            pairs.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
            chains += [{"prompt_ids": prompt, "completion_ids": c} for c in (chosen, rejected)]
    write_rows(folder / "pairs.jsonl", pairs)
    write_rows(folder / "sft.jsonl", chains)
    return folder


def command(kind, data, out):
    more = ["--alpha", "1", "--label-smoothing", "0.1"] if kind == "dpo" else []
    return [
        sys.executable, "-m", "harness", "train", kind, "--model", "shipped:student", "--data", str(data), "--out",
        str(out), "--trees", "--batch-size", "4", "--epochs", "20", "--learning-rate", "1e-3", "--save-steps", "3",
        *more,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_killed_ten_times_ends_in_the_same_weights(kind, data, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(kind, data, whole), check=True, env=ENV, timeout=300, capture_output=True)
    rng, kills = random.Random(kind), 0
    for _ in range(10):
        process = subprocess.Popen(command(kind, data, killed), env=ENV, stderr=subprocess.PIPE, text=True)
        # From the first report of a step on: somewhere in the next steps, a checkpoint perhaps half written.
        process.stderr.readline()
        time.sleep(rng.uniform(0, 0.5))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        process.stderr.close()
    done = subprocess.run(command(kind, data, killed), env=ENV, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert kills == 10
    assert model_digest(str(killed)) == model_digest(str(whole))
    assert curve(killed) == curve(whole)


def curve(folder):
    rows = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"]) for row in rows if "loss" in row]


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_two_processes_follow_the_curve_of_one(kind, data, tmp_path):
    """MULTI_GPU with use_cpu gives gloo; MULTI_CPU, or bare --cpu --num_processes 2, starts one process."""
    config = tmp_path / "two.yaml"
    config.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nuse_cpu: true\nnum_processes: 2\n"
        "num_machines: 1\nmachine_rank: 0\nmain_process_port: 0\nmixed_precision: 'no'\n"
    )
    one, two = command(kind, data, tmp_path / "one"), command(kind, data, tmp_path / "two")
    subprocess.run(one, check=True, env=ENV, timeout=300, capture_output=True)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), *two[1:]]
    done = subprocess.run(launch, env=ENV, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("steps on") == 1
    assert "| processes | 2 |" in (tmp_path / "two" / "README.md").read_text()
    a, b = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert [step for step, _ in a] == [step for step, _ in b]
    assert [loss for _, loss in b] == pytest.approx([loss for _, loss in a], abs=1e-4, rel=1e-4)
