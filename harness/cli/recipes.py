"""``harness run-recipe`` and ``harness recipes``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Name = Annotated[str, typer.Argument(help="A shipped recipe ('harness recipes ls') or a YAML file.")]
ProfileName = Annotated[
    str | None, typer.Option(help="The scale to run at, or a YAML file; default: the recipe's, tiny.", metavar="NAME")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value, again for more: stages.cdpo.objective.label_smoothing=0.2, "
                 "profile.eval.count=50.", metavar="KEY=VALUE"),
]  # fmt: skip


def register(app: typer.Typer) -> None:
    app.command("run-recipe")(run_recipe)
    group = typer.Typer(help="The recipes and profiles that come with harness: ls, cat, cp, validate, graph.")
    group.command("ls")(ls)
    group.command("cat")(cat)
    group.command("cp")(cp)
    group.command("validate")(validate)
    group.command("graph")(graph)
    app.add_typer(group, name="recipes", no_args_is_help=True)


def run_recipe(
    name: Name,
    profile: ProfileName = None,
    arms: Annotated[
        str | None, typer.Option(help="Only these arms, separated by commas; the control is added.", metavar="NAMES")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="How many trainings of each arm (3), or which seeds (0,4,7).", metavar="N")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only this stage and what it needs; no scores.", metavar="STAGE")
    ] = None,
    settings: Set = None,
    store: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("runs"),
    executor: Annotated[str, typer.Option(help="local, or ray: stages on a cluster that sees the store.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster; default: start one here.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the stages and what they would take; stop.")] = False,
    display: Annotated[str, typer.Option(help="full, plain or none; plain where stdout is no terminal.")] = "auto",
) -> None:
    """Run a recipe, or go on with it; end in its leaderboard, its claims and a report."""
    import shlex
    import time

    from harness.cli import options
    from harness.pipeline import outline, runner
    from harness.view import recipes as view
    from harness.view.progress import Display

    started = time.monotonic()
    options.one_of("--executor", executor, ("local", "ray"))
    options.one_of("--display", display, Display.MODES)
    plan, scale = _read(name, profile, settings)
    jobs = _jobs(plan, scale, arms, seeds)
    jobs = jobs if until is None else jobs.until(until)
    if dry_run:
        title = f"{plan.name} at {scale.name}, seeds {', '.join(map(str, jobs.seeds))}"
        options.show(view.dry_run(title, scale.workers, outline.planned_rows(jobs, store)))
        return
    with Display(display, len(jobs.jobs), outline.summary) as live:
        runner.run(jobs, store, scale.workers, live.listen, executor=executor, address=address)
    wall = time.monotonic() - started
    options.show(view.stage_times(outline.finished_rows(jobs, store), wall))
    if jobs.arms:
        chosen = {"--profile": profile, "--arms": arms, "--seeds": seeds}
        words = [name, *(w for pair in chosen.items() if pair[1] is not None for w in pair)]
        words += [w for setting in settings or [] for w in ("--set", setting)]
        _conclude(plan, scale, jobs, store, wall, shlex.join(["harness", "run-recipe", *map(str, words)]))
    else:
        for digest in (digest for digest, job in jobs.jobs.items() if job.stage == until):
            print(f"{until}: {store / 'stages' / digest}")


def _read(name: str, profile: str | None, settings: list[str] | None) -> Any:
    from harness.pipeline.recipe_files import load_profile, load_recipe, split_settings

    mine, theirs = split_settings(settings or [])
    plan = load_recipe(name, mine)
    return plan, load_profile(profile or plan.profile, theirs)


def _jobs(plan: Any, scale: Any, arms: str | None, seeds: str | None) -> Any:
    from harness.cli import options
    from harness.pipeline.graph import build

    chosen = None
    if arms is not None:
        wanted = options.names(arms)
        chosen = [arm for arm in plan.arms if arm in wanted or arm == plan.control]
        chosen += [arm for arm in wanted if arm not in plan.arms]
    jobs = build(plan, scale, chosen, _seeds(seeds))
    for model in dict.fromkeys(jobs.left_out.values()):
        left = [arm for arm, of in jobs.left_out.items() if of == model]
        options.complain(f"profile {scale.name} has no model {model!r}; left out: {', '.join(left)}")
    return jobs


def _seeds(text: str | None) -> list[int] | None:
    from harness.cli.options import names
    from harness.errors import Usage

    if text is None:
        return None
    try:
        found = [int(part) for part in names(text)]
    except ValueError:
        found = []
    if not found or min(found) < 0 or len(set(found)) < len(found) or ("," not in text and found[0] < 1):
        raise Usage(f"--seeds {text}: give how many (3), or which, separated by commas and each once (0,4,7)")
    return found if "," in text else list(range(found[0]))


def _conclude(plan: Any, scale: Any, jobs: Any, store: Path, wall: float, again: str) -> None:
    """Record the run, show its table and its claims, write its report."""
    from harness.cli import options
    from harness.pipeline import record
    from harness.results import board, claims
    from harness.view import board as board_view
    from harness.view import claims as claims_view

    run = record.save(store, plan, scale, jobs, wall, again)
    options.show(board_view.page(board.load(store, run)))
    found = claims.of_saved(store, run, plan.claims)
    if found:
        options.show(claims_view.page(f"{plan.name} ({scale.name})", plan.claims, found))
    print(f"run {run.parent.name}: report in {run.parent / 'report.html'}")


def ls() -> None:
    """List the shipped recipes and profiles."""
    from harness.pipeline import recipe
    from harness.pipeline.recipe_files import load_profile, load_recipe
    from harness.view.text import hanging

    for shipped in recipe.recipe_names():
        print(hanging(f"{shipped:<16} ", load_recipe(shipped).about))
    print()
    for shipped in recipe.profile_names():
        print(hanging(f"--profile {shipped:<8} ", load_profile(shipped).about))


def _file(name: str) -> Path:
    """The file of a recipe, or of a profile that no recipe has the name of."""
    from harness.pipeline import recipe
    from harness.shipped import shipped

    folder = shipped("recipes")
    if name in recipe.profile_names() and name not in recipe.recipe_names():
        return recipe.find(name, folder / "profiles", "profile")
    return recipe.find(name, folder, "recipe")


def cat(name: Annotated[str, typer.Argument(help="A recipe or profile.")]) -> None:
    """Print the file of a recipe or profile."""
    print(_file(name).read_text(), end="")


def cp(
    name: Annotated[str, typer.Argument(help="A recipe or profile.")],
    to: Annotated[Path, typer.Argument(help="Where the copy goes: a file ending in .yaml, or a folder.")],
) -> None:
    """Copy a recipe or profile, to change it. Nothing is overwritten."""
    from harness.errors import Usage

    source = _file(name)
    target = to / source.name if to.is_dir() else to
    if target.suffix not in (".yaml", ".yml"):
        raise Usage(f"{target}: end the name of the copy in .yaml, so that run-recipe takes it for a file")
    if target.exists():
        raise Usage(f"{target}: is there already; move it away or give another name")
    target.write_text(source.read_text())
    print(target)


def validate(
    name: Annotated[str, typer.Argument(help="A recipe or profile, or a YAML file of one.")],
    profile: Annotated[str | None, typer.Option(help="At this profile alone; default: at every shipped one.")] = None,
    settings: Set = None,
) -> None:
    """Say everything that is wrong with a recipe, with file and line, or at which profiles it can run."""
    from harness.errors import Usage
    from harness.pipeline import recipe
    from harness.pipeline.graph import build
    from harness.pipeline.recipe_files import is_profile, load_profile, load_recipe, split_settings

    mine, theirs = split_settings(settings or [])
    if is_profile(name):
        if mine or profile:
            raise Usage(f"{name} is a profile; of options it takes --set profile.KEY=VALUE alone")
        alone = load_profile(name, theirs)
        lacks = [model for model, spec in alone.models.items() if spec is None]
        print(f"profile {alone.name}: valid" + (f"; without {', '.join(lacks)}" if lacks else ""))
        return
    plan = load_recipe(name, mine)
    for scale in [profile] if profile else recipe.profile_names():
        jobs = build(plan, load_profile(scale, theirs))
        out = f"; without {', '.join(jobs.left_out)}" if jobs.left_out else ""
        print(f"{plan.name} at {scale}: {len(jobs.jobs)} stages, {len(jobs.arms)} arms{out}")


def graph(name: Name, profile: ProfileName = None, settings: Set = None) -> None:
    """Draw which stage starts from which, and which arms are scored."""
    from harness.cli import options
    from harness.pipeline import outline

    options.show(outline.tree(*_read(name, profile, settings)))
