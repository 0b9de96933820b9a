"""Responses generated elsewhere: which problem each row of a file answers, verdicts and metrics."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.evaluation.response_files import Row
from harness.evaluation.response_metrics import judged, of_response
from harness.grading.families import gold_defect
from harness.grading.grade import Grader
from harness.grading.thinking import split
from harness.models.messages import THOUGHTS
from harness.processes import in_threads
from harness.records import Finish, Grade, Problem, Sample
from harness.thoughts import THINK_TAGS, Tags

# Characters of a question that is looked for within longer prompts.
SHORTEST_QUESTION = 20

_NAMES = ("id", "key", "instance_id", "unique_id", "native_id")
_TEXTS = ("prompt", "question", "problem", "query", "source")


@dataclass(frozen=True, kw_only=True)
class Response:
    """One response: its row from 1, the id that names it, and the problem it answers; None: no problem fits.

    ``thought``: what stood in a field of its own, apart from ``text``.
    """

    number: int
    ident: Any
    text: str | None
    finish: Finish
    problem: Problem | None
    thought: str = ""


def match(rows: Sequence[Row], problems: Sequence[Problem], path: Path) -> list[Response]:
    """Each row with its problem: by the exact prompt or question where it has one, else by id, else by the question
    that its prompt holds beside examples and instructions, else by number from 0.

    Raises DataError for a row without a response.
    """
    by_id = {_short(p.native_id): p for p in problems if p.native_id} | {p.id: p for p in problems}
    by_text = {_spaceless(p.source or p.prompt): p for p in problems} | {_spaceless(p.prompt): p for p in problems}
    by_number = {str(i): p for i, p in enumerate(problems)}
    sources = [(text, p) for p in problems if len(text := _spaceless(p.source or p.prompt)) >= SHORTEST_QUESTION]
    fields = [{**row, **row["doc"]} if isinstance(row.get("doc"), dict) else dict(row) for row in rows]
    ids = [[str(one[n]) for n in _NAMES if one.get(n) not in (None, "")] for one in fields]

    def named(names: Sequence[str]) -> Problem | None:
        return next((by_id[n] for each in names for n in (each, _short(each)) if n in by_id), None)

    # One scheme for the whole file: the data set's own ids if all ids are such, numbers from 0 otherwise.
    all_named = all(named(names) for names in ids if names)
    out = []
    for number, (row, one, names) in enumerate(zip(rows, fields, ids, strict=True), 1):
        by_name = named(names if all_named else [n for n in names if not n.isdigit()])
        asked = next((by_text[t] for t in (_spaceless(one.get(n)) for n in _TEXTS) if t and t in by_text), None)
        # Where several problems have one prompt (a turn that conversations share) the id decides.
        same = asked is not None and by_name is not None and _spaceless(by_name.prompt) == _spaceless(asked.prompt)
        if asked is None and by_name is None:
            asked = _within(_spaceless(one.get("prompt")), by_number.get(str(row.get("number"))), sources)
        problem = by_name if asked is None or (same and all_named) else asked
        if problem is None:
            problem = next((by_number[n] for n in [*names, str(row.get("number"))] if n in by_number), None)
        out.append(_response(row, path, number, problem, _ident(one, number, problem)))
    return out


def _within(prompt: str, first: Problem | None, sources: Sequence[tuple[str, Problem]]) -> Problem | None:
    """The problem whose question stands last in a prompt; ``first`` is looked for before all others."""
    found = [(prompt.rfind(text) + len(text), p) for text, p in sources if (p is first or not first) and text in prompt]
    if not found and first:
        return _within(prompt, None, sources)
    return max(found, key=lambda each: each[0])[1] if found else None


def with_gold(rows: Sequence[Row], grader: str, path: Path) -> list[Response]:
    """Rows that carry their gold answer, for the grader named. Raises DataError for one without."""
    out = []
    for number, row in enumerate(rows, 1):
        gold = row.get("gold")
        if grader == "instructions" and gold is None and "instruction_id_list" in row:
            gold = {key: row.get(key) for key in ("instruction_id_list", "kwargs", "prompt")}
        if gold is None:
            raise DataError(f"{path}:{number}: no 'gold'; with --grader every row carries its own")
        if isinstance(gold, str) and gold.lstrip().startswith("{"):  # as tasks hold it, JSON in a string
            with suppress(ValueError, RecursionError):
                gold = json.loads(gold)
        gold = gold if isinstance(gold, dict) else {"answer": str(gold)}
        if why := gold_defect(grader, gold):
            raise DataError(f"{path}:{number}: {why}")
        problem = Problem(id=str(number), family=grader, prompt="", gold=gold)
        out.append(_response(row, path, number, problem, _ident(row, number)))
    return out


def coverage(responses: Sequence[Response], problems: Sequence[Problem]) -> tuple[int, int, int]:
    """(problems without a response, fewest and most responses of the others)."""
    count = Counter(response.problem.id for response in responses if response.problem is not None)
    per = [count[problem.id] for problem in problems]
    some = [number for number in per if number] or [0]
    return per.count(0), min(some), max(some)


def _short(name: str) -> str:
    """A data set's id without what only names its file: 'test/algebra/1.json' is 'algebra/1'."""
    return name.removeprefix("test/").removesuffix(".json")


def _spaceless(text: Any) -> str:
    return " ".join(text.split()) if isinstance(text, str) else ""


def _ident(row: Row, number: int, problem: Problem | None = None) -> Any:
    """A row's own id as it is written, else its problem's, else its number from 0."""
    default = problem.native_id or problem.id if problem else number - 1
    return next((row[name] for name in _NAMES if row.get(name) not in (None, "")), default)


_FINISHES: dict[str, Finish] = {
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "max_length"), "length"),
    **dict.fromkeys(("context", "model_length"), "context"),
    **dict.fromkeys(("", "stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "unknown"), "stop"),
    **dict.fromkeys(("tool_calls", "function_call"), "stop"),
    **dict.fromkeys(("error", "content_filter", "safety", "abort"), "error"),
}


def _response(row: Row, path: Path, number: int, problem: Problem | None, ident: Any) -> Response:
    name = next((name for name in ("response", "output", "completion", "generation") if name in row), None)
    if name is None:
        raise DataError(f"{path}:{number}: no 'response'")
    text = row[name][0] if isinstance(row[name], list) and len(row[name]) == 1 else row[name]
    if not (text is None or isinstance(text, str)):
        raise DataError(f"{path}:{number}: '{name}' is not a text")
    # Why it ended, in whichever server's words; a cut one must not be graded as a whole.
    given = next((row[name] for name in ("finish_reason", "finish", "stop_reason") if row.get(name) is not None), "")
    finish = _FINISHES.get(str(given).lower())
    if finish is None:
        raise DataError(f"{path}:{number}: finish reason {str(given)[:40]!r} is not known; write stop, length or error")
    thoughts = [row[name] for name in THOUGHTS if row.get(name) and row[name] is not True]  # a switch is no thought
    if not all(isinstance(thought, str) for thought in thoughts):
        raise DataError(f"{path}:{number}: {', '.join(THOUGHTS)} hold a thought as text")
    thought = thoughts[0] if thoughts else ""
    return Response(number=number, ident=ident, text=text, finish=finish, problem=problem, thought=thought)


def score(
    responses: Sequence[Response], grader: Grader, threads: int = 4, *, tags: Tags = THINK_TAGS,
    prefilled: bool = False, metrics: bool = False, backend: Any = None,
) -> list[Sample]:  # fmt: skip
    """Verdict and metrics of every response, in order. A response without a problem gets ``infra_error``.

    ``prefilled``: prompts opened the think block. ``metrics``: look for statements. ``backend``: a ``tokenizers``
    object to count with; None: words and marks. An interrupt ends it after the few responses that are being graded.
    """

    def one(response: Response) -> Sample:
        text, finish, problem = response.text or "", response.finish, response.problem
        if problem is None:
            parts, why = split(text, tags, prefilled, response.thought), "no problem of the task has this id or prompt"
            grade = Grade(verdict="infra_error", reason=why, think_state=parts.state)
            measured = of_response(parts, grade.verdict, finish, backend=backend)
        else:
            grade, measured = judged(
                grader,
                problem,
                text,
                finish,
                tags=tags,
                prefilled=prefilled,
                find=metrics,
                backend=backend,
                thought=response.thought,
            )
            if response.text is None and grade.verdict == "no_answer":
                grade = grade.model_copy(update={"reason": "the response is null"})
        return Sample(
            key="", task="score", problem_id=str(response.ident), index=response.number, seed=0, prompt_ids_hash="",
            text=text, token_ids=[], finish=finish, thinking_tokens=measured.thinking_tokens,
            answer_tokens=measured.answer_tokens, grade=grade, prefilled=prefilled, metrics=measured.metrics,
            level=problem.level if problem else 0,
        )  # fmt: skip

    return in_threads(one, responses, threads)


def output_row(response: Response, sample: Sample, metrics: bool) -> dict[str, Any]:
    """The output file's row: id, grade, answer, how it was found, reason, think_state, seconds; strict and loose, or
    the plan."""
    grade = sample.grade
    out = {
        "id": response.ident, "grade": grade.verdict, "answer": grade.answer, "how": grade.how, "reason": grade.reason,
        "think_state": grade.think_state, "seconds": grade.seconds, **grade.details,
    }  # fmt: skip
    if metrics:
        counts = {"thinking_tokens": sample.thinking_tokens, "answer_tokens": sample.answer_tokens}
        out["metrics"] = counts | sample.metrics.model_dump()
    return out
