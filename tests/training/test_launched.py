"""Training that a recipe launches in processes of its own: the same weights, and nothing outlives the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.chains.select import SftRule
from harness.journal import write_rows
from harness.models.loading import resolve
from harness.models.spec import ModelSpec
from harness.pipeline.kind import Job
from harness.pipeline.kinds import kind_of
from harness.records import Chain
from harness.training.spec import TrainingJob, TrainingSpec
from tests.commands import here as harness

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

WORKER = """
import sys
from pathlib import Path
from harness.chains.select import SftRule
from harness.models.spec import ModelSpec
from harness.pipeline.kind import Job
from harness.pipeline.kinds import kind_of
from harness.training.spec import TrainingSpec
folder, dose = Path(sys.argv[1]), TrainingSpec(learning_rate=1e-3, epochs=1000, batch_size=4).identity()
job = Job(name="unit", kind="sft", digest="d0", params=SftRule().model_dump() | {"seed": 0, "dose": dose},
          models={"model": ModelSpec(model=sys.argv[2])}, how={"launch": sys.executable})
kind_of("sft").run(job, folder, {"chains": folder}, lambda done, total, tokens: None)
"""


@pytest.fixture
def folder(tmp_path):
    chains = [
        Chain(
            problem_id=f"p{n}", family="number", node="1", kinds=[], writers=[], prompt_ids=list(range(30, 42)),
            token_ids=[*range(50 + n, 70), 1], text="", correct=True, reason="",
        )
        for n in range(8)
    ]  # fmt: skip
    write_rows(tmp_path / "chains.jsonl", (chain.model_dump() for chain in chains))
    return tmp_path


def running(folder: Path) -> list[int]:
    """Processes whose command line names ``folder``, by their ids."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in words:
                found.append(int(process.name))
    return found


def train_sft(chains: Path, folder: Path, training: TrainingSpec, seed: int, launch: str):
    """The stage of a recipe, run here."""
    job = Job(
        name="unit", kind="sft", digest="d0", how={"launch": launch},
        params=SftRule().model_dump() | {"seed": seed, "dose": training.identity()},
        models={"model": ModelSpec(model=resolve("shipped:student"))},
    )  # fmt: skip
    return kind_of("sft").run(job, folder, {"chains": chains}, lambda done, total, tokens: None)


def wait_until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.1)
    assert true()


def test_launched_training_gives_the_weights_of_training_here(folder, tmp_path):
    spec = TrainingSpec(learning_rate=1e-3, epochs=2, batch_size=4)
    figures = {}
    for name, launch in (("here", ""), ("launched", sys.executable)):
        (folder / name).mkdir()
        figures[name] = train_sft(folder, folder / name, spec, 3, launch)
    assert figures["launched"] == figures["here"]
    assert figures["here"]["mean_tokens"] == 17.5
    weights = [(folder / name / "model" / "model.safetensors").read_bytes() for name in figures]
    assert weights[0] == weights[1]
    assert "| stage | unit |" in (folder / "launched" / "model" / "README.md").read_text()


def test_a_launcher_that_fails_or_is_not_there_is_one_line(folder):
    from harness.errors import ModelError, TrainingError

    for launch, error, text in (
        ("no-such-program --processes 2", ModelError, "there is no program no-such-program"),
        ("'unbalanced", ModelError, "No closing quotation"),
        ("false", TrainingError, "ended with 1"),
    ):
        with pytest.raises(error, match=text):
            train_sft(folder, folder, TrainingSpec(), 0, launch)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("SIGINT to the group", marks=pytest.mark.slow),
        "SIGTERM",
        pytest.param("SIGKILL", marks=pytest.mark.slow),
    ],
)
def test_no_process_outlives_the_run_and_a_second_command_is_locked_out(how, folder):
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), resolve("shipped:student")], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        assert any(line.startswith("step ") for line in worker.stderr)  # the launched training is at work
        assert len(running(folder)) == 3  # worker, keeper, training
        second = harness("train", "job", folder / "job.json")
        assert second.returncode == 3
        assert "another command trains here" in second.stderr
        assert len(second.stderr.splitlines()) == 1
        if how == "SIGINT to the group":
            os.killpg(worker.pid, signal.SIGINT)
        else:
            worker.send_signal(getattr(signal, how))
        wait_until(lambda: worker.poll() is not None)
        wait_until(lambda: not running(folder))
    finally:
        for process in running(folder):
            os.kill(process, signal.SIGKILL)
        worker.wait()
        worker.stderr.close()
    # What is left goes on: the lock is free again.
    job = TrainingJob(**json.loads((folder / "job.json").read_text()))
    short = job.model_copy(update={"training": job.training.model_copy(update={"epochs": 1.0})})
    (folder / "other.json").write_text(short.model_dump_json())
    done = harness("train", "job", folder / "other.json")
    assert "holds a training of other data or settings" in done.stderr
