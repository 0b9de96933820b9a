"""The command line: one thin function per command; nothing is decided here."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from harness.errors import BUG, CLOSED_PIPE, INTERRUPTED, HarnessError

# Command or group: the module that registers it, and what it is for. A module is imported when its command is called.
COMMANDS = {
    "eval": ("evaluate", "Evaluate a model; an interrupted run goes on."),
    "check": ("check", "Grade every gold answer, and look at what a run needs."),
    "score": ("score", "Grade responses that were generated elsewhere."),
    "compare": ("compare", "Compare two runs on the same items."),
    "gate": ("compare", "No worse than the baseline? Exit 0, 1 or 4."),
    "rescore": ("compare", "Grade a stored run again with today's graders."),
    "plot": ("runs", "Length distributions and accuracy against token budget."),
    "leaderboard": ("leaderboard", "Arms against a control, with paired differences."),
    "claims": ("leaderboard", "What a paper says of arms, tested on a run."),
    "run-recipe": ("recipes", "Run an ablation to its leaderboard, claims and report."),
    "runs": ("runs", "The store of runs: ls, show, diff, gc, rates."),
    "recipes": ("recipes", "Recipes and profiles: ls, cat, cp, validate, graph."),
    "search": ("search", "Tree-based data: run, show, stats, export, validate."),
    "train": ("train", "Train on searched chains: sft, dpo, masks."),
    "tasks": ("tasks", "Registered tasks and suites; 'show' prints a prompt."),
}


class _Commands(TyperGroup):
    """Loads the module of the command that is called, and no other: help of all of them needs none."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.commands or cmd_name not in COMMANDS:
            return self.commands.get(cmd_name)
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in COMMANDS:
            app = typer.Typer()
            importlib.import_module(f"harness.cli.{COMMANDS[args[0]][0]}").register(app)
            self.commands.update(typer.main.get_group(app).commands)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # whoever read the output has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what the interpreter writes at its end
            raise typer.Exit(CLOSED_PIPE) from None
        return result


def application() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="harness",
        cls=_Commands,
        help="Evaluation-centred bench for reasoning distillation: search, train, score, compare.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)
    return app


def main() -> None:
    """Entry point: errors of ``harness.errors`` become one line and their exit code; a bug shows its traceback."""
    try:
        application()(standalone_mode=True)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("interrupted; the same command goes on from here", file=sys.stderr)
        raise
    except HarnessError as error:
        from harness.cli.options import complain

        complain(str(error))
        sys.exit(error.code)
    except Exception:
        import traceback

        traceback.print_exc()
        sys.exit(BUG)
