"""Trainings that must not look finished, and input that must not look like a bug."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from harness.journal import write_rows
from tests.commands import here as harness


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = [{"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in range(11)]
    write_rows(folder / "sft.jsonl", rows)
    pairs = [{"prompt": r["prompt"], "chosen": r["completion"], "rejected": " 0"} for r in rows]
    write_rows(folder / "pairs.jsonl", pairs)
    return folder


def one_line(done, code):
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("step ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_gguf_file_is_not_trained(kind, data, tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    done = harness("train", kind, "--model", file, "--data", data, "--out", tmp_path / "m")
    assert "a .gguf file cannot be trained; give the folder" in one_line(done, 2)


@pytest.mark.parametrize(("kind", "more"), [("sft", ()), ("dpo", ()), ("sft", ("--lora", 2))])
def test_a_training_of_one_step_trains(kind, more, data, student, tmp_path):
    done = harness("train", kind, "--model", student, "--data", data, "--out", tmp_path / "m", *more, code=0)
    assert "1 steps on 11" in done.stdout
    before, after = load_file(f"{student}/model.safetensors"), load_file(tmp_path / "m" / "model.safetensors")
    assert max(float((before[name] - after[name]).abs().max()) for name in before) > 0
    log = [json.loads(line) for line in (tmp_path / "m" / "training.jsonl").read_text().splitlines()]
    assert log[0]["learning_rate"] > 0


def test_a_warm_up_over_several_steps_begins_at_zero(data, student, tmp_path):
    train = ("train", "sft", "--model", student, "--data", data, "--out", tmp_path / "m", "--batch-size", 4)
    harness(*train, "--learning-rate", 0.3e-3, code=0)
    log = [json.loads(line) for line in (tmp_path / "m" / "training.jsonl").read_text().splitlines()]
    rates = [row["learning_rate"] for row in log if "loss" in row]
    assert rates == pytest.approx([0.0, 0.3e-3, 0.15e-3])


@pytest.mark.parametrize(
    ("rate", "text"), [("1e38", "weights became inf or nan"), ("1e-40", "changed no weight: raise the learning rate")]
)
def test_spoilt_or_unchanged_weights_are_no_model(rate, text, data, student, tmp_path):
    train = ("train", "sft", "--model", student, "--data", data, "--out", tmp_path / "m", "--learning-rate", rate)
    for _ in range(2):  # nor is the checkpoint that a second command goes on from
        assert text in one_line(harness(*train), 3)
        assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--learning-rate", "nan"), ("--learning-rate", "inf"), ("--learning-rate", "-1"), ("--epochs", "nan"),
        ("--epochs", "inf"), ("--seed", "-1"), ("--seed", "12345678901234567890"), ("--lora", "-1"),
        ("--warmup", "1"), ("--batch-size", "0"), ("--save-steps", "0"), ("--mean", "median"),
        ("--deepspeed", "nowhere.json"),
    ],
)  # fmt: skip
def test_values_that_no_training_has_are_one_line(option, value, data, student, tmp_path):
    done = harness("train", "sft", "--model", student, "--data", data, "--out", tmp_path / "m", option, value)
    assert one_line(done, 2).removeprefix("harness: ").startswith(option if "deep" not in option else value)


def broken(name):
    def truncated(folder):
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:900_000])

    def empty(folder):
        (folder / "model.safetensors").write_bytes(b"")

    def header(folder):
        (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0notjson!")

    def pickled(folder):
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    def vocabulary(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 7}))

    def layers(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 9}))

    return locals()[name]


@pytest.mark.parametrize("name", ["truncated", "empty", "header", "pickled", "vocabulary", "layers"])
def test_weights_that_cannot_be_read_are_one_line(name, data, student, tmp_path):
    shutil.copytree(student, tmp_path / "base")
    broken(name)(tmp_path / "base")
    done = harness("train", "sft", "--model", tmp_path / "base", "--data", data, "--out", tmp_path / "m")
    assert str(tmp_path / "base") in one_line(done, 2)


@pytest.mark.parametrize(
    "row",
    [
        '{"prompt": "a \\ud83d b", "completion": "c"}',
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "\\udc00"}]}',
        '{"prompt": "", "completion": ""}',
        '{"prompt": [], "completion": []}',
        '{"messages": []}',
        '{"prompt_ids": [], "completion_ids": []}',
    ],
)
def test_rows_of_nothing_and_of_no_text_are_one_line(row, student, tmp_path):
    (tmp_path / "rows.jsonl").write_text(row + "\n")
    done = harness("train", "sft", "--model", student, "--data", tmp_path / "rows.jsonl", "--out", tmp_path / "m")
    assert "rows.jsonl" in one_line(done, 2)


def test_of_two_equal_commands_at_once_one_trains(data, student, tmp_path):
    out = tmp_path / "m"
    command = [sys.executable, "-m", "harness", "train", "sft", "--model", student, "--data", str(data), "--out",
               str(out), "--epochs", "1000", "--batch-size", "4"]  # fmt: skip
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert any(line.startswith("step ") for line in first.stderr)
        for seed in (0, 1):
            second = harness(*command[3:], "--seed", seed)
            assert "another command trains here" in one_line(second, 3)
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
        first.stderr.close()


def test_errors_that_are_no_full_disk_stay_what_they_are(tmp_path):
    from harness.errors import TrainingError
    from harness.training.checkpoints import writing

    with pytest.raises(RuntimeError, match="NCCL"), writing("checkpoint-1", tmp_path):
        raise RuntimeError("NCCL timed out")
    with pytest.raises(TrainingError, match="checkpoint-1 could not be written"), writing("checkpoint-1", tmp_path):
        Path(tmp_path / "no" / "file").write_text("")
    with pytest.raises(TrainingError, match="OSError"), writing("checkpoint-1", tmp_path):
        raise OSError
