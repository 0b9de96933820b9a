"""``harness compare``, ``gate`` and ``rescore``: what one run says about another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli import options
from harness.cli.options import DataDir, Form, Json, RunName, Store
from harness.errors import ModelError, NotComparable
from harness.evaluation.spec import ProblemData
from harness.grading.grade import Grader
from harness.journal import write_whole
from harness.processes import interrupts_end_twice
from harness.results import compare as comparing
from harness.results import gate as gating
from harness.results import runs
from harness.results.records import Manifest
from harness.view import compare as view


def register(app: typer.Typer) -> None:
    for command in (compare, gate, rescore):
        app.command(command.__name__)(command)


def compare(
    a: RunName,
    b: RunName,
    tasks: Annotated[str, typer.Option(help="Only these tasks; default: all that both have.")] = "",
    flips: Annotated[int, typer.Option(min=0, help="Show this many flipped items a task.")] = 5,
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
    baseline: Annotated[Path, typer.Option(help="Baseline file.")],
    update: Annotated[bool, typer.Option("--update", help="Write the run as the new baseline; no test.")] = False,
    tasks: Annotated[str, typer.Option(help="Only these tasks; default: all of the baseline.")] = "",
    margin_accuracy: Annotated[float, typer.Option(min=0.0, help="Largest loss that counts as none.")] = 0.03,
    margin_no_answer: Annotated[float, typer.Option(min=0.0, help="The same for the no-answer rate.")] = 0.03,
    margin_tokens: Annotated[float, typer.Option(min=0.0, help="The same for tokens, as a share.")] = 0.10,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report here.")] = None,
    github: Annotated[bool, typer.Option("--github", help="Print GitHub annotations, too.")] = False,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the flips, change nothing.")] = False,
    flips: Annotated[int, typer.Option(min=0, help="Show this many flips.")] = 20,
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
