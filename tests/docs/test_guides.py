"""The guides, followed word by word: every command in them runs as it stands, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"
pytestmark = pytest.mark.slow


def script(name: str) -> str:
    blocks = re.findall(r"^```\n(.*?)^```$", (DOCS / f"{name}.md").read_text(), re.MULTILINE | re.DOTALL)
    return "".join(block for block in blocks if "git clone" not in block)  # installing is what make test itself did


@pytest.mark.parametrize("name", ["own-model", "own-task", "own-recipe"])
def test_a_guide_runs_as_it_stands(name, tmp_path):
    program = tmp_path / ".venv" / "bin" / "harness"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n')
    program.chmod(0o755)
    command = ["bash", "-euo", "pipefail", "-c", script(name)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=900, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    assert "Traceback" not in done.stderr
