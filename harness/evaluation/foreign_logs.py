"""Files of responses as rows: our JSONL, lm-eval's sample log, Inspect's log. All of it is input from outside."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.evaluation.responses import Row
from harness.files import about

FORMATS = ("jsonl", "lm-eval", "inspect")
# A sample of an Inspect log may unpack to this many bytes, and all of a log's samples together to MOST_BYTES.
SAMPLE_BYTES, MOST_BYTES = 64 << 20, 4 << 30


def read_responses(path: Path, form: str = "jsonl") -> list[Row]:
    """Rows of a file of responses in one of FORMATS; Inspect's log as .eval (a zip) or .json.

    Raises DataError with the line of the first row that cannot be read, and BadFile.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    with about(path):
        if form == "inspect":
            return _inspect(path)
        rows = list(_json_lines(path))
    return [row for _, row in rows] if form == "jsonl" else _lm_eval(path, rows)


def _json_lines(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: not JSON ({str(error)[:80]})") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}:{number}: a row is an object with 'id' (or 'prompt') and 'response'")
            if "\\ud" in line.lower():  # half of a surrogate pair is no text and could not be written again
                row = json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
            yield number, row


def _lm_eval(path: Path, rows: list[tuple[int, Row]]) -> list[Row]:
    """One row for each response; with several filters lm-eval logs every sample once for each."""
    seen: set[Any] = set()
    out: list[Row] = []
    for number, row in rows:
        try:
            if (document := row["doc_id"]) in seen:
                continue
            seen.add(document)
            texts = row["resps"][0]
            if not texts or not all(isinstance(text, str) for text in texts):
                raise TypeError
            out += [{"number": document, "doc": row["doc"], "response": text} for text in texts]
        except (KeyError, IndexError, TypeError):
            why = "not a row of lm-eval's sample log (no doc, doc_id or resps)"
            raise DataError(f"{path}:{number}: {why}") from None
    return out


def _inspect(path: Path) -> list[Row]:
    try:
        if not zipfile.is_zipfile(path):
            return [_of_inspect(sample) for sample in json.loads(path.read_bytes())["samples"]]
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename.startswith("samples/")]
            members = sorted((m for m in members if m.filename.endswith(".json")), key=lambda m: m.filename)
            largest = max(members, key=lambda m: m.file_size, default=None)
            if largest and (largest.file_size > SAMPLE_BYTES or sum(m.file_size for m in members) > MOST_BYTES):
                raise DataError(
                    f"{path}: unpacks to too much ({largest.filename}: {largest.file_size:,} bytes; at most "
                    f"{SAMPLE_BYTES:,} a sample, {MOST_BYTES:,} in all)"
                )
            return [_of_inspect(json.loads(archive.read(member))) for member in members]
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError, RuntimeError,
            zipfile.BadZipFile) as error:  # fmt: skip
        raise DataError(f"{path}: not an Inspect log with samples ({type(error).__name__})") from None


def _of_inspect(sample: Row) -> Row:
    choices = (sample.get("output") or {}).get("choices") or [{}]
    content = (choices[0].get("message") or {}).get("content", "")
    if isinstance(content, list):  # reasoning and text in parts of their own
        thoughts = "".join(str(part.get("reasoning", "")) for part in content if part.get("type") == "reasoning")
        text = "".join(str(part.get("text", "")) for part in content if part.get("type") == "text")
        content = f"<think>{thoughts}</think>{text}" if thoughts else text
    question = sample.get("input", "")
    if isinstance(question, list):
        question = next((str(m.get("content", "")) for m in reversed(question) if m.get("role") == "user"), "")
    return {
        "id": str(sample.get("id", "")), "prompt": question, "response": content, "gold": sample.get("target"),
        "finish": choices[0].get("stop_reason"),
    }  # fmt: skip
