"""Problems of one's own, from a JSONL file: one object per line with a question and what its grader needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.grading.grade import FAMILIES, NoGrader, kind_of
from harness.problems.benchmarks.files import DataError
from harness.records import Problem


def read_problems(path: Path, family: str | None = None) -> Iterator[Problem]:
    """Problems of a JSONL file, one at a time.

    A line holds ``prompt`` (or ``problem``, or ``question``), ``gold`` (or ``answer``, or ``solution``) and perhaps
    ``id`` and ``family``; a gold answer that is no object counts as ``{"answer": ...}``. ``family`` is that of lines
    without one. Raises DataError naming file and line, OSError when the file cannot be read.
    """
    seen: set[str] = set()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                row = json.loads(line.decode("utf-8"))
                json.dumps(row, ensure_ascii=False).encode("utf-8")
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where}: not JSON in UTF-8 ({str(error)[:100]})") from None
            problem = _problem(row, family, where)
            if problem.id in seen:
                raise DataError(f"{where}: the id {problem.id!r} stands in an earlier line, too")
            seen.add(problem.id)
            yield problem


def _problem(row: Any, family: str | None, where: str) -> Problem:
    if not isinstance(row, dict):
        raise DataError(f"{where}: not an object with a prompt and a gold answer")
    prompt, gold = (_first(row, names) for names in (("prompt", "problem", "question"), ("gold", "answer", "solution")))
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError(f"{where}: has no text under prompt, problem or question")
    if gold is None:
        raise DataError(f"{where}: has nothing under gold, answer or solution")
    of = row.get("family") or family
    if of is None:
        raise DataError(f"{where}: has no family, and none is given; known: {', '.join(sorted(FAMILIES))}")
    try:
        kind_of(str(of))
    except NoGrader as error:
        raise DataError(f"{where}: {error}") from None
    name = row.get("id")
    digest = hashlib.sha256(f"{of}\n{prompt}".encode()).hexdigest()[:12]
    gold = gold if isinstance(gold, dict) else {"answer": gold}
    return Problem(
        id=str(name) if name is not None else f"{of}-{digest}", family=str(of), prompt=prompt, gold=gold, split="search"
    )


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)
