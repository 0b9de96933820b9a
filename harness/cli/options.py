"""Options that several commands share, and their parsing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.errors import Usage

Tasks = Annotated[str, typer.Option(help="Tasks, separated by commas; lm-eval's own by their names.")]
Suite = Annotated[str | None, typer.Option(help="A suite of tasks: embedded, paper or quick.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where benchmark files lie; without it the hub is asked.")
]
TaskPath = Annotated[list[Path] | None, typer.Option(help="A folder with tasks of your own.")]
Store = Annotated[Path, typer.Option(help="Where results are kept.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
RunName = Annotated[str, typer.Argument(help="A run: its folder, or the first letters of its id.")]


def names(text: str) -> list[str]:
    """A comma-separated list without blanks."""
    return [name.strip() for name in text.split(",") if name.strip()]


def words(option: str, text: str) -> list[str]:
    """Arguments in one string, as a shell would split it."""
    import shlex

    try:
        return shlex.split(text)
    except ValueError as error:
        raise Usage(f"{option} {text!r}: {error}") from None


def one_of(option: str, value: str, known: Sequence[str]) -> str:
    from harness.errors import nearest

    if value not in known:
        raise Usage(f"{option} {value}: use {', '.join(known)}{nearest(value, known)}")
    return value


def tags(text: str | None) -> tuple[str, str] | None:
    from harness.thoughts import tags_of

    try:
        return None if text is None else tags_of(text)
    except ValueError as error:
        raise Usage(f"--{error}") from None


def grammar_of(model: str) -> str:
    """The thought grammar where none is named: the paper's, for the shipped models their own."""
    return "embedded" if model.startswith("shipped:") or model == "mock" else "paper"


def print_json(data: Any) -> None:
    """JSON on stdout; what is not a number in JSON (inf, nan) becomes null."""
    print(json.dumps(_finite(data), indent=1, ensure_ascii=False))


def _finite(data: Any) -> Any:
    if isinstance(data, float) and (data != data or data in (float("inf"), float("-inf"))):
        return None
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data


def complain(message: str) -> None:
    print(f"harness: {message}", file=sys.stderr)


def hanging(head: str, text: str) -> str:
    """``text`` after ``head``, in lines of 80 columns that begin beneath its first word."""
    import textwrap

    return textwrap.fill(
        head + text, 80, subsequent_indent=" " * len(head), break_on_hyphens=False, break_long_words=False
    )


def safe(text: str, longest: int = 200) -> str:
    """Model text for a terminal: one line, no control characters or direction marks, shortened."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * longest])
    line = " ".join(shown.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
