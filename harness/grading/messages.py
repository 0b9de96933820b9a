"""What a grading process is asked and what it answers; both travel as JSON, one line each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # pydantic is slow to import, and workers need none of it
    from harness.records import Verdict

Gold = Mapping[str, Any]  # a gold answer as the graders read it; ``records.Gold`` is one


class Judgement(NamedTuple):
    """A grader's verdict with its reason, the answer it read, and extras of its kind.

    ``details["how"]``: the way in which a final answer was found, which becomes ``Grade.how``.
    """

    verdict: Verdict
    reason: str
    answer: str = ""
    details: Mapping[str, Any] = {}


class Statement(NamedTuple):
    """An answer stated in a trace up to the character ``end``; ``marked``: as the answer, not as one on the way."""

    end: int
    answer: str
    right: bool
    marked: bool


@dataclass(frozen=True, kw_only=True)
class Question:
    """A visible answer to judge, or (``statements``) a trace in which to look for statements of an answer.

    ``kind``: as ``families.kind_of`` names it. ``cut``: the answer was cut off by a limit.
    """

    kind: str
    gold: Gold
    answer: str
    cut: bool = False
    statements: bool = False

    def line(self) -> bytes:
        return json.dumps(vars(self), sort_keys=True).encode() + b"\n"


class Reply(NamedTuple):
    """``judgement``, or ``statements`` where these were asked for and found in time; after ``seconds``."""

    judgement: Judgement | None = None
    statements: list[Statement] | None = None
    seconds: float = 0.0

    @classmethod
    def of_line(cls, line: bytes, seconds: float) -> Reply:
        judgement, statements, _ = json.loads(line)
        found = statements and [Statement(*each) for each in statements]
        return cls(judgement and Judgement(*judgement), found, seconds)
