"""All commands, and how they are found: the module of a command is imported when the command is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from harness.errors import CLOSED_PIPE

# Command or group: where its function or application stands in this folder, and what it is for.
COMMANDS = {
    "eval": ("evaluate.evaluate", "Evaluate a model; an interrupted run goes on."),
    "check": ("tasks.check", "Grade every gold answer, and look at what a run needs."),
    "score": ("score.score", "Grade responses that were generated elsewhere."),
    "compare": ("compare.compare", "Compare two runs on the same items."),
    "gate": ("compare.gate", "No worse than the baseline? Exit 0, 1 or 4."),
    "probe": ("probe.probe", "How early in its thoughts a stored run knew the answer."),
    "rescore": ("compare.rescore", "Grade a stored run again with today's graders."),
    "plot": ("runs.plot", "Length distributions and accuracy against token budget."),
    "leaderboard": ("compare.leaderboard", "Arms against a control, with paired differences."),
    "claims": ("compare.claims", "What a paper says of arms, tested on a run."),
    "doses": ("compare.doses", "Arms trained at several doses, against a control."),
    "run-recipe": ("recipes.run_recipe", "Run an ablation to its leaderboard, claims and report."),
    "runs": ("runs.app", "The store of runs: ls, show, diff, gc, rates."),
    "recipes": ("recipes.app", "Recipes and profiles: ls, cat, cp, validate, graph."),
    "data": ("data.data", "Problems to search for training data, in none of the suites."),
    "search": ("search.app", "Tree-based data: run, show, stats, export, validate."),
    "train": ("train.app", "Train on searched chains: sft, dpo, masks."),
    "tasks": ("tasks.app", "Registered tasks and suites; 'show' prints a prompt."),
}


def loaded(name: str) -> Any:
    """A command or group, with its options."""
    from harness.cli.specs import with_specs

    (module, attribute), about = COMMANDS[name][0].split("."), COMMANDS[name][1]
    command = getattr(importlib.import_module(f"harness.cli.{module}"), attribute)
    app = typer.Typer()
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name, help=about)
    else:
        app.command(name)(with_specs(command))
    return typer.main.get_group(app).commands[name]


class _Commands(TyperGroup):
    """Loads the command that is called, and no other: help of all of them needs none."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.commands or cmd_name not in COMMANDS:
            return self.commands.get(cmd_name)
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = loaded(args[0])
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
