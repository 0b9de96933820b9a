"""``harness eval``: one model on tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("eval")(evaluate)


def evaluate(
    model: Annotated[str, typer.Option(help="A local path, a hub name, or shipped:student.")],
    tasks: Annotated[str, typer.Option(help="Tasks, separated by commas.")] = "",
    suite: Annotated[str | None, typer.Option(help="A suite of tasks, such as embedded.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N problems of each task.", min=1)] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where benchmark files lie; without it the hub is asked.")
    ] = None,
    task_path: Annotated[list[Path] | None, typer.Option(help="A folder with tasks of your own.")] = None,
    backend: Annotated[str, typer.Option(help="hf (in process) or openai (a server, see --base-url).")] = "hf",
    base_url: Annotated[str, typer.Option(help="Address of an OpenAI-compatible server.")] = "http://127.0.0.1:8000/v1",
    tokenizer: Annotated[
        str | None, typer.Option(help="Tokenizer of a served model, if --model does not name it.")
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", help="Cap on thinking and answer together; default: the task's.", min=1),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0)] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0)] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the run; each sample's seed derives from it.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    store: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Evaluate a model. The same command goes on with an interrupted run and reuses what it sampled."""
    from harness.cli.run_eval import EvalSpec, run_eval
    from harness.cli.show import eval_table

    names = [name.strip() for name in tasks.split(",") if name.strip()]
    spec = EvalSpec(
        model, names, suite, limit, data_dir, task_path or [], backend, base_url, tokenizer, max_tokens, temperature,
        top_p, seed, batch_size, store,
    )  # fmt: skip
    folder, rows = run_eval(spec, quiet=as_json)
    if as_json:
        import json

        print(json.dumps({"run": folder.name, "rows": [{"task": t, **r} for t, r in rows.items()]}, indent=1))
    else:
        eval_table(model, folder, rows)
