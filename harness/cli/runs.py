"""``harness runs`` and ``harness plot``: what was run, how two runs differ, and pictures of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import Json, Store

Id = Annotated[str, typer.Argument(help="A run: its folder, or the first letters of its id.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The store of runs: ls, show, diff, gc, rates.", invoke_without_command=True)
    group.callback()(default)
    group.command("ls")(ls)
    group.command("show")(show)
    group.command("diff")(diff)
    group.command("gc")(gc)
    group.command("rates")(rates)
    app.add_typer(group, name="runs")
    app.command("plot")(plot)


def default(context: typer.Context, store: Store = Path("runs"), as_json: Json = False) -> None:
    """The store of runs: ls (also without a command), show, diff, gc, rates."""
    if context.invoked_subcommand is None:
        ls(store, as_json)


def ls(store: Store = Path("runs"), as_json: Json = False) -> None:
    """List finished recipes and evaluations, newest first."""
    from harness.cli.options import hanging, print_json
    from harness.results.runs import listed
    from harness.results.store import recipes_of

    found, recipes = listed(store), recipes_of(store)
    if as_json:
        print_json({
            "recipes": [{"folder": str(folder), **data} for folder, data in recipes],
            "runs": [{"folder": str(folder), **manifest} for folder, manifest in found],
        })  # fmt: skip
        return
    for folder, data in recipes:
        seeds = len(data["manifest"].get("seeds", []))
        head = f"{folder.name}  {data['manifest']['date']:<20}  "
        print(hanging(head, f"recipe {data['recipe']} at {data['profile']}; {len(data['arms'])} arms, {seeds} seed(s)"))
    for folder, manifest in found:
        decoding = manifest.get("decoding") or {}
        how = f"temperature {decoding.get('temperature')}, {decoding.get('samples', 1)} sample(s)"
        tasks = ", ".join(manifest.get("tasks", []))
        head = f"{folder.name}  {manifest.get('date', ''):<20}  "
        print(hanging(head, f"{manifest.get('model')} on {tasks}; {how}"))
    if not found and not recipes:
        print(f"no finished recipes or evaluations in {store}")


def show(name: Id, store: Store = Path("runs"), as_json: Json = False) -> None:
    """What a run is: its manifest, key by key; of a recipe also its stages and where its report is."""
    from harness.cli.options import print_json
    from harness.results.store import described, flat

    folder, data = described(store, name)
    if as_json:
        print_json({"folder": str(folder), **data})
        return
    print(folder)
    stages = data.get("manifest", {}).get("stages", {})
    for key, value in flat({k: v for k, v in data.items() if k != "manifest"}).items():
        print(f"  {key}: {value}")
    for key, value in flat({k: v for k, v in data.get("manifest", {}).items() if k != "stages"}).items():
        print(f"  {key}: {value}")
    for digest, stage in stages.items():
        print(f"  {digest[:8]} {stage['name']:<24} {stage['seconds']} s")
    if (folder / "report.html").exists():
        print(f"report: {folder / 'report.html'}")


def diff(a: Id, b: Id, store: Store = Path("runs"), as_json: Json = False) -> None:
    """Name every difference between two runs: data, models, settings, packages, hardware. Exit 1 if there is any."""
    from harness.cli.options import print_json, safe
    from harness.results.store import differences

    found = differences(store, a, b)
    if as_json:
        print_json({"differences": [{"key": key, "a": x, "b": y} for key, x, y in found]})
    else:
        for key, x, y in found:
            print(f"{key}: {safe(str(x))} -> {safe(str(y))}")
        if not found:
            print("the same in everything but their dates and times")
    if found:
        raise typer.Exit(1)


def gc(
    store: Store = Path("runs"),
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without it, only show.")] = False,
    as_json: Json = False,
) -> None:
    """Show, or delete, stages that no finished recipe needs. Stages that are being worked on are left alone."""
    from harness.cli.options import print_json
    from harness.results.store import collect, unused

    found = unused(store)
    freed = sum(size for _, _, size in found)
    if delete:
        found = collect(store, found)
        freed = sum(size for _, _, size in found)
    if as_json:
        print_json({"deleted": delete, "bytes": freed,
                    "stages": [{"folder": str(f), "name": n, "bytes": size} for f, n, size in found]})  # fmt: skip
        return
    for folder, name, size in found:
        print(f"{folder.name[:8]}  {size / 1e6:>8.1f} MB  {name}")
    done = "deleted" if delete else "not needed by any finished recipe ('--delete' deletes them)"
    print(f"{len(found)} stages, {freed / 1e6:.1f} MB {done}")


def rates(store: Store = Path("runs")) -> None:
    """Print, as JSON, what stages took here: tokens of an item, seconds of a token; dry runs estimate from these."""
    from harness.cli.options import print_json
    from harness.pipeline.estimate import rates_of

    found = sorted(rates_of(store).items())
    print_json([{"kind": k, "model": m, "per_item": r.per_item, "seconds": r.seconds} for (k, m), r in found])


def plot(
    names: Annotated[list[str], typer.Argument(help="Runs: folders or first letters of ids.")],
    out: Annotated[Path | None, typer.Option(help="Write PNG files into this folder.")] = None,
    store: Store = Path("runs"),
    as_json: Json = False,
) -> None:
    """Length distributions and accuracy against token budget, from stored samples, in the terminal and as PNG."""
    from harness.cli.options import print_json
    from harness.results import budget
    from harness.results.runs import load
    from harness.view import plots

    loaded = [load(store, name) for name in names]
    if as_json:
        tasks: dict[str, Any]
        runs = []
        for run in loaded:
            tasks = {t: {"curve": budget.curve(run.of(t)), "lengths": budget.lengths(run.of(t))} for t in run.tasks}
            runs.append({"run": run.name, "tasks": tasks})
        print_json({"runs": runs})
    else:
        plots.terminal(loaded)
    if out is not None:
        for path in plots.pictures(loaded, out):
            if not as_json:
                print(path)
