"""Long chains of thought that a teacher wrote: read from files, filtered as searched chains are, made into chains.

Two published forms are read: ``conversations`` of ``from`` and ``value`` (Sky-T1), and ``problem`` with ``generations``
or ``messages`` of ``role`` and ``content`` (Open-R1). JSONL or Parquet.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.errors import DataError
from harness.grading.thinking import split
from harness.models.prompts import KNOWN_TAGS, chain_prompt_ids
from harness.problems.file import Row, read_rows
from harness.records import Chain, Finish, Gold, Problem
from harness.thoughts import THINK_CLOSE, THINK_OPEN, special_tokens

# Around Sky-T1's answers.
_SOLUTION = re.compile(r"<\|(?:begin|end)_of_solution\|>")


class Output(BaseModel):
    """What a teacher wrote for a problem, as it wrote it. ``gold`` is empty where the file gives no answer."""

    problem: Problem
    text: str
    finish: Finish = "stop"


class Taught(BaseModel):
    """An output that passed the filters: one think block and an answer, in our tags. ``correct``: None if ungraded."""

    problem: Problem
    text: str
    correct: bool | None
    reason: str


def read_outputs(path: Path, family: str) -> Iterator[Output]:
    """The outputs in a teacher's file, row by row; those with an answer are graded as ``family``.

    Raises DataError naming file and row, BadFile when the file cannot be read.
    """
    for where, row in read_rows(path):
        prompt, texts, gold = _conversation(row, where)
        name = str(row.get("id") or row.get("uuid") or hashlib.sha256(prompt.encode()).hexdigest()[:12])
        problem = Problem(id=name, family=family, prompt=prompt, gold=gold, split="search")
        finishes = row.get("finish_reasons") or ()
        for number, text in enumerate(texts):
            cut = number < len(finishes) and finishes[number] == "length"
            yield Output(problem=problem, text=text, finish="length" if cut else "stop")


def _conversation(row: Row, where: str) -> tuple[str, list[str], Gold]:
    """(question, answers, gold) of a row."""
    gold = row.get("gold", row.get("answer"))
    known = {} if gold in (None, "") else gold if isinstance(gold, dict) else {"answer": gold}
    question = row.get("problem") or row.get("prompt") or row.get("question")
    if row.get("generations"):
        texts = row["generations"]
    else:
        listed = [turn for turn in row.get("messages") or row.get("conversations") or [] if isinstance(turn, dict)]
        turns = [(turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))) for turn in listed]
        asked = [text for who, text in turns if who in ("user", "human")]
        texts = [text for who, text in turns if who in ("assistant", "gpt")]
        if len(asked) > 1:
            raise DataError(f"{where}: a conversation of {len(asked)} turns; only single questions are read")
        question = question or (asked[0] if asked else None)
    if not isinstance(question, str) or not question.strip():
        raise DataError(f"{where}: has no question under problem, messages or conversations")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: has no text under generations, nor an assistant's turn")
    return question, texts, known


def in_our_tags(text: str) -> str:
    """The text with its thinking between our tags, whatever tags the teacher uses."""
    for opening, closing in KNOWN_TAGS[1:]:
        text = text.replace(opening, THINK_OPEN).replace(closing, THINK_CLOSE)
    return _SOLUTION.sub("", text)


def filtered(outputs: Iterable[Output], tokenizers: Sequence[Any] = ()) -> tuple[list[Output], Counter[str]]:
    """What may be trained on, in our tags and each text once, and how many were left out for which reason."""
    foreign, seen = special_tokens(list(tokenizers)), set[tuple[str, str]]()
    kept, left_out = list[Output](), Counter[str]()
    for output in outputs:
        text = in_our_tags(output.text)
        parts = split(text)
        inside = parts.thinking + parts.answer
        reasons = {
            "cut by the limit": output.finish != "stop",
            "without one closed thought": parts.state != "closed",
            "without an answer": not parts.answer.strip(),
            "with foreign tags": any(tag in inside for pair in KNOWN_TAGS for tag in pair)
            or (foreign is not None and foreign.search(text)),
            "duplicates": (output.problem.id, text) in seen,
        }
        if why := next((why for why, holds in reasons.items() if holds), ""):
            left_out[why] += 1
        else:
            seen.add((output.problem.id, text))
            kept.append(output.model_copy(update={"text": text.strip()}))
    return kept, left_out


def chains_of_outputs(taught: Iterable[Taught], tokenizer: Any) -> list[Chain]:
    """Chains in the vocabulary of ``tokenizer``, ranked by length within problem and verdict as searched ones are.

    What could not be graded counts as correct: the file's makers kept it.
    """
    groups: dict[tuple[str, bool], list[Chain]] = {}
    for number, each in enumerate(taught):
        ids = [*tokenizer.encode(each.text, add_special_tokens=False), tokenizer.eos_token_id]
        chain = Chain(
            problem_id=each.problem.id, family=each.problem.family, node=f"teacher.{number}", kinds=[],
            writers=["teacher"], text=each.text, token_ids=ids,
            prompt_ids=list(chain_prompt_ids(tokenizer, each.problem.prompt)), correct=each.correct is not False,
            reason=each.reason,
        )  # fmt: skip
        groups.setdefault((chain.problem_id, chain.correct), []).append(chain)
    ordered = (enumerate(sorted(group, key=lambda chain: chain.length)) for group in groups.values())
    return [chain.model_copy(update={"rank": rank}) for group in ordered for rank, chain in group]
