"""The page on the architecture, followed word by word in a copy of the checkout: each thing added takes one file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_guides import script

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.slow


def test_what_the_page_adds_works_as_it_stands(tmp_path):
    for name in ("harness", "tasks", "recipes", "results"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    program = tmp_path / ".venv" / "bin" / "harness"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n')
    program.chmod(0o755)
    command = ["bash", "-euo", "pipefail", "-c", script("architecture")]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=600,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    for shown in ("a poem of 2 lines", "sums", "letter_count", '"exclamations"', "sft_long_cot"):
        assert shown in done.stdout
