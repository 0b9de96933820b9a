"""Responses generated elsewhere, in our JSONL, lm-eval's sample log or Inspect's log: all of it is input from outside.

Rows of a file, which problem each of them answers, verdicts and metrics.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.evaluation.response_metrics import judged, of_response
from harness.files import about
from harness.grading.families import gold_defect
from harness.grading.grade import Grader
from harness.grading.thinking import split
from harness.processes import in_threads
from harness.records import Finish, Grade, Problem, Sample
from harness.thoughts import THINK_TAGS, Tags

# A row as it is in a file, with whatever fields its writer gave it.
Row = Mapping[str, Any]
FORMATS = ("jsonl", "lm-eval", "inspect")
# A sample of an Inspect log may unpack to this many bytes, and all of a log's samples together to MOST_BYTES.
SAMPLE_BYTES, MOST_BYTES = 64 << 20, 4 << 30

_NAMES = ("id", "key", "instance_id", "unique_id", "native_id")
_TEXTS = ("prompt", "question", "problem", "query", "source")


@dataclass(frozen=True, kw_only=True)
class Response:
    """One response: its row from 1, the id that names it, and the problem it answers; None: no problem fits."""

    number: int
    ident: Any
    text: str | None
    finish: Finish
    problem: Problem | None


def read_responses(path: Path, form: str = "jsonl") -> list[Row]:
    """Rows of a file of responses in one of FORMATS; Inspect's log as .eval (a zip) or .json.

    Raises DataError with the line of the first row that cannot be read, and BadFile.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    with about(path):
        if form == "inspect":
            return _inspect(path)
        rows = list(_json_lines(path))
    return [row for _, row in rows] if form == "jsonl" else _lm_eval(path, rows)


def _json_lines(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: not JSON ({str(error)[:80]})") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}:{number}: a row is an object with 'id' (or 'prompt') and 'response'")
            if "\\ud" in line.lower():  # half of a surrogate pair is no text and could not be written again
                row = json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
            yield number, row


def _lm_eval(path: Path, rows: list[tuple[int, Row]]) -> list[Row]:
    """One row for each response; with several filters lm-eval logs every sample once for each."""
    seen: set[Any] = set()
    out: list[Row] = []
    for number, row in rows:
        try:
            if (document := row["doc_id"]) in seen:
                continue
            seen.add(document)
            texts = row["resps"][0]
            if not texts or not all(isinstance(text, str) for text in texts):
                raise TypeError
            out += [{"number": document, "doc": row["doc"], "response": text} for text in texts]
        except (KeyError, IndexError, TypeError):
            why = "not a row of lm-eval's sample log (no doc, doc_id or resps)"
            raise DataError(f"{path}:{number}: {why}") from None
    return out


def _inspect(path: Path) -> list[Row]:
    try:
        if not zipfile.is_zipfile(path):
            return [_of_inspect(sample) for sample in json.loads(path.read_bytes())["samples"]]
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename.startswith("samples/")]
            members = sorted((m for m in members if m.filename.endswith(".json")), key=lambda m: m.filename)
            largest = max(members, key=lambda m: m.file_size, default=None)
            if largest and (largest.file_size > SAMPLE_BYTES or sum(m.file_size for m in members) > MOST_BYTES):
                raise DataError(
                    f"{path}: unpacks to too much ({largest.filename}: {largest.file_size:,} bytes; at most "
                    f"{SAMPLE_BYTES:,} a sample, {MOST_BYTES:,} in all)"
                )
            return [_of_inspect(json.loads(archive.read(member))) for member in members]
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError, RuntimeError,
            zipfile.BadZipFile) as error:  # fmt: skip
        raise DataError(f"{path}: not an Inspect log with samples ({type(error).__name__})") from None


def _of_inspect(sample: Row) -> Row:
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


def match(rows: Sequence[Row], problems: Sequence[Problem], path: Path) -> list[Response]:
    """Each row with its problem: by the exact prompt or question where it has one, else by id, else by number from 0.

    Raises DataError for a row without a response.
    """
    by_id = {_short(p.native_id): p for p in problems if p.native_id} | {p.id: p for p in problems}
    by_text = {_spaceless(p.source or p.prompt): p for p in problems} | {_spaceless(p.prompt): p for p in problems}
    by_number = {str(i): p for i, p in enumerate(problems)}
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
        problem = by_name if asked is None or (same and all_named) else asked
        if problem is None:
            problem = next((by_number[n] for n in [*names, str(row.get("number"))] if n in by_number), None)
        out.append(_response(row, path, number, problem, _ident(one, number, problem)))
    return out


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
    return Response(number=number, ident=ident, text=text, finish=finish, problem=problem)


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
            parts, why = split(text, tags, prefilled), "no problem of the task has this id or prompt"
            grade = Grade(verdict="infra_error", reason=why, think_state=parts.state)
            measured = of_response(parts, grade.verdict, finish, backend=backend)
        else:
            grade, measured = judged(
                grader, problem, text, finish, tags=tags, prefilled=prefilled, find=metrics, backend=backend
            )
            if response.text is None and grade.verdict == "no_answer":
                grade = grade.model_copy(update={"reason": "the response is null"})
        return Sample(
            key="", task="score", problem_id=str(response.ident), index=response.number, seed=0, prompt_ids_hash="",
            text=text, token_ids=[], finish=finish, thinking_tokens=measured.thinking_tokens,
            answer_tokens=measured.answer_tokens, grade=grade, prefilled=prefilled, metrics=measured.metrics,
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
