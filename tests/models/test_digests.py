"""What a digest follows: content and commit, not where a model lies or how large its files are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.models.loading import model_digest, tokenizer_digest


def test_weights_are_not_read_into_memory(tmp_path):
    """A file of 400 MB is identified by a process that may take no more than 300 MB."""
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(400_000_000)
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, (300_000_000, 300_000_000))
from harness.models.loading import model_digest
print(model_digest({str(tmp_path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == model_digest(str(tmp_path))


def cached(cache: Path, commit: str) -> None:
    """As the client of the hub lays a snapshot of a model down, with its branch main at ``commit``."""
    snapshot = cache / "models--maker--model" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "tokenizer_config.json").write_text("{}")
    refs = cache / "models--maker--model" / "refs"
    refs.mkdir(exist_ok=True)
    (refs / "main").write_text(commit)


def test_a_model_of_the_hub_is_another_one_at_another_commit(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    unknown = model_digest("maker/model")
    cached(tmp_path, "a" * 40)
    first, words = model_digest("maker/model"), tokenizer_digest("maker/model")
    cached(tmp_path, "b" * 40)
    assert len({unknown, first, model_digest("maker/model")}) == 3
    assert tokenizer_digest("maker/model") != words
    assert model_digest("no name: of the hub") != model_digest("no name: of the hub either")


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "model.safetensors").symlink_to("/proc/self/mem")
    with pytest.raises(HarnessError, match=r"model\.safetensors: "):
        model_digest(str(tmp_path))
