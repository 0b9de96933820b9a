"""``harness score``: grade responses that were generated elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import DataDir, Json
from harness.errors import BadResponses, Usage
from harness.records import Problem


def register(app: typer.Typer) -> None:
    app.command("score")(score)


def score(
    responses: Annotated[Path, typer.Option(help="JSONL with 'id' (or 'key', or 'prompt') and 'response'.")],
    task: Annotated[str | None, typer.Option(help="The task whose problems were answered.")] = None,
    grader: Annotated[
        str | None, typer.Option(help="Instead of a task: rows carry 'gold'; number, math, plan or instructions.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write one verdict row per input row here.")] = None,
    metrics: Annotated[bool, typer.Option("--metrics", help="Over-thinking metrics in every row, too.")] = False,
    form: Annotated[str, typer.Option("--from", help="Whose file it is: jsonl, lm-eval or inspect.")] = "jsonl",
    think_tags: Annotated[str | None, typer.Option(help="OPEN,CLOSE; default <think>,</think>.")] = None,
    prefilled: Annotated[
        bool, typer.Option("--prefilled", help="The prompts opened the think block, so responses start inside it.")
    ] = False,
    tokenizer: Annotated[
        str | None, typer.Option(help="Count in this tokenizer's tokens; default: words and marks.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Grading processes.")] = 2,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Grade responses generated elsewhere; the same graders, splitter and metrics as 'eval'."""
    from harness.cli import options
    from harness.evaluation import score as scoring
    from harness.evaluation.plan import nltk_data
    from harness.grading.families import KINDS
    from harness.grading.grade import Grader
    from harness.journal import write_rows
    from harness.results.summary import row
    from harness.thoughts import THINK_TAGS
    from harness.view import evaluation as view

    options.one_of("--from", form, scoring.FORMATS)
    if (task is None) == (grader is None):
        raise Usage("score needs either --task NAME or --grader KIND")
    rows = scoring.read_responses(responses, form)
    if not rows:
        raise BadResponses(f"{responses}: holds no rows")
    settings: dict[str, Any] = {} if data_dir is None else {"data_dir": str(data_dir)}
    if task is not None:
        problems = _problems(task, settings)
        found = scoring.match(rows, problems, responses)
        missing, fewest, most = scoring.coverage(found, problems)
    else:
        found = scoring.own_gold(rows, options.one_of("--grader", str(grader), KINDS), responses)
        missing, fewest, most = 0, 1, 1
    counter = None
    if tokenizer is not None:
        from harness.evaluation.response_metrics import backend_of
        from harness.models.loading import load_tokenizer
        from harness.models.shipped import resolve

        counter = backend_of(load_tokenizer(resolve(tokenizer)))
    how = scoring.Scoring(options.tags(think_tags) or THINK_TAGS, prefilled, metrics, counter)
    with Grader(workers, nltk_data=nltk_data(settings)) as pool:
        samples = scoring.score(found, pool, how, 2 * workers)
    if out is not None:
        write_rows(out, (scoring.output_row(r, s, metrics) for r, s in zip(found, samples, strict=True)))
    figures = row(samples)
    strangers = sum(response.problem is None for response in found)
    if strangers:
        options.complain(
            f"{strangers} of {len(found)} rows fit no problem of {task}; they count as failed, the first is row "
            f"{next(r.number for r in found if r.problem is None)}"
        )
    if missing:
        options.complain(
            f"{missing} of {len(problems)} problems of {task} have no response; the figures leave them out"
        )
    if fewest != most:
        options.complain(f"problems have from {fewest} to {most} responses each; is one there twice?")
    options.show(view.scored(task or str(grader), figures, samples, out, missing, how.metrics), as_json=as_json)


def _problems(task: str, settings: dict[str, Any]) -> list[Problem]:
    from harness.errors import UnknownTask, nearest
    from harness.problems.load import is_ours, load
    from harness.problems.registry import tasks

    name = task.removeprefix("harness_")
    if not is_ours(name):
        raise UnknownTask(f"no task {task!r}{nearest(task, tasks())}; for rows with their own gold use --grader")
    # The embedded families are endless: their rows are the suite's, with as many problems as a run may have had.
    return load(name, **settings)
