"""``harness runs`` and ``harness plot``: what was evaluated, and pictures of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Json, Store


def register(app: typer.Typer) -> None:
    app.command("runs")(runs)
    app.command("plot")(plot)


def runs(store: Store = Path("runs"), as_json: Json = False) -> None:
    """List finished evaluations, newest first."""
    from harness.cli.options import print_json
    from harness.ledger.runs import listed

    found = listed(store)
    if as_json:
        print_json({"runs": [{"folder": str(folder), **manifest} for folder, manifest in found]})
        return
    for folder, manifest in found:
        decoding = manifest.get("decoding") or {}
        how = f"temperature {decoding.get('temperature')}, {decoding.get('samples', 1)} sample(s)"
        tasks = ", ".join(manifest.get("tasks", []))
        print(f"{folder.name}  {manifest.get('date', ''):<20}  {manifest.get('model')} on {tasks}; {how}")
    if not found:
        print(f"no finished evaluations in {store}")


def plot(
    names: Annotated[list[str], typer.Argument(help="Runs: folders or first letters of ids.")],
    out: Annotated[Path | None, typer.Option(help="Write PNG files into this folder.")] = None,
    store: Store = Path("runs"),
    as_json: Json = False,
) -> None:
    """Length distributions and accuracy against token budget, from stored samples, in the terminal and as PNG."""
    from harness.cli import plots
    from harness.cli.options import print_json
    from harness.evaluation import budget
    from harness.ledger.runs import load

    loaded = [load(store, name) for name in names]
    if as_json:
        print_json({
            "runs": [
                {
                    "run": run.name,
                    "tasks": {
                        task: {"curve": budget.curve(run.of(task)), "lengths": budget.lengths(run.of(task))}
                        for task in run.tasks
                    },
                }
                for run in loaded
            ]
        })  # fmt: skip
    else:
        plots.terminal(loaded)
    if out is not None:
        for path in plots.pictures(loaded, out):
            if not as_json:
                print(path)
