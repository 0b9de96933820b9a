"""Training as processes: killed ten times, and two of them against one."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.journal import write_rows
from harness.models.loading import model_digest, resolve

pytestmark = pytest.mark.slow
ENV = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
KEEP = [0.1, 0.3, 0.5, 0.7, 0.9]


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


def job(data, out):
    """A training as a file, as a recipe launches it; models are kept on its way."""
    training = {"learning_rate": 1e-3, "epochs": 20, "batch_size": 4, "save_steps": 3, "trees": True}
    file = out.with_suffix(".json")
    file.write_text(json.dumps({
        "model": resolve("shipped:student"), "data": str(data / "pairs.jsonl"), "out": str(out), "training": training,
        "objective": {"label_smoothing": 0.1, "sft_weight": 1.0}, "keep": KEEP,
    }))  # fmt: skip
    return [str(file)]


def digests(out):
    """Of the weights of a training's model and of those kept on its way."""
    files = [f"{out}{at}/model.safetensors" for at in ("", *(f"@{share}" for share in KEEP))]
    return [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files]


def test_kills_at_any_moment_leave_every_kept_model_whole(data, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start = [sys.executable, "-m", "harness", "train", "job"]
    subprocess.run(start + job(data, whole), check=True, env=ENV, timeout=300, capture_output=True)
    rng, words = random.Random(0), start + job(data, killed)
    for _ in range(6):
        process = subprocess.Popen(words, env=ENV, stderr=subprocess.PIPE, text=True)
        process.stderr.readline()
        time.sleep(rng.uniform(0, 0.8))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        for folder in tmp_path.glob("killed@*[0-9]"):  # what bears its final name is whole at any moment
            assert model_digest(str(folder)) == model_digest(str(whole) + folder.name.removeprefix("killed"))
    done = subprocess.run(words, env=ENV, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert digests(killed) == digests(whole)
    assert len({*digests(whole)}) == len(KEEP) + 1


def curve(folder):
    rows = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"]) for row in rows if "loss" in row]


def in_two_processes(words, folder, more=""):
    config = folder / "two.yaml"
    config.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nuse_cpu: true\nnum_processes: 2\n"
        f"num_machines: 1\nmachine_rank: 0\nmain_process_port: 0\nmixed_precision: 'no'\n{more}"
    )
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), *words]
    return subprocess.run(launch, env=ENV, timeout=300, capture_output=True, text=True)


def test_two_processes_keep_each_model_once(data, tmp_path):
    """Half of the models are there already, which both must know: they write the others together."""
    out = tmp_path / "two"
    words = ["-m", "harness", "train", "job", *job(data, out)]
    first = in_two_processes(words, tmp_path)
    assert first.returncode == 0, first.stderr
    whole = digests(out)
    assert len({*whole}) == len(KEEP) + 1
    shutil.rmtree(out)
    for share in KEEP[1::2]:
        shutil.rmtree(f"{out}@{share}")
    times = {share: Path(f"{out}@{share}/model.safetensors").stat().st_mtime_ns for share in KEEP[::2]}
    again = in_two_processes(words, tmp_path)
    assert again.returncode == 0, again.stderr
    assert digests(out) == whole
    assert {share: Path(f"{out}@{share}/model.safetensors").stat().st_mtime_ns for share in KEEP[::2]} == times


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_two_processes_follow_follow_the_curve_of_one(kind, data, tmp_path):
    """MULTI_GPU with use_cpu gives gloo; MULTI_CPU, or bare --cpu --num_processes 2, starts one process."""
    one, two = command(kind, data, tmp_path / "one"), command(kind, data, tmp_path / "two")
    subprocess.run(one, check=True, env=ENV, timeout=300, capture_output=True)
    done = in_two_processes(two[1:], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("steps on") == 1
    assert "| processes | 2 |" in (tmp_path / "two" / "README.md").read_text()
    a, b = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert [step for step, _ in a] == [step for step, _ in b]
    assert [loss for _, loss in b] == pytest.approx([loss for _, loss in a], abs=1e-4, rel=1e-4)
