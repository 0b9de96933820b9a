"""``harness leaderboard``: the table of a finished recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.options import Form, Json, Store
from harness.errors import Usage
from harness.pipeline.recipe import recipe_names
from harness.pipeline.recipe_files import load_recipe
from harness.results import board
from harness.view import board as view

Markdown = Annotated[bool, typer.Option("--markdown", hidden=True)]
_YAML = (".yaml", ".yml")


def register(app: typer.Typer) -> None:
    for command in (leaderboard, claims):
        app.command(command.__name__)(command)


def leaderboard(
    recipe: Annotated[str | None, typer.Argument(help="A recipe, run or file of --json; default: newest.")] = None,
    runs: Annotated[
        str, typer.Option(help="Instead of a recipe: evaluations, separated by commas; the first is the control.")
    ] = "",
    form: Form = "table",
    layout: Annotated[str, typer.Option(help="full, or paper: Table 5's cells, its published rows beneath.")] = "full",
    store: Store = Path("runs"),
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Show arms by rows and tasks by columns, with paired differences to the control arm."""
    options.one_of("--layout", layout, view.LAYOUTS)
    if recipe is not None and recipe.endswith(_YAML):
        recipe = load_recipe(recipe).name
    chosen = options.names(runs)
    if recipe is not None and recipe.endswith(".json"):
        table = board.of_file(Path(recipe))
    else:
        results = options.results(store)
        table = board.of_runs(results, chosen) if chosen else board.of_record(board.saved(results, recipe), results)
    options.show(view.page(table, layout), "md" if markdown else form, as_json)


def claims(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe, a run, or a YAML file for its claims; default: newest.")
    ] = None,
    form: Form = "table",
    store: Store = Path("runs"),
    markdown: Markdown = False,
    as_json: Json = False,
) -> None:
    """What the paper says of a recipe's arms, and whether this run reproduces or contradicts it, or cannot tell."""
    read = recipe is not None and (recipe.endswith(_YAML) or recipe in recipe_names())
    plan = load_recipe(recipe) if recipe is not None and read else None
    if plan is not None and not plan.claims:
        raise Usage(f"recipe {plan.name} makes no claims")
    results = options.results(store)
    record = board.saved(results, plan.name if plan else recipe)
    made = plan.claims if plan else record.claims
    if not made:
        raise Usage(f"recipe {record.recipe} makes no claims")
    findings = board.findings(made, board.samples_of(results, record.arms))
    options.show(view.claims_page(record.title, made, findings), "md" if markdown else form, as_json)
