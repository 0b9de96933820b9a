"""Training rows from files: what ``harness search export`` writes, or TRL's SFT and preference formats.

A row's completion is what the assistant writes, so that nothing else is trained on. Token ids in a file are taken where
the tokenizer to be trained reads the row's prompt as the same ids, else the text is encoded; ids without a text are
taken as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import DataError, ModelError
from harness.models.messages import THOUGHTS, of_message
from harness.models.prompts import prompt_ids
from harness.problems.file import Row
from harness.problems.file import read_rows as rows_of
from harness.records import Problem
from harness.training.encoding import Encoder, Messages

TooLong = Literal["drop", "stop"]
Kind = Literal["sft", "pairs", "verified"]
SIDES: dict[Kind, tuple[str, ...]] = {
    "sft": ("completion",), "pairs": ("chosen", "rejected"), "verified": ("completion",),
}  # fmt: skip
# Names under which data sets keep thoughts; those that are none of THOUGHTS, or of no message, are not trained on.
_NAMES = {*THOUGHTS, "thought", "thoughts", "cot", "chain_of_thought", "rationale", "thought_process", "scratchpad"}


@dataclass(kw_only=True)
class TrainingRows:
    """What is kept (token ids of prompt and sides; of verified rows the label, too), what was left out, and why."""

    rows: list[Any] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.rows, separators=(",", ":")).encode()).hexdigest()[:16]


def read_rows(data: Path, kind: Kind, tokenizer: Any, max_tokens: int = 0, too_long: TooLong = "drop") -> TrainingRows:
    """The rows of ``data``: a file of JSONL, CSV or Parquet, or a folder with ``KIND.jsonl``.

    Rows of more than ``max_tokens`` (0: no limit) are dropped and counted, or stop the reading; so are pairs whose two
    sides are equal. Raises DataError naming file and row, BadFile when the file cannot be read.
    """
    out = TrainingRows()
    for where, row, ids in encoded_rows(data, kind, tokenizer, out.notes):
        if why := unusable(ids, max_tokens):
            if why.startswith("rows of more than") and too_long == "stop":
                longest = len(ids[0]) + max(map(len, ids[1:]))
                raise DataError(f"{where}: {longest:,} tokens, more than {max_tokens:,}; use --too-long drop to go on")
            out.left_out[why] += 1
        else:
            out.rows.append((*ids, *([row["label"]] if kind == "verified" else [])))
    if not out.rows:
        why = "; ".join(f"{n} {text}" for text, n in out.left_out.items())
        raise DataError(f"{file_of(data, kind)}: no row to train on" + (f" ({why})" if why else ""))
    return out


def file_of(data: Path, kind: Kind) -> Path:
    return data / f"{kind}.jsonl" if data.is_dir() else data


def encoded_rows(
    data: Path, kind: Kind, tokenizer: Any, notes: Counter[str]
) -> Iterator[tuple[str, Row, list[list[int]]]]:
    """(where it stands, row, ids of prompt and sides) of each row, those included that cannot be trained on."""
    encoder = Encoder(tokenizer)
    for where, row in rows_of(file_of(data, kind)):
        try:
            if kind == "verified" and not isinstance(row.get("label"), bool):
                raise DataError("has no label that is true or false")
            yield where, row, _ids(row, SIDES[kind], encoder, notes)
        except (DataError, ModelError) as error:
            raise DataError(f"{where}: {error}") from None


def unusable(ids: list[list[int]], max_tokens: int) -> str:
    """Why a row is left out; empty: it is not."""
    prompt, *sides = ids
    if not all(ids):
        return "rows with an empty prompt or completion"
    if len(sides) == 2 and sides[0] == sides[1]:
        return "pairs of equal sides"
    if max_tokens and len(prompt) + max(map(len, sides)) > max_tokens:
        return f"rows of more than {max_tokens:,} tokens"
    return ""


def asked_rows(problems: Iterable[Problem], tokenizer: Any, answer_tokens: int, room: int = 0) -> TrainingRows:
    """Rows (prompt ids, family, gold) of problems whose prompt and answer have at most ``room`` tokens (0: no limit).

    Raises DataError for none.
    """
    out = TrainingRows()
    for problem in problems:
        ids = list(prompt_ids(tokenizer, problem.prompt))
        if room and len(ids) + answer_tokens > room:
            out.left_out[f"prompts that leave no room for {answer_tokens:,} tokens of answer in {room:,}"] += 1
        else:
            out.rows.append((ids, problem.family, problem.gold))
    if not out.rows:
        why = "; ".join(f"{n:,} {text}" for text, n in out.left_out.items())
        raise DataError(f"no prompt to train on ({why or 'there are no problems'})")
    return out


def _ids(row: Row, sides: tuple[str, ...], encoder: Encoder, notes: Counter[str]) -> list[list[int]]:
    """The ids of prompt and sides. ``notes`` counts what a user should know of a row."""
    given: list[Any] = [row.get(f"{side}_ids") for side in ("prompt", *sides)]
    size = len(encoder.tokenizer)
    known = all(isinstance(ids, list) and all(type(x) is int and 0 <= x < size for x in ids) for ids in given)
    text = _texts(row, sides)
    if text is None and not known:
        raise DataError(f"has neither prompt, {', '.join(sides)} nor their token ids for this tokenizer")
    made = None if text is None else encoder.ids(text[0], text[1:], given[0] if known else None)
    if made and known:
        notes["rows of other token ids than this tokenizer's, encoded anew from their text"] += 1
    ids = made or given
    for name in _untrained(row, sides, ids[1:], encoder.tokenizer):
        notes[f"rows whose {name!r} is not trained on"] += 1
    return ids


def _untrained(row: Row, sides: tuple[str, ...], ids: list[list[int]], tokenizer: Any) -> set[str]:
    """Fields of a row and of its replies that hold a thought which is not in what is trained on."""
    last = [value[-1] for name in ("messages", *sides) if isinstance(value := row.get(name), list) and value]
    holders: list[Mapping[str, Any]] = [row, *(each for each in last if isinstance(each, dict))]
    held = [(name, each[name]) for each in holders for name in _NAMES & each.keys()]
    thoughts = [(name, "".join(value.split())) for name, value in held if isinstance(value, str)]
    if not any(text for _, text in thoughts):
        return set()
    trained = "\n".join("".join(tokenizer.decode(side).split()) for side in ids)
    return {name for name, text in thoughts if text not in trained}


def _texts(row: Row, sides: tuple[str, ...]) -> list[Any] | None:
    """Prompt and sides as strings or Messages; a conversation under ``messages`` ends in its completion.

    Preferences without a prompt, or with a text beside two conversations, share their first messages (TRL's implicit
    prompt).
    """
    if sides == ("completion",) and row.get("messages"):
        messages = _messages(row["messages"], "messages")
        if isinstance(messages, str) or len(messages) < 2 or messages[-1]["role"] != "assistant":
            raise DataError("messages do not end in the assistant's reply to something")
        return [messages[:-1], messages[-1:]]
    given = [row.get(name) for name in sides]
    if None in given:
        return None
    others = [_messages(value, name) for name, value in zip(sides, given, strict=True)]
    if isinstance(row.get("prompt"), list) or (row.get("prompt") is not None and isinstance(others[0], str)):
        return [_messages(row["prompt"], "prompt"), *others]
    if len(others) == 1:
        return None if row.get("prompt") is None else [_messages(row["prompt"], "prompt"), *others]
    if any(isinstance(side, str) for side in others):
        raise DataError("texts without a prompt: where it ends is not to be seen; give it under prompt")
    chosen, rejected = others
    same = 0
    while same < min(len(chosen), len(rejected)) - 1 and chosen[same] == rejected[same]:
        same += 1
    if not same:
        raise DataError("chosen and rejected share no first message to be their prompt")
    return [chosen[:same], chosen[same:], rejected[same:]]


def _messages(value: Any, name: str) -> str | Messages:
    if isinstance(value, str):
        return value
    try:
        read = [(each["role"], *of_message(each)) for each in value]
    except (KeyError, TypeError, AttributeError):
        read = [(None, None, "")]
    if not all(isinstance(role, str) and isinstance(content, str) for role, content, _ in read):
        raise DataError(f"{name} is neither a text nor a list of messages with role and content")
    return [
        {"role": role, "content": content} | ({THOUGHTS[0]: thought} if thought.strip() else {})
        for role, content, thought in read
    ]
