"""``harness run-recipe`` and ``harness recipes``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("run-recipe")(run_recipe)
    app.command("recipes")(recipes)


def run_recipe(
    name: Annotated[str, typer.Argument(help="A shipped recipe ('harness recipes' lists them) or a YAML file.")],
    profile: Annotated[str, typer.Option(help="The scale to run at, or a YAML file.")] = "tiny",
    arms: Annotated[
        str | None, typer.Option(help="Only these arms, separated by commas; the control is added.")
    ] = None,
    store: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the stages, cached or not, and stop.")] = False,
    display: Annotated[str, typer.Option(help="full, plain or none; plain where stdout is no terminal.")] = "auto",
) -> None:
    """Run a recipe, or go on with it; end in its leaderboard."""
    import time

    from harness.cli import claim_tables
    from harness.cli.show import Display, dry_run_table, leaderboard, stage_times
    from harness.ledger import board
    from harness.pipeline import claims, graph, recipe, runner

    started = time.monotonic()
    plan, scale = recipe.load_recipe(name), recipe.load_profile(profile)
    chosen = None
    if arms is not None:
        wanted = [arm.strip() for arm in arms.split(",")]
        chosen = [arm for arm in plan.arms if arm in wanted or arm == plan.control]
        chosen += [arm for arm in wanted if arm not in plan.arms]
    jobs = graph.build(plan, scale, chosen)
    if dry_run:
        dry_run_table(jobs, store)
        return
    with Display(display, jobs) as live:
        runner.run(jobs, store, scale.workers, live.listen)
    stage_times(jobs, store, time.monotonic() - started)
    if jobs.arms:
        result = board.save(store, plan.name, scale.name, plan.control, jobs.arms)
        leaderboard(board.load(store, result))
        found = claims.of_saved(store, result, plan.claims)
        if found:
            claim_tables.show(plan.name, plan.claims, found)


def recipes(name: Annotated[str | None, typer.Argument(help="Print this recipe's file.")] = None) -> None:
    """List the shipped recipes and profiles, or print one."""
    from harness.pipeline import recipe

    if name is not None:
        print(recipe.find(name, recipe.shipped_recipes(), "recipe").read_text(), end="")
        return
    for shipped in recipe.recipe_names():
        print(f"{shipped:<16} {recipe.load_recipe(shipped).about}")
    print()
    for shipped in recipe.profile_names():
        print(f"--profile {shipped:<8} {recipe.load_profile(shipped).about}")
