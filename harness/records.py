"""Plain typed data: the only things rooms exchange. Vocabularies are closed: a value outside them is a bug."""

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Split = Literal["pretrain", "search", "dev", "eval"]
ThinkState = Literal["none", "closed", "orphan_close", "unclosed"]
Finish = Literal["stop", "length", "context", "error"]
Verdict = Literal["correct", "wrong", "no_answer", "unfinished", "grader_timeout", "infra_error"]
ErrorType = Literal["repetition", "over_reflection", "instruction_failure", "length"]
MetricValue = bool | int | float | str | None
Gold = dict[str, Any]  # what the grader of a family needs to judge an answer: JSON data, another form for each grader


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(Record):
    """One question. ``gold`` is what the grader of ``family`` needs, ``level`` its difficulty from 1.

    ``native_id`` is its id in the published data set and ``source`` its question without our instructions, where they
    differ from ``id`` and ``prompt``. A ``conversation`` has several problems, one for each ``turn`` from 1.
    """

    id: str
    family: str
    prompt: str
    gold: Gold
    level: int = 0
    split: Split = "eval"
    native_id: str = ""
    source: str = ""
    conversation: str = ""
    turn: int = 0

    @property
    def names(self) -> set[str]:
        """The ids by which a user may ask for it."""
        return {self.id, self.native_id or self.id}

    def document(self) -> dict[str, Any]:
        """The problem as a row of an lm-eval data set: the gold answer is JSON text, one column type for all."""
        row = self.model_dump(exclude={"split", *(() if self.conversation else ("conversation", "turn"))})
        gold, native_id = json.dumps(self.gold, ensure_ascii=False), self.native_id or self.id
        return row | {"gold": gold, "native_id": native_id, "source": self.source or self.prompt}

    @classmethod
    def of_document(cls, document: Mapping[str, Any], split: Split = "eval") -> Self:
        """The problem of an lm-eval row. Raises ValueError for a gold answer that is no JSON object, KeyError, or
        pydantic's ValidationError (a ValueError, too)."""
        gold = document["gold"]
        return cls(
            id=document["id"], family=document["family"], prompt=document["prompt"],
            gold=json.loads(gold) if isinstance(gold, str) else gold, split=split,
            native_id=str(document.get("native_id") or ""), source=document.get("source") or "",
            conversation=document.get("conversation") or "", turn=int(document.get("turn") or 0),
            level=int(document.get("level") or 0),
        )  # fmt: skip


class Grade(Record):
    """A verdict with its reason. ``details`` holds grader-specific extras (failing step, strict list).

    ``how``: the way in which the answer was found, of graders that look for a final one; empty: not known.
    """

    verdict: Verdict
    reason: str
    answer: str = ""
    think_state: ThinkState = "none"
    seconds: float = 0.0
    details: dict[str, Any] = {}
    how: str = ""

    @property
    def correct(self) -> bool:
        return self.verdict == "correct"


class ResponseMetrics(Record):
    """Over-thinking metrics of one response; docs/metrics.md defines each. Positions and lengths are in ``unit``.

    None: not defined for this response, or what it rests on was not found in time. ``analysed``: how many characters
    were looked at, where the response is longer than that. Further metrics need no field here.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, MetricValue] = Field(init=False)

    unit: str = "tokens"
    reflection_words: int = 0
    loop_period: int = 0
    loop_copies: int = 0
    loop_onset: int | None = None
    ngram_loop: bool | None = None
    seq_rep_4: float | None = None
    first_correct: int | None = None
    efficiency: float | None = None
    underthinking: float | None = None
    redundant: float | None = None
    repeats: int | None = None
    oscillations: int | None = None
    abandoned: bool | None = None
    error_type: ErrorType | None = None
    analysed: int | None = None


class Drawn(Record):
    """A line of ``generated.jsonl``: one completion as sampled. ``key``: model, prompt, settings, sample number.

    ``forced``: its thought was closed at the thinking budget.
    """

    key: str
    text: str
    ids: list[int]
    finish: Finish
    forced: bool = False


class Sample(Record):
    """One generation for one problem: ids as sampled, never trimmed; text up to the first stop string in its answer."""

    key: str
    task: str
    problem_id: str
    index: int
    seed: int
    prompt_ids_hash: str
    text: str
    token_ids: list[int]
    finish: Finish
    thinking_tokens: int
    answer_tokens: int
    grade: Grade
    prefilled: bool = False
    forced: bool = False
    level: int = Field(default=0, description="the problem's, 0: it has none", exclude_if=lambda level: not level)
    metrics: ResponseMetrics = ResponseMetrics()


class Chain(Record):
    """Root-to-answer path of a tree. ``rank`` orders lengths within the problem and verdict, 0 = shortest."""

    problem_id: str
    family: str
    node: str
    kinds: list[str]
    writers: list[str]
    text: str
    token_ids: list[int]
    prompt_ids: list[int]
    correct: bool
    reason: str
    rank: int = 0

    @property
    def length(self) -> int:
        return len(self.token_ids)


class Pair(Record):
    """Chosen and rejected chain of one problem with the length of their common token prefix."""

    problem_id: str
    family: str
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    fork: int
    chosen_node: str = ""
    rejected_node: str = ""
