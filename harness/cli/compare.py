"""``harness compare``, ``gate`` and ``rescore``: what one run says about another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import DataDir, Form, Json, RunName, Store


def register(app: typer.Typer) -> None:
    app.command("compare")(compare)
    app.command("gate")(gate)
    app.command("rescore")(rescore)


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
    from harness.cli import options
    from harness.errors import NotComparable
    from harness.results import runs
    from harness.results.compare import compare as compared
    from harness.view import compare as view

    ours, theirs = runs.load(store, a), runs.load(store, b)
    named = options.names(tasks) or [task for task in ours.tasks if task in theirs.tasks]
    if not named:
        raise NotComparable(f"no task in both runs: {', '.join(ours.tasks)} against {', '.join(theirs.tasks)}")
    notes = _differences(ours.manifest, theirs.manifest)
    left_out = sorted(set(ours.tasks) ^ set(theirs.tasks)) if not tasks else []
    found = compared(ours.samples, theirs.samples, named)
    options.show(view.comparison(ours, theirs, found, notes, left_out, flips), form, as_json)


def _differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """How the runs differ beyond their verdicts. Raises NotComparable when they were graded by other graders."""
    from harness.errors import NotComparable

    if "grader" in a and "grader" in b and a["grader"] != b["grader"]:
        odd = [name for name in a["grader"] if a["grader"][name] != b["grader"].get(name)]
        raise NotComparable(
            f"graded by different graders ({', '.join(odd)}); run 'harness rescore' on the older run first"
        )
    names = ("model", "model_digest", "backend", "decoding", "prompting", "prompt_ids_hash", "packages", "machine")
    notes = []
    for name in names:
        x, y = a.get(name), b.get(name)
        if isinstance(x, dict) and isinstance(y, dict):
            notes += [f"{name}.{k}: {x.get(k)} against {y.get(k)}" for k in {**x, **y} if x.get(k) != y.get(k)]
        elif x is not None and y is not None and x != y:
            notes.append(f"{name}: {x} against {y}")
    return notes


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
    from harness.cli import options
    from harness.errors import NotComparable
    from harness.journal import write_whole
    from harness.results import gate as gating
    from harness.results import runs
    from harness.view import ci_reports as reports
    from harness.view import compare as view

    found = runs.load(store, run)
    if update:
        write_whole(
            baseline,
            json.dumps(gating.baseline(found.samples, found.manifest, _problems(found)), separators=(",", ":")) + "\n",
        )
        options.say(f"{baseline}: baseline of {found.name} with {', '.join(found.tasks)}")
        return
    try:
        against = json.loads(baseline.read_text())
    except FileNotFoundError:
        raise NotComparable(f"{baseline}: no such file; write it with --update") from None
    except ValueError as error:
        raise NotComparable(f"{baseline}: not JSON ({error})") from None
    if not isinstance(against, dict) or not isinstance(against.get("manifest", {}), dict):
        raise NotComparable(f"{baseline}: not a baseline file; write one with --update")
    for note in gating.notes(against, found.manifest, _problems(found)):
        options.complain(f"note: {note}")
    margins = gating.Margins(margin_accuracy, margin_no_answer, margin_tokens)
    verdict = gating.gate(found.samples, against, margins, options.names(tasks))
    if junit is not None:
        write_whole(junit, reports.junit(verdict, found.name))
    options.show(view.gate(found.name, baseline, verdict), as_json=as_json)
    for line in reports.github(verdict) if github else []:
        print(line)
    raise typer.Exit(gating.EXIT_CODES[verdict.outcome])


def _problems(run: Any) -> list[dict[str, Any]]:
    from harness.journal import read

    return list(read(run.folder / "problems.jsonl"))


def rescore(
    run: RunName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the flips, change nothing.")] = False,
    flips: Annotated[int, typer.Option(min=0, help="Show this many flips.")] = 20,
    data_dir: DataDir = None,
    store: Store = Path("runs"),
    as_json: Json = False,
) -> None:
    """Grade a stored run again with today's graders and list the verdicts that flip."""
    from harness.cli import options
    from harness.evaluation.plan import nltk_data
    from harness.grading.grade import Grader
    from harness.results import rescore as rescoring
    from harness.results import runs
    from harness.view import compare as view

    found = runs.load(store, run)
    settings = {} if data_dir is None else {"data_dir": str(data_dir)}
    with Grader(2, nltk_data=nltk_data(settings)) as grader:
        samples, flipped = rescoring.rescore(found, grader, _tokenizer(found.manifest))
    if not dry_run:
        rescoring.keep(found, samples)
    options.show(view.rescored(found.name, len(samples), flipped, flips, dry_run), as_json=as_json)


def _tokenizer(manifest: dict[str, Any]) -> Any:
    """The run's tokenizer, if it is still where it was; without it lengths stay as they were."""
    from harness.errors import ModelError
    from harness.models.loading import load_tokenizer
    from harness.models.shipped import resolve

    name = "shipped:student" if manifest.get("backend") == "mock" else str(manifest.get("model", ""))
    try:
        return load_tokenizer(resolve(name))
    except ModelError:
        return None
