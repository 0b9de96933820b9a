"""Rows of the published benchmarks: from their files, which must be the published ones, or from the hub."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.files import file_digest, read_json, read_text
from harness.problems.file import Row, read_rows
from harness.records import Problem

# Of each task of a module: its problems, from the files under --data-dir or (None) from the hub.
Loaders = dict[str, Callable[[str | None], list[Problem]]]

# Checksums of the published files by their name under --data-dir, in the form of the program sha256sum.
_SUMS = Path(__file__).parent / "published.sha256"
# Where files come from that neither the package nor (of some) a hub has, by their folder.
_ORIGINS = {
    "mgsm": ", of github.com/google-research/url-nlp",
    "ntrex": ", of github.com/MicrosoftTranslator/NTREX",
    "planbench": ", of github.com/karthikv792/LLMs-Planning",
}


def read(data_dir: str, name: str) -> list[Row]:
    """Rows of a file (JSONL, CSV, MGSM's TSV, lines of text, or the ``instances`` of a JSON file) under ``data_dir``.

    Raises DataError when it is missing or its sha256 is not the published one.
    """
    folder = Path(data_dir)
    path = next((p for p in (folder / name, folder / Path(name).name) if p.is_file()), None)
    if path is None:
        raise DataError(f"{folder / name}: no such file; --data-dir must hold {_with_origin(name)}")
    sums = {file: checksum for checksum, file in map(str.split, read_text(_SUMS).splitlines())}
    if name in sums and file_digest(path, 64) != sums[name]:
        raise DataError(f"{path}: not the published file (sha256 differs); scores on it would not be comparable")
    if name.endswith(".tsv"):  # without a header or quotes
        lines = (line.split("\t") for line in read_text(path).splitlines())
        return [dict(zip(("question", "answer"), line, strict=True)) for line in lines]
    if name.endswith(".txt"):
        return [{"text": line.strip()} for line in read_text(path).rstrip("\n").split("\n")]
    return list(read_json(path)["instances"]) if name.endswith(".json") else [row for _, row in read_rows(path)]


def _with_origin(name: str) -> str:
    return name + _ORIGINS.get(name.partition("/")[0], "")


def from_hub(name: str, config: str | None = None, split: str = "train") -> list[Row]:
    """Rows of a hub data set. Raises DataError with one line when the hub gives none."""
    from datasets import load_dataset

    is_there = _find_hub()
    try:
        return [dict(row) for row in load_dataset(name, config, split=split)]
    except Exception as error:
        why = "it is out of reach" if not is_there else f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise DataError(f"{name}: the hub gave no data ({why}); without network use --data-dir") from error


@cache
def _find_hub() -> bool:
    """Whether the hub answers. If not, libraries learn so: else they ask for each set six times over half a minute."""
    import datasets.config
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:  # HF_HUB_OFFLINE=1
        return False
    try:
        urllib.request.urlopen(constants.ENDPOINT, timeout=10).close()  # noqa: S310 (the user's own endpoint)
    except (OSError, HTTPException) as error:
        if not isinstance(error, urllib.error.HTTPError):  # which is an answer
            constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
            return False
    return True


def counted(task: str, count: int, rows: list[Row]) -> list[Row]:
    """The rows, if there are as many as the published set has. Raises DataError otherwise."""
    if len(rows) != count:
        raise DataError(f"{task}: {len(rows)} problems where the published set has {count}")
    return rows


def published(task: str, count: int, data_dir: str | None, file: str, *hub: Any, **columns: str) -> list[Row]:
    """The rows of a task: of a file, or of the data set ``hub`` (name, config, split) those with these ``columns``."""
    if data_dir is not None:
        return counted(task, count, read(data_dir, file))
    if not hub:
        raise DataError(f"{task} is on no hub; use --data-dir with {_with_origin(file)}")
    return counted(task, count, [row for row in from_hub(*hub) if all(row[k] == v for k, v in columns.items())])
