"""Options that several commands share, and their parsing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import Usage

if TYPE_CHECKING:
    from harness.results.store import Store as Results
    from harness.view.page import Page


def _form(name: str) -> str:
    from harness.view.render import forms

    return one_of("--format", name, list(forms()))


Tasks = Annotated[str, typer.Option(help="Tasks, separated by commas; lm-eval's own by their names.")]
Suite = Annotated[str | None, typer.Option(help="A suite of tasks: embedded, paper or quick.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where benchmark files lie; without it the hub is asked.")
]
TaskPath = Annotated[list[Path] | None, typer.Option(help="A folder with tasks of your own.")]
Store = Annotated[Path, typer.Option(help="Where results are kept.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Form = Annotated[str, typer.Option("--format", callback=_form, help="table, md, csv, json, html or latex (booktabs).")]
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


def results(folder: Path) -> Results:
    """The store of results in ``folder``; files that cannot be read are named on stderr where many are listed."""
    from harness.results.store import Store

    return Store(folder, complain)


def show(page: Page, form: str = "table", as_json: bool = False) -> None:
    """Print what a command has to show: with --json its data alone, and nothing else."""
    from harness.view import render

    render.show(page, "json" if as_json else form)


def say(line: str) -> None:
    """One line on stdout."""
    from harness.view.text import clean, inert

    print(inert(clean(line)))


def print_json(data: Any) -> None:
    from harness.view.render.json import dump

    print(dump(data))


def complain(message: str, who: str = "harness: ") -> None:
    from harness.view.text import clean, inert

    print(inert(clean(who + message, lines=True)), file=sys.stderr)
