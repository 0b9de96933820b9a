"""``harness tasks`` and ``harness check``: what can be evaluated, what a task asks, and what must hold before."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from harness.cli import options
from harness.cli.options import DataDir, Json, Store, Suite, TaskPath, Tasks
from harness.cli.specs import Options
from harness.errors import DataError
from harness.evaluation import preflight
from harness.evaluation.spec import ProblemData
from harness.grading.families import kind_of
from harness.grading.grade import Grader
from harness.models.loading import context_length, resolve
from harness.models.prompts import prompt_ids, prompt_text
from harness.models.spec import Prompting
from harness.problems import registry
from harness.problems.load import is_ours
from harness.view import evaluation as view
from harness.view.progress import Findings


def check(
    prompting: Annotated[Prompting, Options(panel="Prompting")],
    tasks: Tasks = "",
    suite: Suite = None,
    model: Annotated[str | None, Option(help="Check prompts with its tokenizer; its weights are not loaded.")] = None,
    max_tokens: Annotated[int, Option(min=1, help="Budget that must fit the context.")] = 512,
    limit: Annotated[int | None, Option(min=1, help="Only the first N gold answers of each task.")] = None,
    data_dir: DataDir = None,
    task_path: TaskPath = None,
    store: Store = Path("runs"),
    as_json: Json = False,
) -> None:
    """Grade every gold answer through the real graders, and look at libraries, prompts, context and output.

    Exit 0: all holds. Exit 1: something fails. Exit 3: something could not be looked at (no data here).
    """
    chosen = [task.name for task in registry.select(options.names(tasks), suite, task_path or [])]
    data = ProblemData(data_dir=data_dir)
    findings = Findings(as_json)
    with Grader(2, nltk_data=data.nltk_data) as grader:
        findings.take([preflight.dependencies(), preflight.writable(store)])
        for task in chosen:
            report = partial(findings.report, task)
            findings.take([preflight.gold_answers(task, data, grader, limit, report, task_path or [])])
        if model is not None:
            tokenizer, context = options.tokenizer_of(model), context_length(resolve(model)) or 1 << 20
            ours = [task for task in chosen if is_ours(task)]
            findings.take(preflight.prompts(ours, data, tokenizer, prompting, max_tokens, context))
    raise typer.Exit(findings.end())


def tasks(context: typer.Context, as_json: Json = False, task_path: TaskPath = None) -> None:
    if context.invoked_subcommand is None:
        options.show(view.listing(registry.tasks(task_path or []), registry.SUITES), as_json=as_json)


def show(
    name: Annotated[str, Argument(help="A task.")],
    number: Annotated[int, Option("--number", min=0, help="Which problem, from 0.")] = 0,
    model: Annotated[str, Option(help="Render with this model's chat template.")] = "shipped:student",
    data_dir: DataDir = None,
    task_path: TaskPath = None,
    as_json: Json = False,
) -> None:
    """Print a problem of a task as a model would see it, with its gold answer and grader."""
    task = registry.select([name], None, task_path or [])[0]
    problems = preflight.problems_of(task.name, ProblemData(data_dir=data_dir), task_path or [])
    if number >= len(problems):
        raise DataError(f"{name}: has problems 0 to {len(problems) - 1}, no {number}")
    problem, tokenizer = problems[number], options.tokenizer_of(model)
    text, tokens = prompt_text(tokenizer, problem.prompt), len(prompt_ids(tokenizer, problem.prompt))
    grader = kind_of(problem.family)
    shown = view.problem(task, len(problems), number, problem, prompt=text, tokens=tokens, grader=grader, model=model)
    options.show(shown, as_json=as_json)


app = options.group(show, bare=tasks)
