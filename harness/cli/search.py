"""``harness search``: generate tree-based chains of thought, look at them, export them as training data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from harness.chains.export import export_data
from harness.chains.select import PairRule, SftRule
from harness.cli import options
from harness.cli.options import Form, Json
from harness.cli.specs import Options
from harness.errors import SearchIncomplete, Usage
from harness.evaluation.spec import ProblemData
from harness.models.spec import ModelSpec
from harness.problems.load import Problems, Source
from harness.search import launch, store
from harness.search.grammar import load, shipped
from harness.search.grammar import source as grammar_text
from harness.search.run.work import Budget
from harness.search.spec import Goals, Limits, SearchSpec, Split
from harness.search.stats import SearchYield, why_no_chain
from harness.view import data_card
from harness.view import search as view
from harness.view.progress import OneLine

Folder = Annotated[Path, Argument(help="A search's folder (or the folder of its shards).")]


def run(
    model: Annotated[ModelSpec, Options(panel="Backend")],
    out: Annotated[Path, Option(help="The search's folder; the same command goes on with it.")],
    search: Annotated[SearchSpec, Options(skip=("grammar",), panel="Whole run")],
    goals: Annotated[Goals, Options(panel="Per problem")],
    limits: Annotated[Limits, Options(panel="Whole run")],
    source: Annotated[Source, Options(panel="Problems")],
    split: Annotated[Split, Options(panel="Whole run")],
    critic: Annotated[str | None, Option(help="Double-checks and reflects; default: the generator.")] = None,
    critic_url: Annotated[str, Option(help="Servers of the critic.", rich_help_panel="Backend")] = "",
    critic_tokenizer: Annotated[str | None, Option(rich_help_panel="Backend")] = None,
    grammar: Annotated[str | None, Option(help="Shipped, or a YAML file; default: paper or embedded.")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Search trees of thoughts. The same command goes on with an interrupted search and asks for nothing twice."""
    grammar = grammar or options.grammar_of(model.model)
    models = {"generator": model.replicas()}
    if critic or critic_url:
        other = {"model": critic or model.model, "tokenizer": critic_tokenizer or model.tokenizer,
                 "base_url": critic_url or model.base_url, "revision": "" if critic else model.revision}  # fmt: skip
        models["critic"] = model.model_copy(update=other).replicas()
    plan = launch.Plan(
        search=search.model_copy(update={"grammar": grammar}), goals=goals, limits=limits, models=models,
        nltk_data=ProblemData(data_dir=source.data_dir or None).nltk_data,
    )  # fmt: skip
    launch.admitted(plan)  # what is wrong with grammar and budgets is said before any model is loaded
    about = "these are its test problems; do not train on what you will test on"
    problems = Problems(source, warn=lambda task: options.complain(f"{task}: {about}"))
    try:
        if split.executor == "ray":
            launch.run_on_ray(plan, list(problems), out, split.shards, split.address, options.complain)
        else:
            _run_here(plan, problems, out, split, as_json)
    except SearchIncomplete:
        stats(out, as_json=as_json)
        raise
    figures = SearchYield.of(out).figures()
    options.show(view.summary(figures, out), as_json=as_json)
    if goals.correct and (why := why_no_chain(figures)):
        raise SearchIncomplete(f"{out}: {why}")


def _run_here(plan: launch.Plan, problems: Problems, out: Path, split: Split, quiet: bool) -> None:
    """All shards one after the other, or the one that was named."""
    with OneLine(quiet) as progress:
        budget = Budget(limits=plan.limits)
        for number in range(split.shards) if split.shard is None else [split.shard]:
            folder = out if split.shards == 1 else launch.shard_folder(out, number, split.shards)
            launch.execute(
                plan, launch.shard(problems, number, split.shards), folder, progress=progress.problems,
                notice=options.complain, budget=budget,
            )  # fmt: skip


def show(
    folder: Folder,
    problem: Annotated[str | None, Argument(help="A problem's id, or its first letters; default: list.")] = None,
    text: Annotated[bool, Option(help="How each node's text begins.")] = True,
    form: Form = "table",
) -> None:
    """Draw the tree of one problem: kind, visits, value, verdict, tokens and model of each node."""
    matching = [entry for entry in store.folded(folder) if entry[0].problem.id.startswith(problem or "")]
    if problem is None:
        options.show(view.listing(matching), form)
        return
    if not matching:
        raise Usage(f"{folder}: has no problem {problem!r}; 'harness search show {folder}' lists them")
    exact = [entry for entry in matching if entry[0].problem.id == problem] or matching
    if len(exact) > 1:
        raise Usage(f"{problem!r} stands for {len(exact)} problems, first {exact[0][0].problem.id}")
    options.show(view.problem(*exact[0], text), form)


def stats(folder: Folder, form: Form = "table", as_json: Json = False) -> None:
    """What a search found and what it cost: chains, reflections, tokens, endings."""
    options.show(view.summary(SearchYield.of(folder).figures(), folder), form, as_json)


def export(
    folder: Folder,
    out: Annotated[Path, Option(help="Where the data set goes.")],
    tokenizer: Annotated[str, Option(help="Of the model to be trained: a path, a hub name, or shipped:NAME.")],
    sft: Annotated[SftRule, Options()],
    pairs: Annotated[PairRule, Options(skip=("per_problem",))],
    max_tokens: Annotated[int, Option(min=0, help="Leave out longer chains; 0: none.")] = 0,
    seed: Annotated[int, Option(help="For drawn choices.")] = 0,
    as_json: Json = False,
) -> None:
    """Write SFT rows and preference pairs (JSONL and Parquet, in TRL's formats) with a data card."""
    data_card.check_place(out)
    pairs = pairs.model_copy(update={"per_problem": sft.per_problem})
    figures = export_data(
        folder, out, options.tokenizer_of(tokenizer), sft=sft, pair=pairs, max_tokens=max_tokens, seed=seed,
        tokenizer_name=tokenizer,
    )  # fmt: skip
    data_card.write(figures, out)
    shown = figures.model_dump(mode="json", exclude={"lengths", "settings"})
    options.show(view.exported(shown, out), as_json=as_json)


def validate(
    grammar: Annotated[str, Argument(help="A shipped grammar or a YAML file; none: list the shipped ones.")] = "",
) -> None:
    """Say everything that is wrong with a grammar, or draw its transition graph."""
    if not grammar:
        for name in shipped():
            options.say(f"{name:<16} {load(name).about}")
        return
    options.show(view.grammar(load(grammar)))


def cp(
    grammar: Annotated[str, Argument(help="A shipped grammar ('harness search validate' lists them).")],
    to: Annotated[Path | None, Argument(help="A file ending in .yaml, or a folder; default: NAME.yaml here.")] = None,
) -> None:
    """Copy a grammar, to change it. Nothing is overwritten."""
    text = grammar_text(grammar).encode()
    print(options.copied(text, f"{Path(grammar).stem}.yaml", to or Path()))


app = options.group(run, show, stats, export, validate, cp)
