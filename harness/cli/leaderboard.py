"""``harness leaderboard``: the table of a finished recipe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import Json, Store
from harness.errors import Usage


def register(app: typer.Typer) -> None:
    app.command("leaderboard")(leaderboard)
    app.command("claims")(claims)


def leaderboard(
    recipe: Annotated[str | None, typer.Argument(help="A recipe, run or file of --json; default: newest.")] = None,
    runs: Annotated[
        str, typer.Option(help="Instead of a recipe: evaluations, separated by commas; the first is the control.")
    ] = "",
    form: Annotated[str, typer.Option("--format", help="table, md, csv, json or html.")] = "table",
    layout: Annotated[str, typer.Option(help="full, or paper: Table 5's cells, its published rows beneath.")] = "full",
    store: Store = Path("runs"),
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", hidden=True)] = False,
) -> None:
    """Show arms by rows and tasks by columns, with paired differences to the control arm."""
    from harness.cli import options
    from harness.results import board
    from harness.view import formats, show

    form = "json" if as_json else "md" if markdown else options.one_of("--format", form, formats.FORMATS)
    options.one_of("--layout", layout, ("full", "paper"))
    if recipe is not None and recipe.endswith((".yaml", ".yml")):
        from harness.pipeline.recipe_files import load_recipe

        recipe = load_recipe(recipe).name
    chosen = options.names(runs)
    if recipe is not None and recipe.endswith(".json"):
        table = board.of_file(Path(recipe))
    else:
        table = board.of_runs(store, chosen) if chosen else board.load(store, board.saved(store, recipe))
    if form == "json":
        options.print_json({"title": table.title, "control": table.control, "rows": table.rows()})
    elif layout == "paper":
        print(formats.paper(table, shutil.get_terminal_size((1000, 0)).columns))
    elif form == "table":
        show.leaderboard(table)
    else:
        print({"md": formats.markdown, "csv": formats.csv_text, "html": formats.html_text}[form](table).rstrip())


def claims(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe, a run, or a YAML file for its claims; default: newest.")
    ] = None,
    store: Store = Path("runs"),
    markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown table.")] = False,
    as_json: Json = False,
) -> None:
    """What the paper says of a recipe's arms, and whether this run reproduces or contradicts it, or cannot tell."""
    from harness.cli import options
    from harness.pipeline.recipe import Recipe, recipe_names
    from harness.pipeline.recipe_files import load_recipe
    from harness.results import board
    from harness.results import claims as judged
    from harness.view import claim_tables

    read = recipe is not None and (recipe.endswith((".yaml", ".yml")) or recipe in recipe_names())
    plan = load_recipe(recipe) if recipe is not None and read else None
    if plan is None or plan.claims:
        run = board.saved(store, plan.name if plan else recipe)
        plan = plan or Recipe.model_validate(json.loads(run.read_text())["manifest"]["recipe"])
    if not plan.claims:
        raise Usage(f"recipe {plan.name} makes no claims")
    found = judged.of_saved(store, run, plan.claims)
    if as_json:
        options.print_json([finding.as_dict() | _told(plan.claims[finding.claim]) for finding in found])
    elif markdown:
        print(claim_tables.markdown(plan.claims, found))
    else:
        claim_tables.show(board.title_of(run), plan.claims, found)


def _told(claim: Any) -> dict[str, Any]:
    from harness.results.claims import published

    return {
        "says": claim.says, "arm": claim.arm, "against": claim.against, "metric": claim.metric, "expect": claim.expect,
        "published": published(claim),
    }  # fmt: skip
