"""``benchmarks/gpu.py``: its JSON, what it does without packages, time or a GPU, and that results are exact.

How fast anything is, is no matter of a test.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["exactness", "training", "generation", "family"]


def python(*arguments: object, hidden: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python in the checkout; packages that are ``hidden`` are as if not installed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    if hidden and folder:
        code = f"import sys\nsys.modules.update(dict.fromkeys({hidden.split(',')!r}))\n"
        (folder / "sitecustomize.py").write_text(code)
        environment["PYTHONPATH"] = str(folder)
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT, env=environment, check=False)


def run(out: Path, *arguments: str, code: int = 0, hidden: str = "") -> tuple[dict, str]:
    done = python("benchmarks/gpu.py", "--out", out, *arguments, hidden=hidden, folder=out.parent)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(out.read_text()), done.stdout


@pytest.mark.slow
def test_quick_measures_every_part_and_is_exact(tmp_path):
    found, screen = run(tmp_path / "gpu.json", "--quick")
    assert found["faults"] == []
    assert found["device"]["name"] == "CPU"
    assert found["device"]["torch"].startswith(found["machine"]["packages"]["torch"].partition("+")[0])
    assert {"card", "driver", "commit", "sources", "python"} <= found["machine"].keys()
    assert list(found["parts"]) == PARTS
    for name, part in found["parts"].items():
        assert part["state"] == "done", part
        assert not part["not_run"]
        assert part["measured"]
        assert name in screen

    exactness = found["parts"]["exactness"]["measured"]
    assert len(exactness) == 11
    for what, errors in exactness.items():
        for figure in ("loss", "gradient", "element"):
            assert 0 <= errors[f"float32_{figure}"] < 1e-4, what
            assert 0 < errors[f"bfloat16_{figure}"] < 5e-2, what
        assert errors["bfloat16_gradient"] > errors["float32_gradient"] > 0  # they are not the same computation

    training = found["parts"]["training"]["measured"]
    assert len(training) == 3
    for ratios in training.values():
        assert ratios["speedup"] == pytest.approx(ratios["stock"]["step_seconds"] / ratios["ours"]["step_seconds"])
        assert ratios["memory_ratio"] > 0
        assert ratios["tokens_ratio"] > 1.3
    greedy, sampled = found["parts"]["generation"]["measured"].values()
    assert greedy["equal_answers"] == 1
    assert min(greedy["harness"], greedy["bare"], sampled["harness"], sampled["bare"]) > 0
    (family,) = found["parts"]["family"]["measured"].values()
    assert family["last_loss"] < 0.9 * family["first_loss"]


def alive(marker: str) -> list[int]:
    """Processes whose environment holds this."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marker.encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
    return found


@pytest.mark.slow
def test_a_killed_run_keeps_its_finished_parts_and_leaves_no_process(tmp_path):
    marker = f"GPU_BENCHMARK_TEST={tmp_path}"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | dict([marker.split("=")])
    command = [sys.executable, "benchmarks/gpu.py", "--quick", "--out", str(tmp_path / "gpu.json")]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        next(line for line in process.stderr if line == "training ...\n")
        time.sleep(2)
        assert len(alive(marker)) == 3  # it, the keeper of the part, the part
        process.kill()
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert [part["state"] for part in parts.values()] == ["done", "not run", "not run", "not run"]
    assert len(parts["exactness"]["measured"]) == 11
    deadline = time.monotonic() + 20
    while alive(marker) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not alive(marker)


def test_parts_for_which_no_time_is_left_are_named(tmp_path):
    found, screen = run(tmp_path / "gpu.json", "--quick", "--deadline", "8")
    assert {part["state"] for part in found["parts"].values()} == {"not run"}
    assert list(found["parts"]) == PARTS
    assert "training: not run: no time was left" in screen


def test_a_missing_package_leaves_out_the_parts_that_need_it(tmp_path):
    found, screen = run(tmp_path / "gpu.json", "--quick", "--deadline", "8", hidden="trl,datasets")
    states = {name: part["state"] for name, part in found["parts"].items()}
    assert states == dict.fromkeys(PARTS, "left out") | {"generation": "not run"}
    assert "training: left out: not installed: trl, datasets" in screen


def test_a_part_that_uses_up_its_time_is_ended():
    code = "import json; from benchmarks.gpu import run; print(json.dumps(run('training', 1.0, True)))"
    done = python("-c", code)
    found = json.loads(done.stdout)
    assert found["state"] == "cut", found
    assert found["why"] == "its 1 s were over"


def test_what_was_measured_before_a_part_broke_stays(tmp_path):
    code = """if True:
        import json, os, sys, types
        part = types.ModuleType("part")
        part.measurements = lambda quick: {
            "good": lambda: {"value": 1}, "bad": lambda: 1 / 0, "next": lambda: {"value": 2},
            "deadly": lambda: os._exit(7),
        }
        sys.modules["benchmarks.gpu_parts.broken"] = part
        from benchmarks.gpu_parts.__main__ import main
        main()
    """
    file = tmp_path / "found.json"
    assert python("-c", code, "broken", file, "60", "quick").returncode == 7
    found = json.loads(file.read_text())
    assert found["planned"] == ["good", "bad", "next", "deadly"]
    assert [found["measured"][name].get("value") for name in ("good", "bad", "next")] == [1, None, 2]
    assert found["measured"]["bad"]["fault"] == "ZeroDivisionError: division by zero"
    assert "deadly" not in found["measured"]


def test_a_step_for_which_memory_is_short_is_taken_in_more_micro_batches():
    code = """if True:
        import torch
        from benchmarks.gpu_parts import training
        def once(case, shape, parts):
            if parts < 4:
                raise torch.OutOfMemoryError("short")
            return {"seconds": 1.0}
        training.once = once
        print(training.fitting(("trl sft", [], 16, {}), "quick", 1))
        try:
            training.fitting(("trl sft", [], 2, {}), "quick", 1)
        except torch.OutOfMemoryError:
            print("not even row by row")
    """
    assert python("-c", code).stdout.splitlines() == ["({'seconds': 1.0}, 4)", "not even row by row"]


def test_a_part_that_cannot_be_imported_is_a_fault(tmp_path):
    """As with a version of a library that lacks a name."""
    code = "import json; from benchmarks.gpu import faults_of, run; found = run('no_such_part', 60.0, True); "
    done = python("-c", code + "print(json.dumps([found, faults_of('no_such_part', found)]))")
    found, faults = json.loads(done.stdout)
    assert found["state"] == "failed"
    assert faults == ["no_such_part: ModuleNotFoundError: No module named 'benchmarks.gpu_parts.no_such_part'"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--only", "training,speed"], "--only training,speed: no part speed; there are exactness, training"),
        (["--out", "/nowhere/gpu.json", "--quick"], "--out /nowhere/gpu.json: there is no folder /nowhere"),
        ([], "torch sees no GPU here; --quick runs tiny shapes on the processor"),
    ],
)
def test_a_run_that_is_not_possible_ends_with_one_line(arguments, line):
    done = python("benchmarks/gpu.py", *arguments)
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
