"""``harness search``: generate tree-based chains of thought, look at them, export them as training data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import DataDir, Form, Json
from harness.errors import Usage

Folder = Annotated[Path, typer.Argument(help="A search's folder (or the folder of its shards).")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Tree-based chain-of-thought data: run, show, stats, export, validate.")
    group.command("run")(run)
    group.command("show")(show)
    group.command("stats")(stats)
    group.command("export")(export)
    group.command("validate")(validate)
    app.add_typer(group, name="search", no_args_is_help=True)


def run(
    model: Annotated[str, typer.Option(help="The generator: a local path, a hub name, or shipped:NAME.")],
    out: Annotated[Path, typer.Option(help="The search's folder; the same command goes on with it.")],
    critic: Annotated[
        str | None, typer.Option(help="The second model, for double-checks and reflections; default: the generator.")
    ] = None,
    grammar: Annotated[
        str | None, typer.Option(help="A shipped grammar or a YAML file; default: paper, for shipped models embedded.")
    ] = None,
    policy: Annotated[str, typer.Option(help="mcts, chain_first, rejection or original.")] = "mcts",
    problems: Annotated[
        Path | None, typer.Option(help="JSONL: 'prompt', 'gold' (and 'id', 'family').", rich_help_panel="Problems")
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Family or grader of lines without one.", rich_help_panel="Problems")
    ] = None,
    tasks: Annotated[
        str, typer.Option(help="Tasks instead of a file; embedded ones give their search split.",
                          rich_help_panel="Problems"),
    ] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Problems of each task, or lines.", rich_help_panel="Problems")
    ] = None,
    data_dir: DataDir = None,
    correct: Annotated[
        int, typer.Option(min=0, help="Distinct correct chains wanted.", rich_help_panel="Per problem")
    ] = 6,
    wrong: Annotated[
        int, typer.Option(min=0, help="Distinct wrong chains wanted.", rich_help_panel="Per problem")
    ] = 2,
    rollouts: Annotated[int, typer.Option(min=1, rich_help_panel="Per problem")] = 16,
    reflections: Annotated[
        int, typer.Option(min=0, help="Their own budget.", rich_help_panel="Per problem")
    ] = 16,
    requests: Annotated[int, typer.Option(min=0, help="0: no cap.", rich_help_panel="Per problem")] = 200,
    tokens: Annotated[int, typer.Option(min=0, help="0: no cap.", rich_help_panel="Per problem")] = 0,
    seconds: Annotated[float, typer.Option(min=0, help="0: no cap.", rich_help_panel="Per problem")] = 0,
    give_up: Annotated[
        int, typer.Option(min=0, help="Rollouts without a correct chain; 0: never.", rich_help_panel="Per problem")
    ] = 0,
    all_requests: Annotated[int, typer.Option(min=0, help="Of this run.", rich_help_panel="Whole run")] = 0,
    all_tokens: Annotated[int, typer.Option(min=0, help="Of this run.", rich_help_panel="Whole run")] = 0,
    all_seconds: Annotated[float, typer.Option(min=0, help="Of this run.", rich_help_panel="Whole run")] = 0,
    window: Annotated[int, typer.Option(min=1, help="Problems at once.", rich_help_panel="Whole run")] = 128,
    in_flight: Annotated[int, typer.Option(min=1, help="Nodes of a tree at once.", rich_help_panel="Whole run")] = 4,
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic/--free", help="Results in the order of asking, or as they come.",
                     rich_help_panel="Whole run"),
    ] = True,
    seed: Annotated[int, typer.Option(rich_help_panel="Whole run")] = 0,
    shards: Annotated[int, typer.Option(min=1, help="Split by problem.", rich_help_panel="Whole run")] = 1,
    shard: Annotated[
        int | None, typer.Option(min=0, help="Only this shard, from 0.", rich_help_panel="Whole run")
    ] = None,
    executor: Annotated[str, typer.Option(help="local or ray.", rich_help_panel="Whole run")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; default: start one here.", rich_help_panel="Whole run")
    ] = None,
    backend: Annotated[str, typer.Option(help="hf, vllm, openai or mock.", rich_help_panel="Backend")] = "hf",
    base_url: Annotated[
        str | None, typer.Option(help="Servers of the generator, separated by commas.", rich_help_panel="Backend")
    ] = None,
    critic_url: Annotated[str | None, typer.Option(help="Servers of the critic.", rich_help_panel="Backend")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Of a served generator that --model does not locate.", rich_help_panel="Backend")
    ] = None,
    critic_tokenizer: Annotated[str | None, typer.Option(rich_help_panel="Backend")] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Calls in flight at each server, rows of a batch (hf).",
                          rich_help_panel="Backend"),
    ] = 64,
    vllm: Annotated[str, typer.Option(help="The vllm program.", rich_help_panel="Backend")] = "vllm",
    vllm_args: Annotated[str, typer.Option(help="More arguments for it.", rich_help_panel="Backend")] = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one call.", rich_help_panel="Backend")] = 600.0,
    mock_faults: Annotated[float, typer.Option(min=0.0, max=0.9, hidden=True)] = 0.0,
    mock_latency: Annotated[float, typer.Option(min=0.0, hidden=True)] = 0.0,
    graders: Annotated[int, typer.Option(min=1, help="Grading processes.", rich_help_panel="Backend")] = 1,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Search trees of thoughts. The same command goes on with an interrupted search and asks for nothing twice."""
    from harness.cli import options
    from harness.errors import SearchIncomplete
    from harness.evaluation.plan import nltk_data
    from harness.models.spec import ModelSpec
    from harness.search import launch
    from harness.search.grammar.load import load
    from harness.search.run.driver import Limits
    from harness.search.store import Settings
    from harness.search.tree.nodes import Goals

    options.one_of("--policy", policy, ["mcts", "chain_first", "rejection", "original"])
    options.one_of("--backend", backend, ("hf", "vllm", "openai", "mock"))
    options.one_of("--executor", executor, ("local", "ray"))
    if shard is not None and shard >= shards:
        raise Usage(f"--shard {shard}: with --shards {shards} it is at most {shards - 1}")
    goals = Goals(correct, wrong, rollouts, reflections, requests, tokens, give_up)
    models = {"generator": model, "critic": critic or model}
    spec = ModelSpec(
        model=model, backend=backend,  # type: ignore[arg-type]
        base_url=base_url or "", tokenizer=tokenizer, concurrency=concurrency, vllm=vllm,
        vllm_arguments=options.words("--vllm-args", vllm_args), timeout=timeout, mock_faults=mock_faults,
        mock_latency=mock_latency,
    )  # fmt: skip
    second: tuple[ModelSpec, ...] = ()
    if critic or critic_url:
        change = {"model": critic or model, "tokenizer": critic_tokenizer or tokenizer}
        second = spec.model_copy(update=change | {"base_url": critic_url or spec.base_url}).replicas()
    plan = launch.Plan(
        Settings(load(grammar or options.grammar_of(model)), goals, policy, seed, in_flight, models=models),
        spec.replicas(),
        second,
        deterministic,
        window,
        Limits(all_requests, all_tokens, all_seconds, seconds),
        graders,
        nltk_data({"data_dir": data_dir} if data_dir else {}),
    )

    given = (problems, family, tasks, limit, data_dir)
    once = problems is not None and problems.exists() and not problems.is_file()  # a pipe
    held = list(_problems(*given)) if once else None

    def source(warn: bool = False) -> Iterator[Any]:
        return _problems(*given, warn) if held is None else iter(held)

    if not sum(1 for _ in source(warn=True)):  # also: what is wrong with any is said before a model is loaded
        raise Usage(f"{problems or tasks}: holds no problems")
    try:
        if executor == "ray":
            from harness.search.run.on_ray import run_on_ray

            run_on_ray(plan, list(source()), out, shards, address, options.complain)
        else:
            _run_here(plan, source, out, shards, shard, as_json)
    except SearchIncomplete:
        stats(out, as_json=as_json)
        raise
    stats(out, as_json=as_json)


def _run_here(
    plan: Any, source: Callable[[], Iterator[Any]], out: Path, shards: int, shard: int | None, quiet: bool
) -> None:
    """All shards one after the other, or the one that was named."""
    from harness.cli import options
    from harness.search import launch
    from harness.search.run.driver import Spent
    from harness.view.progress import OneLine

    with OneLine(quiet) as progress:
        if shards == 1:
            launch.execute(plan, source(), out, progress.problems, options.complain)
            return
        spent = Spent(plan.limits)
        for number in range(shards) if shard is None else [shard]:
            mine, folder = launch.shard(source(), number, shards), launch.shard_folder(out, number, shards)
            launch.execute(plan, mine, folder, progress.problems, options.complain, spent)


def _problems(
    file: Path | None, family: str | None, tasks: str, limit: int | None, data_dir: Path | None, warn: bool = False
) -> Iterator[Any]:
    """Problems from a file or from tasks, one at a time."""
    import itertools
    import json

    from harness.cli import options
    from harness.problems.embedded import FAMILIES
    from harness.problems.file import read_problems
    from harness.problems.load import documents
    from harness.problems.registry import select
    from harness.records import Problem

    if (file is None) == (not tasks):
        raise Usage("give either --problems FILE or --tasks NAMES")
    if file is not None:
        yield from itertools.islice(read_problems(file, family), limit)
        return
    for task in select(options.names(tasks), None, []):
        if task.name not in FAMILIES and warn:
            options.complain(
                f"{task.name}: these are its test problems; do not train on them what you will test on them"
            )
        docs = documents(task.name, None if data_dir is None else str(data_dir), split="search", count=limit)
        for doc in docs[:limit]:
            gold = json.loads(doc["gold"]) if isinstance(doc["gold"], str) else doc["gold"]
            yield Problem(id=doc["id"], family=doc["family"], prompt=doc["prompt"], gold=gold, split="search")


def show(
    folder: Folder,
    problem: Annotated[str | None, typer.Argument(help="A problem's id, or its first letters; default: list.")] = None,
    text: Annotated[bool, typer.Option(help="How each node's text begins.")] = True,
    form: Form = "table",
) -> None:
    """Draw the tree of one problem: kind, visits, value, verdict, tokens and model of each node."""
    from harness.cli import options
    from harness.search import store
    from harness.view import search as view
    from harness.view import trees

    found = [entry for entry in store.folded(folder) if entry[0].problem.id.startswith(problem or "")]
    if problem is None:
        options.show(view.listing(found), form)
        return
    if not found:
        raise Usage(f"{folder}: has no problem {problem!r}; 'harness search show {folder}' lists them")
    exact = [entry for entry in found if entry[0].problem.id == problem] or found
    if len(exact) > 1:
        raise Usage(f"{problem!r} stands for {len(exact)} problems, first {exact[0][0].problem.id}")
    options.show(trees.problem(*exact[0], text), form)


def stats(folder: Folder, form: Form = "table", as_json: Json = False) -> None:
    """What a search found and what it cost: chains, reflections, tokens, endings."""
    from harness.cli import options
    from harness.search.stats import Stats
    from harness.view import search as view

    options.show(view.summary(Stats.of(folder).figures(), folder), form, as_json)


def export(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="Where the data set goes.")],
    tokenizer: Annotated[str, typer.Option(help="Of the model to be trained: a path, a hub name, or shipped:NAME.")],
    sft: Annotated[str, typer.Option(help="longest, medium, shortest, mixed or balanced.")] = "longest",
    per_problem: Annotated[int, typer.Option(min=1, help="SFT rows, and pairs, of one problem.")] = 1,
    chosen: Annotated[str, typer.Option(help="Length of the chosen chain, by the same rules.")] = "shortest",
    prefix: Annotated[str, typer.Option(help="Common prefix of a pair: shortest, longest or random.")] = "shortest",
    min_distance: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of edited tokens between the chains of a pair.")
    ] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=0, help="Leave out longer chains; 0: none.")] = 0,
    seed: Annotated[int, typer.Option(help="For drawn choices.")] = 0,
    as_json: Json = False,
) -> None:
    """Write SFT rows and preference pairs (JSONL and Parquet, in TRL's formats) with a data card."""
    from harness.chains.export import Rules, export_data
    from harness.chains.select import LENGTH_RULES, PREFIX_RULES
    from harness.cli import options
    from harness.models.loading import load_tokenizer
    from harness.models.shipped import resolve
    from harness.view import search as view

    options.one_of("--sft", sft, LENGTH_RULES)
    options.one_of("--chosen", chosen, LENGTH_RULES)
    options.one_of("--prefix", prefix, PREFIX_RULES)
    rules = Rules(sft, chosen, prefix, per_problem, min_distance, max_tokens, seed)  # type: ignore[arg-type]
    figures = export_data(folder, out, load_tokenizer(resolve(tokenizer)), rules, tokenizer)
    options.show(view.exported(figures, out), as_json=as_json)


def validate(
    grammar: Annotated[str, typer.Argument(help="A shipped grammar or a YAML file; none: list the shipped ones.")] = "",
) -> None:
    """Say everything that is wrong with a grammar, or draw its transition graph."""
    from harness.cli import options
    from harness.search.grammar.defects import defects
    from harness.search.grammar.load import load, parse, shipped, source
    from harness.view import trees

    if not grammar:
        for name in shipped():
            options.say(f"{name:<16} {load(name).about}")
        return
    parsed = parse(grammar, source(grammar))
    found = defects(parsed)
    if found:
        for text in found:
            options.complain(f"{grammar}: {text}", who="")
        raise typer.Exit(2)
    options.show(trees.grammar(parsed))
