"""Rows that ``harness claims --json`` and ``harness doses --json`` wrote to a file, read again."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from harness.errors import NoRuns
from harness.files import read_json, reason_of
from harness.results.claims import Finding
from harness.results.doses import Response
from harness.results.records import Claim

_Row = TypeVar("_Row")


class _Judged(Finding):
    """A finding with its claim."""

    model_config = ConfigDict(extra="ignore")

    says: str
    arm: str
    against: str
    metric: str
    expect: str
    margin: float
    decoding: str

    @property
    def made(self) -> Claim:
        return Claim.model_validate(self.model_dump(include={*Claim.model_fields}))


def claims(file: Path) -> tuple[dict[str, Claim], list[Finding]]:
    """Claims by name, and what was found of them. Raises NoRuns."""
    rows = _rows(file, _Judged, "claims")
    return {row.claim: row.made for row in rows}, [*rows]


def responses(file: Path) -> list[Response]:
    """Arms at their doses. Raises NoRuns."""
    return _rows(file, Response, "doses")


def _rows(file: Path, row: type[_Row], command: str) -> list[_Row]:
    try:
        return TypeAdapter(list[row]).validate_python(read_json(file))  # type: ignore[valid-type]
    except ValidationError as error:
        raise NoRuns(f"{file}: not what 'harness {command} --json' writes ({reason_of(error)})") from None
