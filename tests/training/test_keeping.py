"""Models kept on the way through a training: whole, none missed, none written twice, the training unchanged."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.errors import TrainingError
from harness.models.loading import model_digest
from harness.training import checkpoints
from harness.training.spec import Objective, TrainingJob, TrainingSpec, kept_model, step_of
from tests.training.test_train import Killed, killer, pairs, rows
from tests.training.trained import changed, preference, sft

SPEC = TrainingSpec(learning_rate=1e-3, epochs=2, batch_size=4, save_steps=4)  # 12 steps
KEEP = [0.25, 0.5]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def written(monkeypatch):
    """The folders that models were written to, in order."""
    out, write = [], checkpoints._write

    def noted(trainer, job, folder, texts):
        out.append(folder.name)
        before = random_state()
        write(trainer, job, folder, texts)
        assert random_state() == before

    monkeypatch.setattr(checkpoints, "_write", noted)
    return out


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def random_state():
    import numpy
    import torch

    return random.getstate(), repr(numpy.random.get_state()), torch.get_rng_state().tolist()


def losses(folder: Path):
    log = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    return [(entry["step"], entry["loss"]) for entry in log if "loss" in entry]


@given(st.floats(0.001, 1), st.integers(1, 10_000))
def test_the_step_of_a_share_is_the_first_at_which_it_is_done(share, steps):
    step = step_of(share, steps)
    assert 1 <= step <= steps
    assert step / steps >= share * (1 - 1e-6)
    assert step == 1 or (step - 1) / steps < share
    assert step_of(0.1, 30) == 3  # 0.1 * 30 is a little more than 3
    assert step_of(1.0, steps) == steps


@pytest.mark.parametrize("shares", [[0.0], [1.5], [0.5, 0.25], [0.5, 0.5], [float("nan")], [-0.1]])
def test_shares_are_ascending_parts_of_the_training(shares):
    with pytest.raises(ValidationError):
        TrainingJob(model="m", data="d", out="o", training=SPEC, objective=Objective(), keep=shares)


@pytest.mark.parametrize("lora", [0, 4])
def test_keeping_models_changes_no_bit_of_the_training(lora, student, tokenizer, tmp_path, written):
    """With adapters, too: merging them for a kept model draws random numbers, which must not be the training's."""
    spec = changed(SPEC, lora=lora)
    plain = sft(student, rows(tokenizer), tmp_path / "plain", spec=spec)
    kept = sft(student, rows(tokenizer), tmp_path / "kept", spec=spec, keep=KEEP)
    assert kept == plain
    assert losses(tmp_path / "kept") == losses(tmp_path / "plain")
    assert written == ["plain", "kept@0.25", "kept@0.5", "kept"]
    assert model_digest(str(tmp_path / "kept")) == model_digest(str(tmp_path / "plain"))
    assert len({weights(tmp_path / name) for name in written}) == 3
    assert (tmp_path / "kept@0.25" / "adapter").is_dir() == bool(lora)
    assert "| step | 3 |" in (tmp_path / "kept@0.25" / "README.md").read_text()
    assert not list(tmp_path.glob("*.part"))
    assert not list(tmp_path.rglob("training_args.bin"))


def test_a_kept_model_is_that_of_its_step(student, tokenizer, tmp_path):
    """It is the checkpoint of the same step, which the Trainer itself writes."""
    third = {"spec": SPEC, "keep": [1 / 3]}  # step 4, where the first checkpoint is due
    with pytest.raises(Killed):
        sft(student, rows(tokenizer), tmp_path / "m", progress=killer(6), **third)
    from safetensors.torch import load_file

    theirs = load_file(tmp_path / "m.work" / "checkpoint-4" / "model.safetensors")
    ours = load_file(kept_model(tmp_path / "m", 1 / 3) / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in ours)


@pytest.mark.parametrize(("killed_at", "kinds"), [(2, "before"), (5, "between"), (9, "after")])
def test_a_killed_training_misses_no_model_and_writes_none_twice(
    killed_at, kinds, student, tokenizer, tmp_path, written
):
    settings = {"objective": Objective(beta=0.5, sft_weight=1.0), "spec": SPEC, "keep": KEEP}
    preference(student, pairs(tokenizer), tmp_path / "whole", **settings)
    assert written == ["whole@0.25", "whole@0.5", "whole"]
    written.clear()
    with pytest.raises(Killed):
        preference(student, pairs(tokenizer), tmp_path / "killed", progress=killer(killed_at), **settings)
    there = {"before": set(), "between": {"killed@0.25"}, "after": {"killed@0.25", "killed@0.5"}}[kinds]
    assert {path.name for path in tmp_path.glob("killed@*")} == there
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("killed@*/model.safetensors")}
    preference(student, pairs(tokenizer), tmp_path / "killed", **settings)
    assert sorted(written) == ["killed", "killed@0.25", "killed@0.5"]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    for name in ("", "@0.25", "@0.5"):
        assert model_digest(f"{tmp_path}/killed{name}") == model_digest(f"{tmp_path}/whole{name}")


def test_a_model_that_was_half_written_is_written_again(student, tokenizer, tmp_path, monkeypatch):
    """Killed while the model of a checkpoint's own step is written: the checkpoint comes after it."""
    settings = {"spec": SPEC, "keep": [1 / 3]}  # step 4, where a checkpoint is due, too
    monkeypatch.setattr(checkpoints, "_end_turns", lambda folder, tokenizer: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        sft(student, rows(tokenizer), tmp_path / "m", **settings)
    assert not list(tmp_path.glob(f"m@{1 / 3}"))
    assert list(tmp_path.glob("*.part"))
    monkeypatch.undo()
    sft(student, rows(tokenizer), tmp_path / "m", **settings)
    assert (kept_model(tmp_path / "m", 1 / 3) / "model.safetensors").exists()
    assert not list(tmp_path.glob("*.part"))


def test_what_stands_in_a_kept_models_place_is_named(student, tokenizer, tmp_path):
    settings = {"spec": SPEC, "keep": KEEP}
    (tmp_path / "m@0.5").mkdir()
    with pytest.raises(TrainingError, match=r"m@0.5 holds something that is not of this training"):
        sft(student, rows(tokenizer), tmp_path / "m", **settings)
    (tmp_path / "m@0.5").rmdir()
    with pytest.raises(Killed):
        sft(student, rows(tokenizer), tmp_path / "m", progress=killer(9), **settings)
    (tmp_path / "m@0.25").rename(tmp_path / "elsewhere")
    with pytest.raises(TrainingError, match=r"m@0.25 is not there, and the checkpoint of step 8 is past it"):
        sft(student, rows(tokenizer), tmp_path / "m", **settings)
    (tmp_path / "elsewhere").rename(tmp_path / "m@0.25")
    sft(student, rows(tokenizer), tmp_path / "m", **settings)
    sft(student, rows(tokenizer), tmp_path / "m", **settings)  # finished: nothing is done again
    with pytest.raises(TrainingError, match=r"m is trained, but m@0.9 is not beside it"):
        sft(student, rows(tokenizer), tmp_path / "m", spec=SPEC, keep=[0.9])


def test_a_share_of_a_short_training_may_be_its_end(student, tokenizer, tmp_path):
    spec = TrainingSpec(learning_rate=1e-3, batch_size=64)
    assert sft(student, rows(tokenizer, 4), tmp_path / "m", spec=spec, keep=[0.25]).steps == 1
    assert weights(tmp_path / "m@0.25") == weights(tmp_path / "m") != weights(Path(student))
