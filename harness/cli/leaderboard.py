"""``harness leaderboard``: the table of a finished recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("leaderboard")(leaderboard)


def leaderboard(
    recipe: Annotated[str | None, typer.Argument(help="A recipe that was run; default: the newest.")] = None,
    store: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    markdown: Annotated[bool, typer.Option(help="Print a Markdown table.")] = False,
) -> None:
    """Show arms by rows and tasks by columns, with paired differences to the control arm."""
    from harness.cli import show
    from harness.ledger import board

    if recipe is not None and recipe.endswith((".yaml", ".yml")):
        from harness.pipeline.recipe import load_recipe

        recipe = load_recipe(recipe).name
    table = board.load(store, board.saved(store, recipe))
    if as_json:
        import json

        print(json.dumps({"title": table.title, "control": table.control, "rows": table.rows()}, indent=1))
    elif markdown:
        print(show.markdown(table))
    else:
        show.leaderboard(table)
