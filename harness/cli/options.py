"""Options that several commands share, their parsing, and the ways to print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from harness.cli.specs import with_specs
from harness.errors import Usage, nearest
from harness.files import about
from harness.results.store import Store as Results
from harness.view import render
from harness.view.page import Page
from harness.view.text import clean, inert


def _form(name: str) -> str:
    return one_of("--format", name, list(render.forms()))


Tasks = Annotated[str, Option(help="Tasks, separated by commas; lm-eval's own by their names.")]
Suite = Annotated[str | None, Option(help="A suite of tasks: embedded, overthinking, paper or quick.")]
DataDir = Annotated[Path | None, Option("--data-dir", help="Where benchmark files lie; without it the hub is asked.")]
TaskPath = Annotated[list[Path] | None, Option(help="A folder with tasks of your own.")]
Store = Annotated[Path, Option(help="Where results are kept.")]
Json = Annotated[bool, Option("--json", help="Print JSON and nothing else.")]
Form = Annotated[str, Option("--format", callback=_form, help="table, md, csv, json, html or latex (booktabs).")]
RunName = Annotated[str, Argument(help="A run: its folder, or the first letters of its id.")]


def group(*commands: Callable[..., Any], bare: Callable[..., Any] | None = None) -> typer.Typer:
    """Commands under a common name. ``bare`` runs where none of them is named; default: the help."""
    app = typer.Typer(invoke_without_command=bare is not None, no_args_is_help=bare is None)
    if bare is not None:
        app.callback()(bare)
    for command in commands:
        app.command(command.__name__)(with_specs(command))
    return app


def names(text: str) -> list[str]:
    """A comma-separated list without blanks."""
    return [name.strip() for name in text.split(",") if name.strip()]


def one_of(option: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise Usage(f"{option} {value}: use {', '.join(known)}{nearest(value, known)}")
    return value


def tokenizer_of(model: str) -> Any:
    """The tokenizer of a model: a path, a hub name or shipped:NAME; its weights are not loaded."""
    from harness.models.loading import load_tokenizer, resolve

    return load_tokenizer(resolve(model))


def grammar_of(model: str) -> str:
    """The thought grammar where none is named: the paper's, for the shipped models their own."""
    return "embedded" if model.startswith("shipped:") or model == "mock" else "paper"


def results(folder: Path) -> Results:
    """The store of results in ``folder``; files that cannot be read are named on stderr where many are listed."""
    return Results(folder, complain)


def show(page: Page, form: str = "table", as_json: bool = False) -> None:
    """Print what a command has to show: with --json its data alone, and nothing else."""
    render.show(page, "json" if as_json else form)


def say(line: str) -> None:
    """One line on stdout."""
    print(inert(clean(line)))


def complain(message: str, who: str = "harness: ") -> None:
    print(inert(clean(who + message, lines=True)), file=sys.stderr)


def copied(content: bytes, name: str, to: Path) -> Path:
    """Copy the shipped file ``name`` to ``to``, a .yaml file or a folder. Raises Usage, BadFile and NotWritten."""
    target = to / name if to.is_dir() else to
    if target.suffix not in (".yaml", ".yml"):
        raise Usage(f"{target}: end the name of the copy in .yaml, so that it is taken for a file")
    if target.exists():
        raise Usage(f"{target}: is there already; move it away or give another name")
    with about(target):
        target.write_bytes(content)
    return target
