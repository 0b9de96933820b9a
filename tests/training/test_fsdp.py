"""The shipped settings of FSDP2, on two CPU processes: the loss curve and weights of one process, and resumption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from harness.files import shipped
from tests.training.test_processes import ENV, command, curve, data

__all__ = ["data"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    settings = yaml.safe_load((shipped("recipes") / "accelerate" / "fsdp2.yaml").read_text())
    config = tmp_path_factory.mktemp("fsdp") / "two.yaml"
    config.write_text(yaml.safe_dump(settings | {"num_processes": 2, "use_cpu": True, "mixed_precision": "no"}))
    runner = Path(__file__).with_name("fsdp_on_cpu.py")
    return [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), str(runner)]


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def processes(word):
    """Those with a word on their command line."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word in file.read_text().split("\0"):
                yield int(file.parent.name)


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_shards_follow_the_curve_of_one_process(kind, data, launch, tmp_path):
    one, two = command(kind, data, tmp_path / "one"), command(kind, data, tmp_path / "two")
    subprocess.run(one, check=True, env=ENV, timeout=300, capture_output=True)
    done = subprocess.run([*launch, *two[2:]], env=ENV, timeout=600, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    a, b = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert [step for step, _ in a] == [step for step, _ in b]
    assert [loss for _, loss in b] == pytest.approx([loss for _, loss in a], abs=1e-4, rel=1e-4)
    whole = weights(tmp_path / "two")
    for name, tensor in weights(tmp_path / "one").items():
        assert (whole[name] - tensor).abs().max() < 1e-4


def test_a_killed_one_goes_on_from_its_shards(data, launch, tmp_path):
    whole, killed = ([*launch, *command("sft", data, tmp_path / name)[2:]] for name in ("whole", "killed"))
    subprocess.run(whole, check=True, env=ENV, timeout=600, capture_output=True)
    process = subprocess.Popen(killed, env=ENV, stderr=subprocess.DEVNULL)
    work = tmp_path / "killed.work"
    while not list(work.glob("checkpoint-*")) and process.poll() is None:
        time.sleep(0.05)
    for pid in processes(str(tmp_path / "killed")):  # the launcher, and those that it started
        os.kill(pid, signal.SIGKILL)
    process.wait()
    with FileLock(work / "lock", timeout=60):
        assert not (tmp_path / "killed").exists()
    [*_, last] = work.glob("checkpoint-*")
    assert (last / "pytorch_model_fsdp_0").is_dir()  # shards
    done = subprocess.run(killed, env=ENV, timeout=600, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    again = weights(tmp_path / "killed")
    assert all((again[name] == tensor).all() for name, tensor in weights(tmp_path / "whole").items())
