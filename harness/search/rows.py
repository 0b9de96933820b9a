"""Lines of a search's files as typed records, checked where they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from pydantic import ValidationError

from harness.errors import JournalBroken
from harness.files import reason_of
from harness.records import Problem
from harness.search.tree.nodes import Result


class Part(TypedDict):
    """A node as it was written. An answer has its verdict; ``answer`` is what the grader read, ``kind`` in a rest."""

    text: str
    ids: list[int]
    finish: str
    kind: NotRequired[str]
    verdict: NotRequired[str]
    reason: NotRequired[str]
    answer: NotRequired[str]


class NodeRow(Part):
    """One model call: its node, the role that wrote it, tokens generated, and the nodes that followed in one call."""

    node: str
    role: str
    generated: int
    rest: NotRequired[list[Part]]


@dataclass(kw_only=True)
class Stored:
    """One problem of a search: its record, its rows in the order of writing, and why it ended ("" if it has not)."""

    problem: Problem
    prompt_tokens: int
    rows: list[NodeRow] = field(default_factory=list)
    why: str = ""

    def line(self) -> dict[str, Any]:
        """The line of a segment."""
        record = self.problem.model_dump()
        return {"problem": record, "tokens": self.prompt_tokens, "why": self.why, "rows": self.rows}


def result(row: NodeRow) -> Result:
    """A row of the journal as the tree takes it."""
    rest = tuple((part.get("kind", ""), _result(part)) for part in row.get("rest", ()))
    return _result(row, row["generated"], rest)


def _result(part: Part, generated: int = 0, rest: tuple[tuple[str, Result], ...] = ()) -> Result:
    return Result(
        text=part["text"], token_ids=tuple(part["ids"]), finish=part["finish"], verdict=part.get("verdict", ""),
        reason=part.get("reason", ""), answer=part.get("answer", ""), generated=generated, rest=rest,
    )  # fmt: skip


def of_segment(line: Mapping[str, Any], path: Path, number: int) -> Stored:
    """A problem with all its rows: a line of a segment. Raises JournalBroken for another shape."""
    try:
        problem = Problem.model_validate(line["problem"])
        rows = [_node(row) for row in _typed(line, "rows", list)]
        why, tokens = _typed(line, "why", str), _typed(line, "tokens", int)
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, number, error) from None
    return Stored(problem=problem, prompt_tokens=tokens, rows=rows, why=why)


def of_journal(lines: Iterable[dict[str, Any]], path: Path, without: set[str]) -> dict[str, Stored]:
    """The problems of a journal but those in ``without``. Raises JournalBroken for rows of another shape."""
    out: dict[str, Stored] = {}
    for number, line in enumerate(lines, 1):
        try:
            name = _typed(line, "problem", str)
            if name in without:
                continue
            if "record" in line:
                record = Problem.model_validate(line["record"])
                out.setdefault(name, Stored(problem=record, prompt_tokens=_typed(line, "tokens", int)))
            elif name not in out:
                raise ValueError(f"a result of problem {name[:60]!r}, but not the problem")
            elif "done" in line:
                out[name].why = _typed(line, "done", str)
            else:
                del line["problem"]
                out[name].rows.append(_node(line))
        except (KeyError, TypeError, ValueError) as error:
            raise _broken(path, number, error) from None
    return out


def _broken(path: Path, number: int, error: Exception) -> JournalBroken:
    why = reason_of(error) if isinstance(error, ValidationError) else str(error)
    return JournalBroken(
        f"{path}:{number}: not a row of a search ({' '.join(why.split())[:160]}); the file was edited or the disk "
        "failed: delete that line to lose it alone, or use another folder"
    )


def _node(row: Any) -> NodeRow:
    for name, kind in (("node", str), ("role", str), ("generated", int)):
        _typed(row, name, kind)
    for part in (row, *row.get("rest", ())):
        for name in ("text", "finish"):
            _typed(part, name, str)
        if not set(map(type, _typed(part, "ids", list))) <= {int}:
            raise ValueError("ids: not whole numbers")
        for name in ("verdict", "reason", "answer"):
            if name in part:
                _typed(part, name, str)
    for part in row.get("rest", ()):
        _typed(part, "kind", str)
    return row  # type: ignore[no-any-return]


def _typed(row: Mapping[str, Any], name: str, kind: type) -> Any:
    if not isinstance(row, dict) or name not in row:
        raise ValueError(f"has no {name}")
    if type(row[name]) is not kind:
        raise ValueError(f"{name}: not {kind.__name__}")
    return row[name]
