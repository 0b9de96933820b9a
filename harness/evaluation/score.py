"""Grading responses that were generated elsewhere: which problem each answers, its verdict, its metrics."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadResponses
from harness.evaluation.response_metrics import analysed, of_response, stated_text
from harness.grading.golds import gold_defect
from harness.grading.grade import Grader
from harness.grading.thinking import split
from harness.records import Finish, Grade, Problem, Sample
from harness.thoughts import THINK_TAGS, Tags


@dataclass(frozen=True)
class Response:
    """One response with the problem it answers; ``problem`` None: no problem of the task fits it."""

    number: int
    ident: Any
    text: str | None
    finish: Finish
    problem: Problem | None


FORMATS = ("jsonl", "lm-eval", "inspect")


def read_responses(path: Path, form: str = "jsonl") -> list[dict[str, Any]]:
    """Rows of a file of responses: our JSONL, lm-eval's sample log, or Inspect's log (.eval or .json).

    Raises BadResponses with the line of the first row that cannot be read.
    """
    if not path.is_file():
        raise BadResponses(f"{path}: no such file")
    if form == "inspect":
        return [_from_inspect(sample) for sample in _inspect_samples(path)]
    rows = list(_json_lines(path))
    if form != "lm-eval":
        return [row for _, row in rows]
    seen: set[Any] = set()
    out = []
    for number, row in rows:
        try:
            # With several filters lm-eval logs every sample once for each.
            if (place := row["doc_id"]) not in seen:
                seen.add(place)
                said = [text for text in row["resps"][0] if isinstance(text, str)]
                if not said or len(said) != len(row["resps"][0]):
                    raise TypeError
                out += [{"number": place, "doc": row["doc"], "response": text} for text in said]
        except (KeyError, IndexError, TypeError):
            raise BadResponses(
                f"{path}:{number}: not a row of lm-eval's sample log (no doc, doc_id or resps)"
            ) from None
    return out


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadResponses(f"{path}:{number}: not JSON ({str(error)[:80]})") from None
            if not isinstance(row, dict):
                raise BadResponses(f"{path}:{number}: a row is an object with 'id' (or 'prompt') and 'response'")
            if "\\ud" in line.lower():  # half of a surrogate pair is no text and could not be written again
                row = json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
            yield number, row


def _inspect_samples(path: Path) -> list[dict[str, Any]]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = sorted(n for n in archive.namelist() if n.startswith("samples/") and n.endswith(".json"))
                return [json.loads(archive.read(name)) for name in names]
        return list(json.loads(path.read_text())["samples"])
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise BadResponses(f"{path}: not an Inspect log with samples ({type(error).__name__})") from None


def _from_inspect(sample: Mapping[str, Any]) -> dict[str, Any]:
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


_NAMES = ("id", "key", "instance_id", "unique_id", "native_id")
_TEXTS = ("prompt", "question", "problem", "query", "source")


def match(rows: Sequence[Mapping[str, Any]], problems: Sequence[Problem], path: Path) -> list[Response]:
    """Each row with its problem: by the exact prompt or question where it has one, else by id, else by number from 0.

    Raises BadResponses for a row without a response.
    """
    by_name = {p.native_id: p for p in problems if p.native_id} | {p.id: p for p in problems}
    by_text = {_spaceless(p.source or p.prompt): p for p in problems} | {_spaceless(p.prompt): p for p in problems}
    by_number = {str(i): p for i, p in enumerate(problems)}
    fields = [{**row, **row["doc"]} if isinstance(row.get("doc"), dict) else dict(row) for row in rows]
    named = [[str(one[n]) for n in _NAMES if one.get(n) not in (None, "")] for one in fields]
    # One scheme for the whole file: the data set's own ids if all ids are such, numbers from 0 otherwise.
    own = all(any(name in by_name for name in names) for names in named if names)
    out = []
    for number, (row, one, names) in enumerate(zip(rows, fields, named, strict=True), 1):
        by_id = next((by_name[n] for n in names if n in by_name and (own or not n.isdigit())), None)
        said = next((by_text[k] for k in (_spaceless(one.get(n)) for n in _TEXTS) if k and k in by_text), None)
        found = said if said is not None and (by_id is None or not own or not _same_text(by_id, said)) else by_id
        if found is None:
            found = next((by_number[n] for n in [*names, str(row.get("number"))] if n in by_number), None)
        text = _response_text(row, path, number)
        out.append(Response(number, _ident(one, number, found), text, _finish(row, path, number), found))
    return out


def own_gold(rows: Sequence[Mapping[str, Any]], grader: str, path: Path) -> list[Response]:
    """Rows that carry their own gold answer, for the grader named. Raises BadResponses for one without."""
    out = []
    for number, row in enumerate(rows, 1):
        gold = row.get("gold")
        if grader == "instructions" and gold is None and "instruction_id_list" in row:
            gold = {key: row.get(key) for key in ("instruction_id_list", "kwargs", "prompt")}
        if gold is None:
            raise BadResponses(f"{path}:{number}: no 'gold'; with --grader every row carries its own")
        if isinstance(gold, str) and gold.lstrip().startswith("{"):  # as tasks hold it, JSON in a string
            with suppress(ValueError):
                gold = json.loads(gold)
        gold = gold if isinstance(gold, dict) else {"answer": str(gold)}
        if why := gold_defect(grader, gold):
            raise BadResponses(f"{path}:{number}: {why}")
        problem = Problem(id=str(number), family=grader, prompt="", gold=gold)
        text = _response_text(row, path, number)
        out.append(Response(number, _ident(row, number), text, _finish(row, path, number), problem))
    return out


def _same_text(a: Problem, b: Problem) -> bool:
    """Whether two problems have one prompt (a turn that several conversations share): then the id decides."""
    return _spaceless(a.prompt) == _spaceless(b.prompt)


def _spaceless(text: Any) -> str:
    return " ".join(text.split()) if isinstance(text, str) else ""


def _response_text(row: Mapping[str, Any], path: Path, number: int) -> str | None:
    for name in ("response", "output", "completion", "generation"):
        if name in row:
            value = row[name]
            if value is None or isinstance(value, str):
                return value
            if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
                return value[0]
            raise BadResponses(f"{path}:{number}: '{name}' is no text")
    raise BadResponses(f"{path}:{number}: no 'response'")


def _ident(row: Mapping[str, Any], number: int, problem: Problem | None = None) -> Any:
    """A row's own id as it is written, else its problem's, else its number from 0."""
    own = next((row[name] for name in _NAMES if row.get(name) not in (None, "")), None)
    return own if own is not None else problem.native_id or problem.id if problem else number - 1


_FINISHES: dict[str, Finish] = {
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "max_length"), "length"),
    **dict.fromkeys(("context", "model_length"), "context"),
    **dict.fromkeys(("", "stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "unknown"), "stop"),
    **dict.fromkeys(("error", "content_filter", "safety", "abort"), "error"),
}


def _finish(row: Mapping[str, Any], path: Path, number: int) -> Finish:
    """Why a response ended, in whichever server's words; a cut one must not be graded as a whole."""
    told = next((row[name] for name in ("finish_reason", "finish", "stop_reason") if row.get(name) is not None), "")
    found = _FINISHES.get(str(told).lower())
    if found is None:
        raise BadResponses(
            f"{path}:{number}: finish reason {str(told)[:40]!r} is not known; write stop, length or error"
        )
    return found


def coverage(responses: Sequence[Response], problems: Sequence[Problem]) -> tuple[int, int, int]:
    """(problems without a response, fewest and most responses of the others)."""
    count = Counter(response.problem.id for response in responses if response.problem is not None)
    per = [count[problem.id] for problem in problems]
    some = [number for number in per if number] or [0]
    return per.count(0), min(some), max(some)


@dataclass(frozen=True)
class Scoring:
    """How responses are read. ``prefilled``: their prompts opened the think block."""

    tags: Tags = THINK_TAGS
    prefilled: bool = False
    metrics: bool = False
    backend: Any = None  # a ``tokenizers`` object to count with


def score(responses: Sequence[Response], grader: Grader, how: Scoring = Scoring(), threads: int = 4) -> list[Sample]:
    """Verdict and metrics of every response, in order. A response without a problem gets ``infra_error``."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda response: _one(response, grader, how), responses))


def _one(response: Response, grader: Grader, how: Scoring) -> Sample:
    text = response.text or ""
    parts = split(text, how.tags, how.prefilled)
    statements: Any = ()
    if response.problem is None:
        reason = "no problem of the task has this id or prompt"
        grade = Grade(verdict="infra_error", reason=reason, think_state=parts.state)
    else:
        gold, family = response.problem.gold, response.problem.family
        grade = grader.grade(family, gold, text, response.finish, how.prefilled, how.tags)
        if response.text is None and grade.verdict == "no_answer":
            grade = grade.model_copy(update={"reason": "the response is null"})
        if how.metrics:
            statements = grader.statements(family, gold, stated_text(analysed(parts)))
    measured = of_response(parts, grade.verdict, response.finish, backend=how.backend, statements=statements)
    return Sample(
        key="", task="score", problem_id=str(response.ident), index=response.number, seed=0, prompt_ids_hash="",
        text=text, token_ids=[], finish=response.finish, thinking_tokens=measured.thinking_tokens,
        answer_tokens=measured.answer_tokens, grade=grade, prefilled=how.prefilled, metrics=measured.metrics,
    )  # fmt: skip


def output_row(response: Response, sample: Sample, metrics: bool) -> dict[str, Any]:
    """The output file's row: id, grade, answer, reason, think_state, seconds; strict and loose, or the plan."""
    grade = sample.grade
    out: dict[str, Any] = {
        "id": response.ident, "grade": grade.verdict, "answer": grade.answer, "reason": grade.reason,
        "think_state": grade.think_state, "seconds": grade.seconds,
    }  # fmt: skip
    out |= grade.details
    if metrics:
        extra = {
            "thinking_tokens": sample.thinking_tokens,
            "answer_tokens": sample.answer_tokens,
            **sample.metrics.model_dump(),
        }
        out["metrics"] = extra
    return out
