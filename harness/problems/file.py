"""Problems of one's own: rows of JSONL, CSV or Parquet, each with a question and what its grader needs, or tasks."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from harness.errors import DataError, NoGrader
from harness.files import about
from harness.grading.boxes import last_box
from harness.grading.families import FAMILIES, gold_defect
from harness.records import Gold, Problem

Row = Mapping[str, Any]
LONGEST_CELL = 1 << 24  # characters of one CSV cell

_PROMPTS = ("prompt", "problem", "question")
_GOLDS = ("gold", "answer", "solution")


def read_problems(
    path: Path, family: str | None = None, limit: int | None = None, complete: Callable[[Gold], Gold] | None = None
) -> Iterator[Problem]:
    """The first ``limit`` problems of a file, one at a time.

    A row holds ``prompt`` (or ``problem``, or ``question``), ``gold`` (or ``answer``, or ``solution``) and perhaps
    ``id`` and ``family``. Gold is an object (in CSV: as JSON text), or a plain answer, which counts as
    ``{"answer": ...}``; of a solution what stands after ``####`` or in its last box. ``family`` is that of rows without
    one; ``complete`` adds to a gold answer what its row leaves out. Raises DataError naming file and line (Parquet:
    row), BadFile for a file that cannot be opened.
    """
    seen: set[str] = set()
    for where, row in islice(read_rows(path), limit):
        problem = _problem(row, family, where, complete)
        _check(where, problem.id, seen, problem.family, problem.gold)
        yield problem


def read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """(where it stands, row) of a file by its suffix: .csv, .parquet, anything else JSONL (from a pipe, too)."""
    readers = {".csv": _csv, ".parquet": _parquet}
    for where, row in readers.get(path.suffix.lower(), _jsonl)(path):
        try:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(f"{where}: holds what is neither text nor number ({str(error)[:100]})") from None
        yield where, row


def _jsonl(path: Path) -> Iterator[tuple[str, Row]]:
    with about(path), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}:{number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                row = json.loads(text) if text.strip() else {}
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where}: not JSON in UTF-8 ({str(error)[:100]})") from None
            if not isinstance(row, dict):
                raise DataError(f"{where}: not an object")
            if text.strip():
                yield where, row


def _csv(path: Path) -> Iterator[tuple[str, Row]]:
    csv.field_size_limit(LONGEST_CELL)
    with about(path), path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header: list[str] = []
        first = 1  # line of a row, which may have several
        try:
            for cells in reader:
                where, first = f"{path}:{first}", reader.line_num + 1
                if header and cells and len(cells) != len(header):
                    raise DataError(f"{where}: {len(cells)} cells where the header has {len(header)}")
                if header and cells:
                    yield where, {name: text for name, text in zip(header, cells, strict=True) if text != ""}
                header = header or cells
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}:{reader.line_num or 1}: not CSV in UTF-8 ({error})") from None


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    import pyarrow
    from pyarrow import parquet

    try:
        with about(path), path.open("rb") as data, parquet.ParquetFile(data) as file:
            rows = (row for batch in file.iter_batches(batch_size=1000) for row in batch.to_pylist())
            for number, row in enumerate(rows, 1):
                # A column of objects has the keys of all its rows, and null where a row lacks one.
                objects = [(key, value) for key, value in row.items() if isinstance(value, dict)]
                row |= {key: {k: v for k, v in value.items() if v is not None} for key, value in objects}
                yield f"{path}: row {number}", row
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: not Parquet ({' '.join(str(error).split())[:100]})") from None


def _problem(row: Row, family: str | None, where: str, complete: Callable[[Gold], Gold] | None) -> Problem:
    prompt, given = _first(row, _PROMPTS), _first(row, _GOLDS)
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError(f"{where}: has no text under {', '.join(_PROMPTS[:-1])} or {_PROMPTS[-1]}")
    if given is None:
        raise DataError(f"{where}: has nothing under {', '.join(_GOLDS[:-1])} or {_GOLDS[-1]}")
    of = row.get("family") or family
    if of is None:
        raise DataError(f"{where}: has no family, and none is given; known: {', '.join(sorted(FAMILIES))}")
    digest = hashlib.sha256(f"{of}\n{prompt}".encode()).hexdigest()[:12]
    gold = complete(_gold(given)) if complete else _gold(given)
    name = str(row["id"]) if row.get("id") is not None else f"{of}-{digest}"
    return Problem(id=name, family=str(of), prompt=prompt, gold=gold, split="search")


def _gold(given: Any) -> Gold:
    if isinstance(given, str) and given.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):  # else a set in LaTeX, or text
            given = json.loads(given)
    if isinstance(given, str):  # perhaps a worked solution, with the answer at its end
        _, marks, after = given.rpartition("####")
        given = after.strip() if marks else last_box(given) or given
    return given if isinstance(given, dict) else {"answer": given}


def _first(row: Row, names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _check(where: str, name: str, seen: set[str], family: str, gold: Gold) -> None:
    """Raise DataError for an id that was seen, or a gold answer that cannot be graded by."""
    if name in seen:
        raise DataError(f"{where}: the id {name!r:.40} stands in an earlier one, too")
    seen.add(name)
    try:
        defect = gold_defect(family, gold)
    except NoGrader as error:
        defect = str(error)
    if defect:
        raise DataError(f"{where}: {defect}")


def check_documents(task: str, documents: Sequence[Row]) -> None:
    """Check what a task of the user's own gives lm-eval. Raises DataError naming the first document with a defect.

    Each needs an id that no other has, a prompt, a family, and a gold answer as JSON text of an object.
    """
    if not documents:
        raise DataError(f"{task}: has no problems")
    seen: set[str] = set()
    for number, document in enumerate(documents):
        where, name = f"{task}: document {number}", document.get("id")
        if not isinstance(name, str) or not name:
            raise DataError(f"{where}: needs an id that is text (it has {name!r:.40})")
        for field in ("prompt", "family"):
            if not isinstance(document.get(field), str):
                raise DataError(f"{where}: has no text under {field}")
        try:
            gold = json.loads(document["gold"])
        except (KeyError, TypeError, ValueError, RecursionError):
            raise DataError(f"{where}: gold must be an object written as JSON text: it is no JSON text") from None
        if not isinstance(gold, dict):
            raise DataError(f"{where}: gold must be an object written as JSON text: it is no object")
        _check(where, name, seen, document["family"], gold)
