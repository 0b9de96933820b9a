"""A backend is one file: what is put into the package is found by its name, on the command line and in digests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import harness

TOY = """
from contextlib import contextmanager

from harness.models.backends import mock


@contextmanager
def running(spec, folder):
    with mock.running(spec.model_copy(update={"backend": "mock"}), folder) as (completer, tokenizer):
        completer.digest = "toy"
        yield completer, tokenizer
"""


def test_a_backend_is_one_file(tmp_path):
    root = Path(harness.__file__).parent
    for name in ("harness", "tasks", "results"):
        shutil.copytree(root.parent / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "harness" / "models" / "backends" / "toy.py").write_text(TOY)

    def python(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, *args], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    asks = ["--model", "shipped:student", "--backend", "toy", "--tasks", "letter_count", "--limit", "2"]
    assert "letter_count" in python("-m", "harness", "eval", *asks)
    [manifest] = (tmp_path / "runs" / "evals").glob("*/manifest.json")
    assert '"model_digest": "toy"' in manifest.read_text()
    code = "from harness.pipeline.identity import closure; print(*closure('harness.pipeline.kinds.evaluate'))"
    assert "harness.models.backends.toy" in python("-c", code)
