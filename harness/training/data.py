"""Training rows from files: what ``harness search export`` writes, or TRL's SFT and preference formats.

A row's completion is what the assistant writes, so that nothing else is trained on. Token ids in a file are taken where
the tokenizer to be trained reads the row's prompt as the same ids, else the text is encoded; ids without a text are
taken as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import DataError, ModelError, first_line
from harness.files import about
from harness.models.prompts import encode, render, uses_chat
from harness.models.spec import Prompting

TooLong = Literal["drop", "stop"]
_KINDS = {"sft": ("completion",), "pairs": ("chosen", "rejected")}


@dataclass(kw_only=True)
class TrainingRows:
    """``rows`` of (prompt ids, completion ids ...), what was left out and why, and the digest of what is kept."""

    rows: list[Any] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.rows, separators=(",", ":")).encode()).hexdigest()[:16]


def read_rows(
    data: Path, kind: Literal["sft", "pairs"], tokenizer: Any, max_tokens: int = 0, too_long: TooLong = "drop"
) -> TrainingRows:
    """The rows of ``data``: a JSONL or Parquet file, or a folder with ``sft.jsonl`` or ``pairs.jsonl``.

    Rows of more than ``max_tokens`` (0: no limit) are dropped and counted, or stop the reading; so are pairs whose two
    sides are equal. Raises DataError naming file and row, BadFile when the file cannot be read.
    """
    file = data / f"{kind}.jsonl" if data.is_dir() else data
    sides, out = _KINDS[kind], TrainingRows()
    for where, row in _raw(file):
        prompt, *completions = _ids(row, sides, tokenizer, where, out.notes)
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
            out.rows.append((prompt, *completions))
    if not out.rows:
        why = "; ".join(f"{n} {text}" for text, n in out.left_out.items())
        raise DataError(f"{file}: no row to train on" + (f" ({why})" if why else ""))
    return out


def _raw(file: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Each row after where it stands."""
    if file.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        try:
            with about(file):
                table = pyarrow.parquet.read_table(file)
        except pyarrow.ArrowException as error:
            raise DataError(f"{file}: no Parquet file ({first_line(error, 100)})") from None
        yield from ((f"{file}: row {number}", row) for number, row in enumerate(table.to_pylist(), 1))
        return
    with about(file), file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
                if b"\\ud" in line.lower():  # half of a surrogate pair is JSON, but no text
                    json.dumps(row, ensure_ascii=False).encode()
            except (ValueError, RecursionError) as error:
                raise DataError(f"{file}:{number}: not JSON in UTF-8 ({str(error)[:100]})") from None
            if not isinstance(row, dict):
                raise DataError(f"{file}:{number}: not an object")
            yield f"{file}:{number}", row


def _ids(
    row: dict[str, object], sides: tuple[str, ...], tokenizer: Any, where: str, notes: Counter[str]
) -> list[list[int]]:
    """The ids of prompt and sides."""
    given: list[Any] = [row.get(f"{side}_ids") for side in ("prompt", *sides)]
    size = len(tokenizer)
    known = all(isinstance(ids, list) and all(type(x) is int and 0 <= x < size for x in ids) for ids in given)
    text = _texts(row, sides, where)
    if text is None and not known:
        raise DataError(f"{where}: has neither prompt, {', '.join(sides)} nor their token ids for this tokenizer")
    if text is None:
        return given
    prompt = _prompt(tokenizer, text[0], where)
    if known and prompt == given[0]:
        return given
    if known:
        notes["rows of another tokenizer's ids, encoded anew from their text"] += 1
    return [prompt, *(_completion(tokenizer, text[0], side, where) for side in text[1:])]


Messages = list[dict[str, str]]


def _texts(row: dict[str, object], sides: tuple[str, ...], where: str) -> list[str | Messages] | None:
    """Prompt and sides as strings or lists of messages; a conversation under ``messages`` ends in its completion."""
    if sides == ("completion",) and row.get("messages"):
        messages = _messages(row["messages"], where, "messages")
        if isinstance(messages, str) or len(messages) < 2 or messages[-1]["role"] != "assistant":
            raise DataError(f"{where}: messages do not end in the assistant's reply to something")
        return [messages[:-1], messages[-1:]]
    if any(row.get(name) is None for name in ("prompt", *sides)):
        return None
    return [_messages(row[name], where, name) for name in ("prompt", *sides)]


def _messages(value: Any, where: str, name: str) -> str | Messages:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in value
    ):
        return [{"role": m["role"], "content": m["content"]} for m in value]
    raise DataError(f"{where}: {name} is neither a text nor a list of messages with role and content")


def _prompt(tokenizer: Any, prompt: str | Messages, where: str) -> list[int]:
    if isinstance(prompt, str):
        return list(encode(tokenizer, prompt, chat=False))
    try:
        return list(encode(tokenizer, _render(tokenizer, prompt, where), chat=True))
    except ModelError as error:
        raise DataError(f"{where}: {error}") from None


def _render(tokenizer: Any, messages: Messages, where: str, generate: bool = True) -> str:
    if not uses_chat(tokenizer, Prompting()):
        raise DataError(f"{where}: a conversation, but the tokenizer has no chat template; give texts instead")
    return render(tokenizer, messages, Prompting(), generate)


def _completion(tokenizer: Any, prompt: str | Messages, side: str | Messages, where: str) -> list[int]:
    """The ids that follow the prompt's: for a conversation what the template adds, up to the end of the turn."""
    ended = False
    if isinstance(prompt, str) and isinstance(side, str):
        text = written = side
    elif isinstance(prompt, list) and isinstance(side, list):
        if len(side) > 1 or any(message["role"] != "assistant" for message in side):
            raise DataError(f"{where}: a completion is one message of the assistant; put earlier turns into the prompt")
        written = side[0]["content"] if side else ""
        before = _render(tokenizer, prompt, where)
        text, ended = _turn(tokenizer, before, _render(tokenizer, [*prompt, *side], where, generate=False), written)
    else:
        raise DataError(f"{where}: prompt and completion must both be texts or both be messages")
    if not written.strip():
        return []
    ids = list(tokenizer.encode(text, add_special_tokens=False))
    if not ended and tokenizer.eos_token_id is None:
        raise DataError(f"{where}: the tokenizer has no end-of-sequence token to end a completion with")
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
    ends = [(text.find(token, end), token) for token in tokenizer.get_added_vocab()]
    first = min(((at, token) for at, token in ends if at >= 0), default=None)
    return (text[: first[0] + len(first[1])], True) if first else (text.rstrip(), False)
