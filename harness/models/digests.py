"""What identifies the weights and the vocabulary of a model, read from its files without loading it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from harness.files import about

# Weights, configurations, vocabularies and templates; not cards and logs.
_IDENTITY = {".safetensors", ".bin", ".json", ".jinja", ".model", ".txt"}
_VOCABULARY = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "tokenizer_config.json", "chat_template.jinja",
)  # fmt: skip
# Written into configurations by libraries; they do not change what a model says.
_VERSIONS = ("transformers_version", "_name_or_path", "is_local", "local_files_only", "backend", "tokenizer_class")


def model_digest(path: str) -> str:
    """Digest of a local model's weights, configuration and tokenizer; of name and commit for a hub model.

    Raises BadFile for a file that cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir():
        return _hub_digest(path)
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix in _IDENTITY)
    return _digest_of(files, without_versions={file.name for file in files if file.suffix == ".json"})


def tokenizer_digest(path: str) -> str:
    """The same of a local tokenizer's vocabulary and chat template alone. Raises BadFile."""
    folder = Path(path)
    if not folder.is_dir():
        return _hub_digest(path)
    files = [folder / name for name in _VOCABULARY if (folder / name).is_file()]
    return _digest_of(files, without_versions={"tokenizer_config.json"})


def _digest_of(files: Iterable[Path], without_versions: set[str]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode())
        with about(file), file.open("rb") as content:
            if file.name in without_versions:
                total.update(_without_versions(content.read()))
            else:  # piece by piece: weights may be larger than the memory
                hashlib.file_digest(content, lambda: total)
    return total.hexdigest()[:16]


def _without_versions(content: bytes) -> bytes:
    with suppress(ValueError, RecursionError):  # loading it will say what is wrong
        data = json.loads(content)
        if isinstance(data, dict):
            return json.dumps({k: v for k, v in data.items() if k not in _VERSIONS}, sort_keys=True).encode()
    return content


def _hub_digest(name: str) -> str:
    """Of the name and the commit that the local cache holds; of the name alone while nothing is cached. No network."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    cached: list[object] = []
    with suppress(HFValidationError):  # no name of the hub
        cached = [try_to_load_from_cache(name, file) for file in ("config.json", "tokenizer_config.json")]
    # The cache's snapshots are named by commit.
    commit = next((Path(path).parent.name for path in cached if isinstance(path, str)), "")
    return hashlib.sha256(f"{name}@{commit}".encode() if commit else name.encode()).hexdigest()[:16]
