"""A backend is one file: what is put into the package is found by its name, on the command line and in digests."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from harness.models import backends
from harness.models import spec as specs
from harness.models.backends import opened
from harness.models.spec import ModelSpec
from harness.pipeline.identity import closure

TOY = """
from contextlib import contextmanager

from harness.models.backends import mock


@contextmanager
def running(spec, folder):
    with mock.running(spec.model_copy(update={"backend": "mock"}), folder) as (completer, tokenizer):
        completer.digest = "toy"
        yield completer, tokenizer
"""


@pytest.fixture
def toy():
    file = next(iter(backends.__path__)) + "/toy.py"
    with open(file, "w", encoding="utf-8") as out:
        out.write(TOY)
    try:
        yield
    finally:
        import os

        os.unlink(file)
        sys.modules.pop("harness.models.backends.toy", None)
        importlib.reload(specs)


def test_a_backend_is_one_file(toy, tmp_path):
    spec = ModelSpec(model="shipped:student").model_copy(update={"backend": "toy"})
    with opened(spec, tmp_path) as (completer, _):
        assert completer.digest == "toy"
    assert "harness.models.backends.toy" in closure("harness.pipeline.kinds.evaluate")
    args = ["eval", "--model", "shipped:student", "--backend", "toy", "--tasks", "letter_count", "--limit", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *args, "--store", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "letter_count" in done.stdout
