"""``harness leaderboard``: the table of a finished recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Json, Store


def register(app: typer.Typer) -> None:
    app.command("leaderboard")(leaderboard)


def leaderboard(
    recipe: Annotated[str | None, typer.Argument(help="A recipe that was run; default: the newest.")] = None,
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
    from harness.cli import formats, options, show
    from harness.ledger import board

    form = "json" if as_json else "md" if markdown else options.one_of("--format", form, formats.FORMATS)
    options.one_of("--layout", layout, ("full", "paper"))
    if recipe is not None and recipe.endswith((".yaml", ".yml")):
        from harness.pipeline.recipe import load_recipe

        recipe = load_recipe(recipe).name
    chosen = options.names(runs)
    table = board.of_runs(store, chosen) if chosen else board.load(store, board.saved(store, recipe))
    if form == "json":
        options.print_json({"title": table.title, "control": table.control, "rows": table.rows()})
    elif layout == "paper":
        print(formats.paper(table))
    elif form == "table":
        show.leaderboard(table)
    else:
        print({"md": formats.markdown, "csv": formats.csv_text, "html": formats.html_text}[form](table).rstrip())
