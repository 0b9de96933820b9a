"""``harness compare``, ``gate``, ``rescore``, ``leaderboard``, ``claims``, ``doses``: what runs say of each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from harness.cli import options
from harness.cli.options import DataDir, Form, Json, RunName, Store
from harness.errors import ModelError, NotComparable, Usage
from harness.evaluation.spec import ProblemData
from harness.grading.grade import Grader
from harness.journal import write_whole
from harness.pipeline.recipe import recipe_names
from harness.pipeline.recipe_files import load_recipe
from harness.processes import interrupts_end_twice
from harness.results import board, runs, written
from harness.results import compare as comparing
from harness.results import gate as gating
from harness.results.claims import findings as tested
from harness.results.collapses import collapses
from harness.results.doses import responses
from harness.results.records import Manifest
from harness.view import board as board_view
from harness.view import claims as claims_view
from harness.view import compare as view
from harness.view import doses as doses_view
from harness.view.render import picture

Markdown = Annotated[bool, Option("--markdown", hidden=True)]
_YAML = (".yaml", ".yml")


def compare(
    a: RunName,
    b: RunName,
    tasks: Annotated[str, Option(help="Only these tasks; default: all that both have.")] = "",
    flips: Annotated[int, Option(min=0, help="Show this many flipped items a task.")] = 5,
    form: Form = "table",
    store: Store = Path("runs"),
    as_json: Json = False,
) -> None:
    """Compare run A with run B on the same items: paired differences, flips, tokens, and what would settle it."""
    one, other = (runs.load(options.results(store), name) for name in (a, b))
    named = options.names(tasks) or [task for task in one.tasks if task in other.tasks]
    if not named:
        raise NotComparable(f"no task in both runs: {', '.join(one.tasks)} against {', '.join(other.tasks)}")
    notes = comparing.setting_differences(one.manifest, other.manifest)
    left_out = sorted(set(one.tasks) ^ set(other.tasks)) if not tasks else []
    compared = comparing.compare(one.samples, other.samples, named)
    options.show(view.comparison(one, other, compared, notes, left_out, flips), form, as_json)


def gate(
    run: RunName,
    baseline: Annotated[Path, Option(help="Baseline file.")],
    update: Annotated[bool, Option("--update", help="Write the run as the new baseline; no test.")] = False,
    tasks: Annotated[str, Option(help="Only these tasks; default: all of the baseline.")] = "",
    margin_accuracy: Annotated[float, Option(min=0.0, help="Largest loss that counts as none.")] = 0.03,
    margin_no_answer: Annotated[float, Option(min=0.0, help="The same for the no-answer rate.")] = 0.03,
    margin_tokens: Annotated[float, Option(min=0.0, help="The same for tokens, as a share.")] = 0.10,
    junit: Annotated[Path | None, Option(help="Write a JUnit report here.")] = None,
    github: Annotated[bool, Option("--github", help="Print GitHub annotations, too.")] = False,
    store: Store = Path("runs"),
    as_json: Json = False,
) -> None:
    """No worse than the baseline? Exit 0 pass, 1 regression, 4 inconclusive (with the items that would settle it)."""
    kept = runs.load(options.results(store), run)
    problems = kept.problems()
    if update:
        write_whole(baseline, gating.baseline(kept.samples, kept.manifest, problems).text())
        options.say(f"{baseline}: baseline of {kept.name} with {', '.join(kept.tasks)}")
        return
    before = gating.read_baseline(baseline)
    for note in gating.notes(before, kept.manifest, problems):
        options.complain(f"note: {note}")
    margins = gating.Margins(accuracy=margin_accuracy, no_answer=margin_no_answer, tokens=margin_tokens)
    verdict = gating.gate(kept.samples, before, margins, options.names(tasks))
    if junit is not None:
        write_whole(junit, view.junit(verdict, kept.name))
    options.show(view.gate(kept.name, baseline, verdict), as_json=as_json)
    for line in view.github(verdict) if github else []:
        print(line)
    raise typer.Exit(gating.EXIT_CODES[verdict.outcome])


def rescore(
    run: RunName,
    dry_run: Annotated[bool, Option("--dry-run", help="Show the flips, change nothing.")] = False,
    flips: Annotated[int, Option(min=0, help="Show this many flips.")] = 20,
    data_dir: DataDir = None,
    store: Store = Path("runs"),
    as_json: Json = False,
) -> None:
    """Grade a stored run again with today's graders and list the verdicts that flip."""
    kept = runs.load(options.results(store), run)
    with interrupts_end_twice(), Grader(2, nltk_data=ProblemData(data_dir=data_dir).nltk_data) as grader:
        samples = runs.rescore(kept, grader, _tokenizer(kept.manifest))
    if not dry_run:
        runs.keep(kept, samples)
    options.show(view.rescored(kept, samples, flips, dry_run), as_json=as_json)


def _tokenizer(manifest: Manifest) -> Any:
    """The run's tokenizer, if it is still where it was; without it lengths stay as they were."""
    try:
        return options.tokenizer_of("shipped:student" if manifest.backend == "mock" else manifest.model)
    except ModelError:
        return None


def leaderboard(
    recipe: Annotated[str | None, Argument(help="A recipe, run or file of --json; default: newest.")] = None,
    runs: Annotated[str, Option(help="Evaluations (a,b) instead of a recipe; the first is the control.")] = "",
    form: Form = "table",
    decoding: Annotated[str, Option(help="How a recipe's answers were drawn: sampled, or another of its run.")] = "",
    layout: Annotated[str, Option(help="full, or paper: Table 5's cells, its published rows beneath.")] = "full",
    store: Store = Path("runs"),
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Show arms by rows and tasks by columns, with paired differences to the control arm."""
    options.one_of("--layout", layout, board_view.LAYOUTS)
    if recipe is not None and recipe.endswith(_YAML):
        recipe = load_recipe(recipe).name
    chosen, file = options.names(runs), recipe is not None and recipe.endswith(".json")
    if decoding and (chosen or file):
        raise Usage(f"--decoding {decoding}: of a recipe's run in the store alone, not of evaluations or a file")
    results = options.results(store)
    if file:
        table = board.of_file(Path(str(recipe)))
    elif chosen:
        table = board.of_runs(results, chosen)
    else:
        table = board.of_record(board.saved(results, recipe), results, decoding)
    options.show(board_view.page(table, layout), "md" if markdown else form, as_json)


def claims(
    recipe: Annotated[str | None, Argument(help="A recipe, run, YAML file or file of --json; default: newest.")] = None,
    form: Form = "table",
    store: Store = Path("runs"),
    markdown: Markdown = False,
    as_json: Json = False,
) -> None:
    """What the paper says of a recipe's arms, and whether this run reproduces or contradicts it, or cannot tell."""
    if recipe is not None and recipe.endswith(".json"):
        page = claims_view.page(Path(recipe).name, *written.claims(Path(recipe)))
        return options.show(page, "md" if markdown else form, as_json)
    read = recipe is not None and (recipe.endswith(_YAML) or recipe in recipe_names())
    plan = load_recipe(recipe) if recipe is not None and read else None
    if plan is not None and not plan.claims:
        raise Usage(f"recipe {plan.name} makes no claims")
    results = options.results(store)
    record = board.saved(results, plan.name if plan else recipe)
    made = plan.claims if plan else record.claims
    if not made:
        raise Usage(f"recipe {record.recipe} makes no claims")
    samples, _ = board.all_samples(record, results)
    page = claims_view.page(record.title, made, tested(made, samples), collapses(samples))
    options.show(page, "md" if markdown else form, as_json)


def doses(
    recipe: Annotated[str | None, Argument(help="A recipe, run or file of --json; default: newest.")] = None,
    out: Annotated[Path | None, Option(help="A folder for the figure as PNG, or X.png, X.svg, X.pdf.")] = None,
    form: Form = "table",
    store: Store = Path("runs"),
    markdown: Markdown = False,
    as_json: Json = False,
) -> None:
    """Accuracy and items without an answer of arms that a recipe trained at several doses, against its control."""
    if recipe is not None and recipe.endswith(".json"):
        rows = written.responses(Path(recipe))
    else:
        results = options.results(store)
        record = board.saved(results, recipe)
        if not (rows := responses(record.control, board.all_samples(record, results)[0])):
            raise Usage(f"recipe {record.recipe} has no arms at several doses ('doses' of a recipe)")
    options.show(doses_view.page("", rows), "md" if markdown else form, as_json)
    for path in picture.save_all(doses_view.page("", rows, pictures=True), out) if out is not None else []:
        if not as_json:
            options.say(str(path))
