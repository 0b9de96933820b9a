"""Problems of one's own, from a JSONL file: one object per line with a question and what its grader needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataError, NoGrader
from harness.grading.boxes import last_box
from harness.grading.grade import FAMILIES, kind_of
from harness.grading.numbers import value
from harness.records import Problem


def read_problems(path: Path, family: str | None = None) -> Iterator[Problem]:
    """Problems of a JSONL file, one at a time.

    A line holds ``prompt`` (or ``problem``, or ``question``), ``gold`` (or ``answer``, or ``solution``) and perhaps
    ``id`` and ``family``; a gold answer that is no object counts as ``{"answer": ...}``, of a solution what stands
    after ``####`` or in its last box. ``family`` is that of lines without one. Raises DataError naming
    file and line, OSError when the file cannot be read.
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
    gold = gold if isinstance(gold, dict) else {"answer": _final(gold) if isinstance(gold, str) else gold}
    if why := gold_defect(str(of), gold):
        raise DataError(f"{where}: {why}")
    return Problem(
        id=str(name) if name is not None else f"{of}-{digest}", family=str(of), prompt=prompt, gold=gold, split="search"
    )


def check_documents(task: str, documents: Sequence[Mapping[str, Any]]) -> None:
    """What a task of one's own gives lm-eval: an id of its own, a prompt, and a gold answer as JSON text of an object.

    Raises DataError naming the first document that will not do.
    """
    seen: set[str] = set()
    if not documents:
        raise DataError(f"{task}: has no problems")
    for number, document in enumerate(documents):
        where, name = f"{task}: document {number}", document.get("id")
        if not isinstance(name, str) or not name:
            raise DataError(f"{where}: needs an id that is text (it has {name!r:.40})")
        if name in seen:
            raise DataError(f"{where}: the id {name!r:.40} stands in an earlier one, too")
        seen.add(name)
        if not isinstance(document.get("prompt"), str):
            raise DataError(f"{where}: has no text under prompt")
        try:
            gold = json.loads(document["gold"])
            why = gold_defect(str(document.get("family")), gold) if isinstance(gold, dict) else "it is no object"
        except (TypeError, ValueError):
            why = "it is no JSON text"
        except NoGrader as error:
            raise DataError(f"{where}: {error}") from None
        if why:
            raise DataError(f"{where}: gold must be an object written as JSON text: {why}")


def _final(text: str) -> str:
    """The answer at the end of a worked solution."""
    _, marks, after = text.rpartition("####")
    return after.strip() if marks else last_box(text) or text


def gold_defect(family: str, gold: Mapping[str, Any]) -> str:
    """Why no response can be graded by this gold answer, as far as can be told without loading a grader; or ""."""
    kind = kind_of(family)
    if kind == "instructions":
        names, settings = gold.get("instruction_id_list"), gold.get("kwargs")
        if isinstance(names, list) and isinstance(settings, list) and names and len(names) == len(settings):
            return ""
        return "the gold answer needs instruction_id_list and kwargs, two lists of one length"
    if kind == "plan":
        forms = ("init", "goal"), ("facts", "goals", "objects"), ("domain", "problem")
        if any(gold.keys() >= set(form) for form in forms):
            return ""
        return "the gold answer needs " + ", or ".join(" and ".join(form) for form in forms)
    answer = gold.get("answer")
    if answer is None:
        return "the gold answer has nothing under answer"
    if isinstance(answer, dict | list) or not str(answer).strip():
        return "the gold answer is empty, or a list or an object in the place of a value"
    if kind == "number" and value(str(answer)) is None:
        return f"the gold answer {str(answer)[:40]!r} is not a number"
    return ""


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)
