"""The benchmark of evaluations beside other tools runs; its figures are no matter of a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_benchmark_of_peers_gives_its_figures():
    program = Path(__file__).parents[2] / "benchmarks" / "eval_peers.py"
    done = subprocess.run(
        [sys.executable, program, "--quick", "--json"], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout)
    assert set(figures["cpu_seconds_to_first_request"]) == {"mock", "openai", "hf"}
    for name in ("eval_vs_bare", "cpu_ms_per_sample", "slots_busy", "vs_lm_eval"):
        assert figures[name] > 0
    assert figures["vs_inspect"] is None
    assert "inspect_ai left out" in done.stderr
