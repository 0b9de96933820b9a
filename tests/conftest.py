"""Shared fixtures: the shipped tiny models, and the benchmark data beside the checkout where it is present."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A shell's background job starts with SIGINT ignored, and so would all that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("shared", deadline=None)  # first calls import libraries, and machines are shared
settings.load_profile("shared")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    path = Path(__file__).parent.parent.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("the benchmark data folder ../shared/data is not beside this checkout")
    return path


@pytest.fixture(scope="session")
def student() -> str:
    from harness.models.loading import resolve

    return resolve("shipped:student")


@pytest.fixture(scope="session")
def tokenizer(student: str):
    from harness.models.loading import load_tokenizer

    return load_tokenizer(student)
