"""``harness score``: grade responses that were generated elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from harness.cli import options
from harness.cli.options import DataDir, Json, complain
from harness.errors import DataError, Usage, nearest
from harness.evaluation import responses as scoring
from harness.evaluation.response_files import FORMATS, read_responses
from harness.evaluation.spec import ProblemData
from harness.grading.families import KINDS
from harness.grading.grade import Grader
from harness.journal import write_rows
from harness.problems.load import is_ours, load
from harness.problems.registry import tasks
from harness.processes import interrupts_end_twice
from harness.records import Problem, Sample
from harness.results.summary import row
from harness.thoughts import THINK_TAGS, tags_of
from harness.view import evaluation as view


def score(
    responses: Annotated[Path, Option(help="JSONL with 'id' (or 'key', 'prompt') and 'response'; see --from.")],
    task: Annotated[str | None, Option(help="The task whose problems were answered.")] = None,
    grader: Annotated[str | None, Option(help=f"For rows with 'gold': {', '.join(KINDS)}.")] = None,
    out: Annotated[Path | None, Option(help="Write one verdict row per input row here.")] = None,
    metrics: Annotated[bool, Option("--metrics", help="Over-thinking metrics in every row, too.")] = False,
    form: Annotated[str, Option("--from", help=f"Whose file it is: {', '.join(FORMATS)}.")] = "jsonl",
    think_tags: Annotated[str, Option(help="OPEN,CLOSE.")] = ",".join(THINK_TAGS),
    prefilled: Annotated[bool, Option("--prefilled", help="Responses start inside the think block.")] = False,
    tokenizer: Annotated[str | None, Option(help="Count in this tokenizer's tokens; default: words and marks.")] = None,
    workers: Annotated[int, Option(min=1, help="Grading processes.")] = 2,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Grade responses generated elsewhere; the same graders, splitter and metrics as 'eval'.

    Exit 3 when no response at all could be graded.
    """
    options.one_of("--from", form, FORMATS)
    if (task is None) == (grader is None):
        raise Usage("score needs either --task NAME or --grader KIND")
    rows = read_responses(responses, form)
    if not rows:
        raise DataError(f"{responses}: holds no rows")
    data = ProblemData(data_dir=data_dir)
    problems: list[Problem] = []
    if task is not None:
        problems = _problems(task, data)
        matched = scoring.match(rows, problems, responses)
    else:
        matched = scoring.with_gold(rows, options.one_of("--grader", str(grader), KINDS), responses)
    counter = getattr(options.tokenizer_of(tokenizer), "backend_tokenizer", None) if tokenizer else None
    try:
        tags = tags_of(think_tags)
    except ValueError as error:
        raise Usage(f"--{error}") from None
    with interrupts_end_twice():
        with Grader(workers, nltk_data=data.nltk_data) as pool:
            samples = scoring.score(
                matched, pool, 2 * workers, tags=tags, prefilled=prefilled, metrics=metrics, backend=counter
            )
        if out is not None:
            write_rows(out, (scoring.output_row(r, s, metrics) for r, s in zip(matched, samples, strict=True)))
    figures = row(samples)
    missing = _complain(matched, samples, problems, task)
    options.show(view.scored(task or str(grader), figures, samples, out, missing, metrics), as_json=as_json)
    if figures.failed == 1:
        options.complain(f"no response could be graded; the first: {samples[0].grade.reason}")
        raise typer.Exit(3)


def _complain(matched: Sequence[scoring.Response], samples: Sequence[Sample], problems: Sequence[Problem],
              task: str | None) -> int:  # fmt: skip
    """Say on stderr what the figures do not cover; returns how many problems have no response."""
    unmatched = [response.number for response in matched if response.problem is None]
    if unmatched:
        complain(
            f"{len(unmatched)} of {len(matched)} rows fit no problem of {task}; they count as failed, the first is "
            f"row {unmatched[0]}"
        )
    long = [sample.metrics.analysed for sample in samples if sample.metrics.analysed is not None]
    if long:
        complain(f"{len(long)} responses are measured on their first {long[0]:,} characters alone")
    missing, fewest, most = scoring.coverage(matched, problems) if problems else (0, 1, 1)
    if missing:
        complain(f"{missing} of {len(problems)} problems of {task} have no response; the figures leave them out")
    if fewest != most:
        complain(f"problems have from {fewest} to {most} responses each; is one there twice?")
    return missing


def _problems(task: str, data: ProblemData) -> list[Problem]:
    name = task.removeprefix("harness_")
    if not is_ours(name):
        raise Usage(f"no task {task!r}{nearest(task, tasks())}; for rows with their own gold use --grader")
    # The embedded families are endless: their rows are the suite's, with as many problems as a run may have had.
    return load(name, **data.given())
