"""``harness eval``: one model on tasks."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import DataDir, Json, Store, Suite, TaskPath, Tasks
from harness.errors import Usage


def register(app: typer.Typer) -> None:
    app.command("eval")(evaluate)


def evaluate(
    model: Annotated[str, typer.Option(help="A local path, a hub name, or shipped:student.")],
    tasks: Tasks = "",
    suite: Suite = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N problems of each task.", min=1)] = None,
    ids: Annotated[str, typer.Option(help="Only these problems, ids or numbers separated by commas.")] = "",
    samples: Annotated[int, typer.Option(help="Samples per problem.", min=1, rich_help_panel="Decoding")] = 1,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens", "--max_gen_toks", help="Cap on thinking and answer together; default: the task's.", min=1,
            rich_help_panel="Decoding",
        ),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, rich_help_panel="Decoding")] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, rich_help_panel="Decoding")] = 1.0,
    seed: Annotated[
        int, typer.Option(help="Each sample's seed derives from it.", rich_help_panel="Decoding")
    ] = 0,
    decode: Annotated[
        str, typer.Option(help="sample, or mcts: one tree a problem, beside sampling.", rich_help_panel="Decoding")
    ] = "sample",
    tree_budget: Annotated[
        int, typer.Option("--budget", min=1, help="Answers of a tree (mcts).", rich_help_panel="Decoding")
    ] = 8,
    grammar: Annotated[
        str | None,
        typer.Option(help="Of the tree; default: paper, for shipped models embedded.", rich_help_panel="Decoding"),
    ] = None,
    system: Annotated[str | None, typer.Option(help="A system message.", rich_help_panel="Prompting")] = None,
    chat_template: Annotated[
        bool, typer.Option(help="Use the tokenizer's chat template, if it has one.", rich_help_panel="Prompting")
    ] = True,
    thinking: Annotated[
        str, typer.Option(help="auto (the template's default), on or off.", rich_help_panel="Prompting")
    ] = "auto",
    think_tags: Annotated[
        str | None,
        typer.Option(help="OPEN,CLOSE; default: found from the tokenizer.", rich_help_panel="Prompting"),
    ] = None,
    backend: Annotated[str, typer.Option(help="hf, vllm, openai or mock.", rich_help_panel="Backend")] = "hf",
    base_url: Annotated[
        str | None,
        typer.Option(help="An OpenAI-compatible server, ending in /v1; vllm starts its own without.",
                     rich_help_panel="Backend"),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Of a served model that --model does not locate.", rich_help_panel="Backend")
    ] = None,
    concurrency: Annotated[
        int,
        typer.Option("--concurrency", "--batch-size", "--batch_size", min=1,
                     help="Rows per batch (hf), requests in flight (servers).", rich_help_panel="Backend"),
    ] = 64,
    vllm: Annotated[
        str, typer.Option(help="The vllm program, perhaps of another environment.", rich_help_panel="Backend")
    ] = "vllm",
    vllm_args: Annotated[
        str, typer.Option(help="More arguments for 'vllm serve', in one string.", rich_help_panel="Backend")
    ] = "",
    timeout: Annotated[
        float, typer.Option(min=1.0, help="Seconds a server may take for one call.", rich_help_panel="Backend")
    ] = 600.0,
    mock_faults: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of failing calls (mock).", rich_help_panel="Backend")
    ] = 0.0,
    mock_latency: Annotated[float, typer.Option(min=0.0, hidden=True)] = 0.0,
    data_dir: DataDir = None,
    task_path: TaskPath = None,
    store: Store = Path("runs"),
    out: Annotated[
        Path | None, typer.Option("--out", "--output-path", "--output_path", help="This run's folder.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier run sampled.")] = False,
    max_unfinished: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Exit 1 when a task's share of unfinished samples is above this."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run; load no model.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Evaluate a model. The same command goes on with an interrupted run and reuses what it sampled."""
    from harness.cli import options
    from harness.evaluation.plan import Decoding, EvalPlan, Selection, TreeDecoding
    from harness.models.spec import ModelSpec, Prompting
    from harness.problems.registry import select
    from harness.results import runs

    options.one_of("--thinking", thinking, ("auto", "on", "off"))
    options.one_of("--backend", backend, ("hf", "vllm", "openai", "mock"))
    options.tags(think_tags)
    options.one_of("--decode", decode, ("sample", "mcts"))
    if ids and limit is not None:
        raise Usage("--ids and --limit exclude each other")
    searched = decode == "mcts"
    plan = EvalPlan(
        select(options.names(tasks), suite, task_path or [], foreign=True),
        Decoding(max_tokens, temperature, top_p, seed, tree_budget if searched else samples),
        Prompting(chat=chat_template, system=system, thinking=thinking, think_tags=think_tags),  # type: ignore[arg-type]
        Selection(limit, tuple(options.names(ids))),
        {} if data_dir is None else {"data_dir": str(data_dir)},
        task_path or [],
        TreeDecoding(tree_budget, grammar or options.grammar_of(model)) if searched else None,
    )
    spec = ModelSpec(
        model=model, backend=backend,  # type: ignore[arg-type]
        base_url=base_url or "", tokenizer=tokenizer, concurrency=concurrency, vllm=vllm,
        vllm_arguments=options.words("--vllm-args", vllm_args), timeout=timeout, mock_faults=mock_faults,
        mock_latency=mock_latency,
    )  # fmt: skip
    folder = out or store / "evals" / runs.run_id(runs.identity(spec, plan))
    # One line of progress, ours, instead of every library's bars. Read when the libraries are first imported.
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = os.environ["TQDM_DISABLE"] = "1"
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if dry_run:
        from harness.view.preview import preview

        preview(spec, plan, folder, as_json)
        return
    from harness.view.show import EvalProgress, eval_table

    if fresh:
        runs.fresh(folder)
    if searched:
        _by_trees(spec, plan, folder, as_json)
        return
    with EvalProgress(as_json) as progress:
        rows = runs.execute(spec, plan, folder, progress.report)
    if as_json:
        options.print_json({"run": folder.name, "rows": [{"task": t, **r} for t, r in rows.items()]})
    else:
        eval_table(model, folder, rows)
    over = [t for t, r in rows.items() if max_unfinished is not None and r["unfinished"] > max_unfinished]
    if over:
        options.complain(f"unfinished samples above {max_unfinished:g} in {', '.join(over)}")
        raise typer.Exit(1)


def _by_trees(spec: Any, plan: Any, folder: Path, as_json: bool) -> None:
    """Evaluate by tree search and by plain sampling, and print Test@N of both."""
    from dataclasses import asdict

    from harness.cli import options
    from harness.evaluation.trees import compare_decodings
    from harness.results import runs
    from harness.search.grammar.load import load
    from harness.view import search_tables
    from harness.view.show import EvalProgress

    load(plan.tree.grammar)  # a mistake in it is told before the model loads
    with EvalProgress(as_json) as progress:
        found = compare_decodings(plan, partial(runs.execute, spec), folder, progress.report)
    if as_json:
        rows = [{"task": t, **asdict(row)} for t, (each, _) in found.items() for row in each]
        gaps = {task: gap.as_dict() for task, (_, gap) in found.items()}
        options.print_json({"run": folder.name, "rows": rows, "tree_minus_plain_at_equal_tokens": gaps})
    else:
        search_tables.decodings(found, folder)
