"""``harness run-recipe`` and ``harness recipes``."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from harness.cli import options
from harness.errors import Usage
from harness.files import read_text
from harness.pipeline import preview, record, runner
from harness.pipeline.graph import Graph, build
from harness.pipeline.recipe import MOST_SEEDS, SEEDS, Profile, Recipe, profile_names, recipe_names
from harness.pipeline.recipe_files import find, is_profile, load_profile, load_recipe, split_settings
from harness.results.records import RunRecord
from harness.results.store import Store, read_kept
from harness.view import conclusion
from harness.view import recipes as view
from harness.view.progress import Display
from harness.view.text import hanging

Name = Annotated[str, Argument(help="A shipped recipe ('harness recipes ls') or a YAML file.")]
ProfileName = Annotated[str | None, Option(help="Scale, or a YAML file; default: the recipe's, tiny.", metavar="NAME")]
Set = Annotated[
    list[str] | None,
    Option("--set", help="key=value, again for more: stages.cdpo.objective.label_smoothing=0.2, "
                 "profile.eval.count=50.", metavar="KEY=VALUE"),
]  # fmt: skip


def run_recipe(
    name: Name,
    profile: ProfileName = None,
    arms: Annotated[str | None, Option(help="Only these arms (a,b); the control is added.", metavar="NAMES")] = None,
    seeds: Annotated[str | None, Option(help="Trainings of each arm (3), or which seeds (0,4,7).", metavar="N")] = None,
    until: Annotated[str | None, Option(help="Only this stage and what it needs; no scores.", metavar="STAGE")] = None,
    settings: Set = None,
    store: Annotated[Path, Option(help="Where results are kept.")] = Path("runs"),
    executor: Annotated[str, Option(help="local, or ray: stages on a cluster that sees the store.")] = "local",
    address: Annotated[str | None, Option(help="Of a Ray cluster; default: start one here.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Show the stages and what they would take; stop.")] = False,
    display: Annotated[str, Option(help="full, plain or none; plain where stdout is no terminal.")] = "auto",
) -> None:
    """Run a recipe, or go on with it; end in its leaderboard, its claims and a report."""
    started = time.monotonic()
    options.one_of("--executor", executor, ("local", "ray"))
    options.one_of("--display", display, Display.MODES)
    plan, scale = _read(name, profile, settings)
    whole = _graph(plan, scale, arms, seeds)
    graph = whole if until is None else whole.until(until)
    if dry_run:
        options.show(preview.dry_run(plan, scale, graph, store))
        return
    runner.check_files(graph, store)
    again = _command(name, settings, profile=profile, arms=arms, seeds=seeds, until=until)
    kept = Store(store)
    with (
        kept.wanting(record.run_id(plan, scale, graph), graph.jobs, again),
        Display(display, len(graph.jobs), preview.summary) as live,
    ):
        runner.run(graph, store, scale.workers, live.listen, executor=executor, address=address)
        wall = time.monotonic() - started
        run = record.save(kept, plan, scale, graph, wall, again) if graph.arms else None
    options.show(view.stage_times(preview.stage_rows(graph, store), wall))
    if run is not None:
        _conclude(plan, store, run)
    for job in graph.jobs.values():
        if job.stage == until:
            options.say(f"{until}: {kept.stage(job.digest)}")


def _command(name: str, settings: list[str] | None, **chosen: str | None) -> str:
    """The command line that makes a run again."""
    words = [word for key, value in chosen.items() if value is not None for word in (f"--{key}", value)]
    words += [word for setting in settings or [] for word in ("--set", setting)]
    return shlex.join(["harness", "run-recipe", name, *words])


def _read(name: str, profile: str | None, settings: list[str] | None) -> tuple[Recipe, Profile]:
    of_recipe, of_profile = split_settings(settings or [])
    scale = load_profile(profile or load_recipe(name, of_recipe).profile, of_profile)
    return load_recipe(name, of_recipe, scale), scale


def _graph(plan: Recipe, scale: Profile, arms: str | None, seeds: str | None) -> Graph:
    wanted = options.names(arms or "")
    chosen = [arm for arm in plan.arms if arm in wanted or arm == plan.control]
    chosen += [arm for arm in wanted if arm not in plan.arms]
    graph = build(plan, scale, None if arms is None else chosen, _seeds(seeds))
    for model in dict.fromkeys(graph.left_out.values()):
        left = [arm for arm, lacks in graph.left_out.items() if lacks == model]
        options.complain(f"profile {scale.name} has no model {model!r}; left out: {', '.join(left)}")
    return graph


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    numbers: list[int] = []
    with suppress(ValueError):
        numbers = SEEDS.validate_json(f"[{text}]", strict=True)
    if not numbers or ("," not in text and not 1 <= numbers[0] <= MOST_SEEDS):
        how_many = f"how many (3; {MOST_SEEDS:,} at most)"
        raise Usage(f"--seeds {text[:40]}: give {how_many}, or which, separated by commas and each once (0,4,7)")
    return numbers if "," in text else list(range(numbers[0]))


def _conclude(plan: Recipe, store: Path, run: Path) -> None:
    """Show the tables of a recorded run and its claims."""
    for page in conclusion.pages(read_kept(run, RunRecord), options.results(store), plan.claims):
        options.show(page)
    options.say(f"run {run.parent.name}: report in {run.parent / 'report.html'}")


def ls() -> None:
    """List the shipped recipes and profiles."""
    for name in recipe_names():
        print(hanging(f"{name:<16} ", load_recipe(name).about))
    print()
    for name in profile_names():
        print(hanging(f"--profile {name:<8} ", load_profile(name).about))


def _file(name: str) -> Path:
    """The file of a recipe, or of a profile that no recipe has the name of."""
    return find(name, "profile" if name in profile_names() and name not in recipe_names() else "recipe")


def cat(name: Annotated[str, Argument(help="A recipe or profile.")]) -> None:
    """Print the file of a recipe or profile."""
    print(read_text(_file(name)), end="")


def cp(
    name: Annotated[str, Argument(help="A recipe or profile.")],
    to: Annotated[Path, Argument(help="Where the copy goes: a file ending in .yaml, or a folder.")],
) -> None:
    """Copy a recipe or profile, to change it. Nothing is overwritten."""
    source = _file(name)
    print(options.copied(source.read_bytes(), source.name, to))


def validate(
    name: Annotated[str, Argument(help="A recipe or profile, or a YAML file of one.")],
    profile: Annotated[str | None, Option(help="At this profile alone; default: at every shipped one.")] = None,
    settings: Set = None,
) -> None:
    """Say everything that is wrong with a recipe, with file and line, or at which profiles it can run."""
    of_recipe, of_profile = split_settings(settings or [])
    if is_profile(name):
        if of_recipe or profile:
            raise Usage(f"{name} is a profile; of options it takes --set profile.KEY=VALUE alone")
        alone = load_profile(name, of_profile)
        lacks = [model for model, spec in alone.models.items() if spec is None]
        options.say(f"profile {alone.name}: valid" + (f"; without {', '.join(lacks)}" if lacks else ""))
        return
    load_recipe(name, of_recipe)
    for scale in [profile] if profile else profile_names():
        plan, at = _read(name, scale, settings)
        jobs = build(plan, at)
        out = f"; without {', '.join(jobs.left_out)}" if jobs.left_out else ""
        options.say(f"{plan.name} at {scale}: {len(jobs.jobs)} stages, {len(jobs.arms)} arms{out}")


def graph(name: Name, profile: ProfileName = None, settings: Set = None) -> None:
    """Draw which stage starts from which, and which arms are scored."""
    options.show(preview.tree(*_read(name, profile, settings)))


app = options.group(ls, cat, cp, validate, graph)
