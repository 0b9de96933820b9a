"""Lines of a search's files as typed records, checked where they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from pydantic import ValidationError

from harness.errors import JournalBroken
from harness.files import reason_of
from harness.records import Problem
from harness.search.tree.nodes import Result

_GRADED = ("verdict", "reason", "answer")


class Part(TypedDict):
    """A node as it was written. An answer has its verdict; ``answer`` is what the grader read, ``kind`` in a rest.

    ``generated``: tokens of the model call, and ``rest``: the nodes that followed in it; both in the first node alone.
    """

    text: str
    ids: list[int]
    finish: str
    kind: NotRequired[str]
    verdict: NotRequired[str]
    reason: NotRequired[str]
    answer: NotRequired[str]
    generated: NotRequired[int]
    rest: NotRequired[list[Part]]


class NodeRow(Part):
    """One model call: its first node's id, and the role that wrote it."""

    node: str
    role: str


@dataclass(kw_only=True)
class Stored:
    """One problem of a search: its record, its rows in the order of writing, and why it ended ("" if it has not)."""

    problem: Problem
    prompt_tokens: int
    rows: list[NodeRow] = field(default_factory=list)
    why: str = ""

    def entry(self) -> dict[str, Any]:
        """The line of a segment."""
        record = self.problem.model_dump()
        return {"problem": record, "tokens": self.prompt_tokens, "why": self.why, "rows": self.rows}

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines of a journal, without the ending."""
        name = self.problem.id
        yield {"problem": name, "record": self.problem.model_dump(), "tokens": self.prompt_tokens}
        yield from ({"problem": name, **row} for row in self.rows)


def result(row: Part) -> Result:
    """A row of the journal as the tree takes it."""
    return Result(
        text=row["text"], token_ids=tuple(row["ids"]), finish=row["finish"], verdict=row.get("verdict", ""),
        reason=row.get("reason", ""), answer=row.get("answer", ""), generated=row.get("generated", 0),
        rest=tuple((part.get("kind", ""), result(part)) for part in row.get("rest", ())),
    )  # fmt: skip


def of_segment(line: Mapping[str, Any], path: Path, number: int) -> Stored:
    """A problem with all its rows: a line of a segment. Raises JournalBroken for another shape."""
    try:
        _check(line, rows=list, why=str, tokens=int)
        rows, problem = [_node(row) for row in line["rows"]], Problem.model_validate(line["problem"])
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, number, error) from None
    return Stored(problem=problem, prompt_tokens=line["tokens"], rows=rows, why=line["why"])


def of_journal(lines: Iterable[dict[str, Any]], path: Path, without: set[str]) -> dict[str, Stored]:
    """The problems of a journal but those in ``without``. Raises JournalBroken for rows of another shape."""
    out: dict[str, Stored] = {}
    for number, line in enumerate(lines, 1):
        try:
            _check(line, problem=str)
            name = line.pop("problem")
            if name in without:
                continue
            if "record" in line:
                _check(line, tokens=int)
                record = Problem.model_validate(line["record"])
                out.setdefault(name, Stored(problem=record, prompt_tokens=line["tokens"]))
            elif name not in out:
                raise ValueError(f"a result of problem {name[:60]!r}, but not the problem")
            elif "done" in line:
                _check(line, done=str)
                out[name].why = line["done"]
            else:
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
    _check(row, node=str, role=str, generated=int)
    for part in (row, *row.get("rest", ())):
        _check(part, text=str, finish=str, ids=list, **{name: str for name in _GRADED if name in part})
        if not set(map(type, part["ids"])) <= {int}:
            raise ValueError("ids: not whole numbers")
    for part in row.get("rest", ()):
        _check(part, kind=str)
    return row  # type: ignore[no-any-return]


def _check(row: Any, **kinds: type) -> None:
    for name, kind in kinds.items():
        if not isinstance(row, dict) or name not in row:
            raise ValueError(f"has no {name}")
        if type(row[name]) is not kind:
            raise ValueError(f"{name}: not {kind.__name__}")
