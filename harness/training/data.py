"""Training rows from files: what ``harness search export`` writes, or TRL's SFT and preference formats.

A row's completion is what the assistant writes, so that nothing else is trained on. Token ids in a file are taken where
the tokenizer to be trained reads the row's prompt as the same ids, else the text is encoded; ids without a text are
taken as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import DataError, ModelError
from harness.models.prompts import encode, first_token, prompt_ids, render, uses_chat
from harness.models.spec import Prompting
from harness.problems.file import read_rows as rows_of
from harness.records import Problem

TooLong = Literal["drop", "stop"]
Messages = list[dict[str, str]]
_KINDS = {"sft": ("completion",), "pairs": ("chosen", "rejected"), "verified": ("completion",)}
RowKind = Literal["sft", "pairs", "verified"]


@dataclass(kw_only=True)
class TrainingRows:
    """What is kept (token ids of prompt and sides; of verified rows the label, too), what was left out, and why."""

    rows: list[Any] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.rows, separators=(",", ":")).encode()).hexdigest()[:16]


def read_rows(
    data: Path, kind: RowKind, tokenizer: Any, max_tokens: int = 0, too_long: TooLong = "drop"
) -> TrainingRows:
    """The rows of ``data``: a file of JSONL, CSV or Parquet, or a folder with ``KIND.jsonl``.

    Rows of more than ``max_tokens`` (0: no limit) are dropped and counted, or stop the reading; so are pairs whose two
    sides are equal. Raises DataError naming file and row, BadFile when the file cannot be read.
    """
    file = data / f"{kind}.jsonl" if data.is_dir() else data
    sides, out = _KINDS[kind], TrainingRows()
    for where, row in rows_of(file):
        try:
            prompt, *completions = _ids(row, sides, tokenizer, out.notes)
            label = [_label(row)] if kind == "verified" else []
        except (DataError, ModelError) as error:
            raise DataError(f"{where}: {error}") from None
        longest = len(prompt) + max(map(len, completions))
        if not prompt or not all(completions):
            out.left_out["rows with an empty prompt or completion"] += 1
        elif len(sides) == 2 and completions[0] == completions[1]:
            out.left_out["pairs of equal sides"] += 1
        elif max_tokens and longest > max_tokens:
            if too_long == "stop":
                raise DataError(f"{where}: {longest:,} tokens, more than {max_tokens:,}; use --too-long drop to go on")
            out.left_out[f"rows of more than {max_tokens:,} tokens"] += 1
        else:
            out.rows.append((prompt, *completions, *label))
    if not out.rows:
        why = "; ".join(f"{n} {text}" for text, n in out.left_out.items())
        raise DataError(f"{file}: no row to train on" + (f" ({why})" if why else ""))
    return out


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


def _label(row: Mapping[str, Any]) -> bool:
    if not isinstance(row.get("label"), bool):
        raise DataError("has no label that is true or false")
    return bool(row["label"])


def _ids(row: Mapping[str, Any], sides: tuple[str, ...], tokenizer: Any, notes: Counter[str]) -> list[list[int]]:
    """The ids of prompt and sides."""
    given: list[Any] = [row.get(f"{side}_ids") for side in ("prompt", *sides)]
    size = len(tokenizer)
    known = all(isinstance(ids, list) and all(type(x) is int and 0 <= x < size for x in ids) for ids in given)
    text = _texts(row, sides)
    if text is None and not known:
        raise DataError(f"has neither prompt, {', '.join(sides)} nor their token ids for this tokenizer")
    if text is None:
        return given
    first, *others = text
    chat = not isinstance(first, str)
    prompt = list(encode(tokenizer, _render(tokenizer, first) if chat else first, chat))
    if known and prompt == given[0]:
        return given
    if known:
        notes["rows of another tokenizer's ids, encoded anew from their text"] += 1
    return [prompt, *(_completion(tokenizer, first, side) for side in others)]


def _texts(row: Mapping[str, Any], sides: tuple[str, ...]) -> list[Any] | None:
    """Prompt and sides as strings or Messages; a conversation under ``messages`` ends in its completion."""
    if sides == ("completion",) and row.get("messages"):
        messages = _messages(row["messages"], "messages")
        if isinstance(messages, str) or len(messages) < 2 or messages[-1]["role"] != "assistant":
            raise DataError("messages do not end in the assistant's reply to something")
        return [messages[:-1], messages[-1:]]
    if any(row.get(name) is None for name in ("prompt", *sides)):
        return None
    return [_messages(row[name], name) for name in ("prompt", *sides)]


def _messages(value: Any, name: str) -> str | Messages:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in value
    ):
        return [{"role": m["role"], "content": m["content"]} for m in value]
    raise DataError(f"{name} is neither a text nor a list of messages with role and content")


def _render(tokenizer: Any, messages: Messages, generate: bool = True) -> str:
    if not uses_chat(tokenizer, Prompting()):
        raise DataError("a conversation, but the tokenizer has no chat template; give texts instead")
    return render(tokenizer, messages, Prompting(), generate)


def _completion(tokenizer: Any, prompt: str | Messages, side: str | Messages) -> list[int]:
    """The ids that follow the prompt's: for a conversation what the template adds, up to the end of the turn."""
    ended = False
    if isinstance(prompt, str) and isinstance(side, str):
        text = written = side
    elif isinstance(prompt, list) and isinstance(side, list):
        if len(side) > 1 or any(message["role"] != "assistant" for message in side):
            raise DataError("a completion is one message of the assistant; put earlier turns into the prompt")
        written = side[0]["content"] if side else ""
        before, whole = _render(tokenizer, prompt), _render(tokenizer, [*prompt, *side], generate=False)
        text, ended = _turn(tokenizer, before, whole, written)
    else:
        raise DataError("prompt and completion must both be texts or both be messages")
    if not written.strip():
        return []
    ids = list(tokenizer.encode(text, add_special_tokens=False))
    if not ended and tokenizer.eos_token_id is None:
        raise DataError("the tokenizer has no end-of-sequence token to end a completion with")
    return ids if ended else [*ids, tokenizer.eos_token_id]


def _turn(tokenizer: Any, before: str, whole: str, written: str) -> tuple[str, bool]:
    """What the template adds to the prompt, up to the token that ends the turn; whether there is such a token.

    What follows it is nobody's to learn. Where a template rewrites the prompt or the reply, the reply stands as it is.
    """
    text = whole[len(before) :]
    at = text.rfind(written.strip())
    if not whole.startswith(before) or at < 0:
        return written, False
    end = at + len(written.strip())
    first = first_token(tokenizer, text[end:])
    return (text[: end + first[0] + len(first[1])], True) if first else (text.rstrip(), False)
