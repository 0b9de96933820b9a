"""``harness runs`` and ``harness plot``: what was run, how two runs differ, and pictures of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from harness.cli import options
from harness.cli.options import Form, Json, RunName, Store
from harness.pipeline.preview import rates_of
from harness.results import every_eval, hub_results
from harness.results.compare import described, differences
from harness.results.runs import load
from harness.view import compare as view
from harness.view.page import Page
from harness.view.render import picture


def default(context: typer.Context, store: Store = Path("runs"), as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        ls(store, as_json)


def ls(store: Store = Path("runs"), as_json: Json = False) -> None:
    """List finished recipes and evaluations, newest first."""
    options.show(view.listing(options.results(store)), as_json=as_json)


def show(name: RunName, store: Store = Path("runs"), as_json: Json = False) -> None:
    """What a run is: its manifest, key by key; of a recipe also its stages and where its report is."""
    options.show(view.manifest(*described(options.results(store), name)), as_json=as_json)


def diff(a: RunName, b: RunName, form: Form = "table", store: Store = Path("runs"), as_json: Json = False) -> None:
    """Name every difference between two runs: data, models, settings, packages, hardware. Exit 1 if there is any."""
    changes = differences(options.results(store), a, b)
    options.show(view.differences(changes), form, as_json)
    if changes:
        raise typer.Exit(1)


def gc(
    store: Store = Path("runs"),
    delete: Annotated[bool, Option("--delete", help="Delete; without it, only show.")] = False,
    older_than: Annotated[float, Option(min=0, max=36_500, help="Days that unfinished recipes' stages are kept.")] = 14,
    as_json: Json = False,
) -> None:
    """Show, or delete, stages that no recipe needs: neither one that finished, nor one that began and may go on."""
    results = options.results(store)
    stages = results.stage_folders(older_than)
    unused = [stage for stage in stages if not stage.why]
    if delete:
        unused = results.collect(unused, older_than)
    options.show(view.stages(unused, [stage for stage in stages if stage.why], delete), as_json=as_json)


def rates(store: Store = Path("runs")) -> None:
    """Print, as JSON, what stages took here: tokens of an item, seconds of a token; dry runs estimate from these."""
    rows = [{"kind": kind, "model": model, **rate._asdict()} for (kind, model), rate in sorted(rates_of(store).items())]
    options.show(Page(blocks=[], data=rows), as_json=True)


def export(
    name: RunName,
    out: Annotated[Path, Argument(help="A folder; what stands there is replaced where it is of the same run.")],
    form: Annotated[str, Option(help="every-eval-ever (schema 0.3.0), or hub (.eval_results).")] = "every-eval-ever",
    model_id: Annotated[str, Option(help="The model's DEVELOPER/NAME; default: what was evaluated.")] = "",
    organization: Annotated[str, Option(help="Who publishes the results.")] = "unknown",
    store: Store = Path("runs"),
) -> None:
    """Write a run in a form that others read: Every Eval Ever, or evaluation results of the Hub."""
    options.one_of("--form", form, ("every-eval-ever", "hub"))
    run = load(options.results(store), name)
    if form == "hub":
        file, left = hub_results.export(run, out)
        if left:
            options.complain(f"left out, for they are no single data set of the Hub: {', '.join(left)}")
        print(file)
        return
    for file in every_eval.export(run, out, model_id or run.manifest.model, organization):
        print(file)


def plot(
    names: Annotated[list[str], Argument(help="Runs: folders or first letters of ids.")],
    out: Annotated[Path | None, Option(help="A folder for PNG files, or X.png, X.svg, X.pdf: X.FIGURE.pdf.")] = None,
    form: Form = "table",
    store: Store = Path("runs"),
    as_json: Json = False,
) -> None:
    """Length distributions and accuracy against token budget, from stored samples, in the terminal and as files."""
    page = view.plot([load(options.results(store), name) for name in names])
    options.show(page, form, as_json)
    for path in picture.save_all(page, out) if out is not None else []:
        if not as_json:
            print(path)


app = options.group(ls, show, diff, export, gc, rates, bare=default)
