"""``harness eval``: one model on tasks."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from harness.cli import options
from harness.cli.options import DataDir, Json, Store, Suite, TaskPath, Tasks
from harness.cli.specs import Options
from harness.errors import Usage
from harness.evaluation.plan import EvalPlan
from harness.evaluation.preflight import preview
from harness.evaluation.spec import Decoding, ProblemData, Selection
from harness.models.spec import ModelSpec, Prompting
from harness.problems.registry import select
from harness.processes import interrupts_end_twice
from harness.results import runs
from harness.results.compare import compare_decodings
from harness.results.records import Summary
from harness.search.decode import Trees, tokens_of_trees
from harness.search.grammar import load
from harness.view import evaluation as view
from harness.view.progress import OneLine

BUDGET = 8  # answers of a tree, where none is named
_of_trees = partial(typer.Option, rich_help_panel="Decoding")


def evaluate(
    model: Annotated[ModelSpec, Options(panel="Backend")],
    selection: Selection,
    decoding: Annotated[Decoding, Options(panel="Decoding")],
    prompting: Annotated[Prompting, Options(panel="Prompting")],
    tasks: Tasks = "",
    suite: Suite = None,
    decode: Annotated[str, _of_trees(help="sample, or mcts: one tree a problem, beside sampling.")] = "sample",
    budget: Annotated[int | None, _of_trees(min=1, help=f"Answers of a tree (mcts); default {BUDGET}.")] = None,
    grammar: Annotated[str | None, _of_trees(help="Of the tree; default: paper, for shipped models embedded.")] = None,
    thinking_budget: Annotated[
        str,
        typer.Option(
            help="Close a thought after N tokens and let the model answer; several: N,N,...", rich_help_panel="Decoding"
        ),
    ] = "",
    data_dir: DataDir = None,
    task_path: TaskPath = None,
    store: Store = Path("runs"),
    out: Annotated[Path | None, Option("--out", "--output-path", "--output_path", help="This run's folder.")] = None,
    fresh: Annotated[bool, Option("--fresh", help="Forget what an earlier run sampled and searched.")] = False,
    max_unfinished: Annotated[float | None, Option(min=0, max=1, help="Exit 1 above this share of unfinished.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Show what would run; load no model.")] = False,
    as_json: Json = False,
) -> None:
    """Evaluate a model. The same command goes on with an interrupted run and reuses what it sampled."""
    plan = EvalPlan(
        tasks=select(options.names(tasks), suite, task_path or [], foreign=True),
        decoding=decoding,
        prompting=prompting,
        selection=selection,
        data=ProblemData(data_dir=data_dir),
        task_paths=task_path or [],
    )
    if len(model.replicas()) > 1:
        raise Usage("--base-url names several servers: eval asks one server")
    searched = options.one_of("--decode", decode, ("sample", "mcts")) == "mcts"
    if searched:
        _refuse_with_trees(decoding, max_unfinished)
        trees = Trees(budget=budget or BUDGET, grammar=grammar or options.grammar_of(model.model))
        load(trees.grammar)  # a mistake in it ends the command before the model loads
        plan = replace(plan, decoding=decoding.model_copy(update={"samples": trees.budget}), sampler=trees)
    elif budget is not None or grammar is not None:
        raise Usage("--budget and --grammar are of a tree: they need --decode mcts (--samples: more samples a problem)")
    budgets = _budgets(thinking_budget)
    if searched and budgets:
        raise Usage("--thinking-budget does not go with --decode mcts: the grammar caps each thought")
    plans = {f" @{n}": _thinking(plan, n) for n in budgets} or {"": plan}

    def folder_of(name: str) -> Path:
        if out is None:
            return options.results(store).evaluation(runs.run_id(runs.identity(model, plans[name])))
        return out / f"thinking-{name[2:]}" if len(plans) > 1 else out

    # One line of progress, ours, instead of every library's bars. Read when the libraries are first imported.
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = os.environ["TQDM_DISABLE"] = "1"
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name, each in plans.items():
        if dry_run:
            options.show(view.preview(preview(model, each, folder_of(name))), as_json=as_json)
        elif fresh:
            runs.fresh(folder_of(name))
    if dry_run:
        return
    with interrupts_end_twice():
        if searched:
            _compare_decodings(model, plan, folder_of(""), as_json)
        else:
            _sample(model, {name: (each, folder_of(name)) for name, each in plans.items()}, as_json, max_unfinished)


def _budgets(text: str) -> list[int]:
    """Numbers of tokens, separated by commas. Raises Usage."""
    try:
        numbers = [int(each) for each in options.names(text)]
    except ValueError:
        numbers = [0]
    if any(number < 1 for number in numbers):
        raise Usage(f"--thinking-budget {text}: use a number of tokens, or several separated by commas")
    return list(dict.fromkeys(numbers))


def _thinking(plan: EvalPlan, budget: int) -> EvalPlan:
    return replace(plan, decoding=plan.decoding.model_copy(update={"thinking_budget": budget}))


def _sample(
    model: ModelSpec, plans: dict[str, tuple[EvalPlan, Path]], as_json: bool, max_unfinished: float | None
) -> None:
    """Evaluate by independent samples, print the table, and exit with 1 where too many are unfinished.

    ``plans``: what to evaluate and where, by what is added to the names of tasks where there are several.
    """
    rows: dict[str, Summary] = {}
    for name, (plan, folder) in plans.items():
        with OneLine(as_json) as progress:
            done = runs.execute(model, plan, folder, progress.samples)
        rows |= {f"{task}{name if len(plans) > 1 else ''}": row for task, row in done.items()}
    folders = [folder for _, folder in plans.values()]
    left = {name: None for plan, folder in plans.values() for name in runs.left_to_server(folder, plan.decoding)}
    options.show(view.page(model.model, folders, rows, [*left]), as_json=as_json)
    over = [t for t, r in rows.items() if max_unfinished is not None and r.unfinished > max_unfinished]
    if over:
        options.complain(f"unfinished samples above {max_unfinished:g} in {', '.join(over)}")
        raise typer.Exit(1)


def _refuse_with_trees(decoding: Decoding, max_unfinished: float | None) -> None:
    """Options that a search at test time cannot honour. Raises Usage."""
    for name, given, reason in (
        ("--samples", decoding.samples != 1, "--budget says how many answers a problem gets"),
        ("--max-tokens", decoding.max_tokens is not None, "the grammar caps each thought, not the whole answer"),
        ("--stop", decoding.stop, "the grammar says where an answer ends"),
        ("--max-unfinished", max_unfinished is not None, "two decodings are compared"),
    ):
        if given:
            raise Usage(f"{name} does not go with --decode mcts: {reason}")


def _compare_decodings(model: ModelSpec, plan: EvalPlan, folder: Path, as_json: bool) -> None:
    """Evaluate by tree search and by plain sampling, and print Test@N of both."""
    options.complain("an answer of a tree is capped thought by thought by its grammar, a plain one by its task alone")
    with OneLine(as_json) as progress:
        compared = compare_decodings(plan, partial(runs.execute, model), folder, progress.samples, tokens_of_trees)
    options.show(view.decodings(compared, folder), as_json=as_json)
