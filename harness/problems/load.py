"""Loaders behind the task files: lm-eval documents with ``id``, ``family``, ``prompt`` and ``gold`` (JSON)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from harness.problems.embedded import problems


class DataError(ValueError):
    """A data file is missing or is not what the task expects; the message says where it was looked for."""


def _dataset(documents: list[dict[str, Any]]) -> dict[str, Any]:
    from datasets import Dataset

    return {"test": Dataset.from_list(documents)}


def embedded(family: str, split: str = "eval", count: int = 300, problem_seed: int = 0, **_: Any) -> dict[str, Any]:
    """Documents of an embedded family. ``count`` problems of ``split``; metadata meant for other tasks is ignored."""
    rows = problems(family, split, count, problem_seed)  # type: ignore[arg-type]
    return _dataset(
        [{"id": p.id, "family": family, "prompt": p.prompt, "gold": json.dumps(p.gold), "level": p.level} for p in rows]
    )


GSM8K_SHA256 = "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14"
GSM8K_FORMAT = "\nThink step by step, then put the final answer in \\boxed{}."


def gsm8k(data_dir: str | None = None, **_: Any) -> dict[str, Any]:
    """GSM8K test (arXiv 2110.14168): 1319 problems from ``data_dir`` (``gsm8k/test.jsonl``), else from the hub."""
    if data_dir is None:
        from datasets import load_dataset

        try:
            rows = [dict(row) for row in load_dataset("openai/gsm8k", "main", split="test")]
        except Exception as error:
            raise DataError(
                f"gsm8k: the hub gave no data ({type(error).__name__}); without network use --data-dir"
            ) from error
    else:
        rows = _read_checked(Path(data_dir), "gsm8k/test.jsonl", GSM8K_SHA256)
    if len(rows) != 1319:
        raise DataError(f"gsm8k: {len(rows)} problems where the test set has 1319")
    documents = []
    for number, row in enumerate(rows):
        gold = row["answer"].rsplit("####", 1)[1].strip().replace(",", "")
        prompt = row["question"].strip() + GSM8K_FORMAT
        documents.append(
            {"id": f"gsm8k-{number:04d}", "family": "gsm8k", "prompt": prompt, "gold": json.dumps({"answer": gold})}
        )
    return _dataset(documents)


def _read_checked(folder: Path, name: str, sha256: str) -> list[dict[str, Any]]:
    path = next((p for p in (folder / name, folder / Path(name).name) if p.exists()), None)
    if path is None:
        raise DataError(f"{folder / name}: no such file; --data-dir must hold {name}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"{path}: not the published file (sha256 differs); scores on it would not be comparable")
    return [json.loads(line) for line in data.decode().splitlines()]


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """lm-eval's scoring hook: accuracy from our grader, on the text alone."""
    from harness.grading.grade import shared_grader

    grade = shared_grader().grade(doc["family"], json.loads(doc["gold"]), results[0])
    return {"acc": float(grade.correct)}
