"""Rows of the published benchmarks: from their files, which must be the published ones, or from the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.errors import DataError
from harness.files import file_digest, read_json
from harness.problems.file import Row, read_rows
from harness.records import Problem

# Of each task of a module: its problems, from the files under --data-dir or (None) from the hub.
Loaders = dict[str, Callable[[str | None], list[Problem]]]

# sha256 of the published files, by their name under --data-dir.
SHA256 = {
    "gsm8k/test.jsonl": "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
    "math/math500_test.jsonl": "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
    "aime/aime_2024.jsonl": "806c41a04cfb0792fa117d908ac739c75cbf643056348be13f5014fbe8abb437",
    "aime/aime_2025.jsonl": "0273d7ec8325302e725fb27e03f6aa0e3afde5f4c360ddbe9d27d7c45432f363",
    "ifeval/input_data.jsonl": "67ffeee0fcb87c317c5b08a2de85557b4a7e96ada6178aa645b4954fe4b53d49",
    "multi_if/english.csv": "4701b298f3310aa7c45e587675334d23955452472e6c3000f6a4b134e8f8ebb6",
    "planbench/prompts_oneshot/blocksworld.json": "8dd4ce10bf082b580720a91001ae77b4cdc611e79122760fa6673186b28a3e21",
    "planbench/prompts_oneshot/mystery_blocksworld.json": (
        "11fc76918332cce89be6211475bc4afd100334f3777f66ca7b2c60c7b34825ed"
    ),
    "planbench/prompts_zeroshot/blocksworld.jsonl": "3b28b340adbf6c10054dc6a29009b223c08637aa2ad56b880e96e6e809713921",
    "planbench/blocksworld_hard.jsonl": "b10d000bfa080584cf581a88eeff4f7da098f5544b0b59491c6104555ecd147f",
}


def read(data_dir: str, name: str) -> list[Row]:
    """Rows of a file (JSONL, CSV, or the ``instances`` of a JSON file) under ``data_dir``.

    Raises DataError when it is missing or its sha256 is not the published one.
    """
    folder = Path(data_dir)
    path = next((p for p in (folder / name, folder / Path(name).name) if p.is_file()), None)
    if path is None:
        raise DataError(f"{folder / name}: no such file; --data-dir must hold {name}")
    if name in SHA256 and file_digest(path, 64) != SHA256[name]:
        raise DataError(f"{path}: not the published file (sha256 differs); scores on it would not be comparable")
    return list(read_json(path)["instances"]) if name.endswith(".json") else [row for _, row in read_rows(path)]


def from_hub(name: str, config: str | None = None, split: str = "train") -> list[Row]:
    """Rows of a hub data set. Raises DataError with one line when the hub gives none."""
    from datasets import load_dataset

    try:
        return [dict(row) for row in load_dataset(name, config, split=split)]
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise DataError(f"{name}: the hub gave no data ({why}); without network use --data-dir") from error


def counted(task: str, count: int, rows: list[Row]) -> list[Row]:
    """The rows, if there are as many as the published set has. Raises DataError otherwise."""
    if len(rows) != count:
        raise DataError(f"{task}: {len(rows)} problems where the published set has {count}")
    return rows


def published(task: str, count: int, data_dir: str | None, file: str, *hub: str | None, **columns: str) -> list[Row]:
    """The rows of a task: of a file, or of the data set ``hub`` (name, config, split) those with these ``columns``."""
    if data_dir is not None:
        return counted(task, count, read(data_dir, file))
    if not hub:
        raise DataError(f"{task} is on no hub; use --data-dir with {file}")
    return counted(task, count, [row for row in from_hub(*hub) if all(row[k] == v for k, v in columns.items())])
