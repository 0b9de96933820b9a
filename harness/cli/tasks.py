"""``harness tasks``: what can be evaluated, and what a task asks."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import options
from harness.cli.options import DataDir, Json, TaskPath
from harness.errors import DataError
from harness.evaluation.preflight import problems_of
from harness.evaluation.spec import ProblemData
from harness.grading.families import kind_of
from harness.models.prompts import prompt_ids, prompt_text
from harness.problems import registry
from harness.view import evaluation as view


def register(app: typer.Typer) -> None:
    about = "List the registered tasks and suites; 'tasks show NAME' prints a first prompt."
    options.group(app, "tasks", about, show, bare=tasks)


def tasks(context: typer.Context, as_json: Json = False, task_path: TaskPath = None) -> None:
    """List the registered tasks and suites."""
    if context.invoked_subcommand is None:
        options.show(view.listing(registry.tasks(task_path or []), registry.SUITES), as_json=as_json)


def show(
    name: Annotated[str, typer.Argument(help="A task.")],
    number: Annotated[int, typer.Option("--number", min=0, help="Which problem, from 0.")] = 0,
    model: Annotated[str, typer.Option(help="Render with this model's chat template.")] = "shipped:student",
    data_dir: DataDir = None,
    task_path: TaskPath = None,
    as_json: Json = False,
) -> None:
    """Print a problem of a task as a model would see it, with its gold answer and grader."""
    task = registry.select([name], None, task_path or [])[0]
    problems = problems_of(task.name, ProblemData(data_dir=data_dir), task_path or [])
    if number >= len(problems):
        raise DataError(f"{name}: has problems 0 to {len(problems) - 1}, no {number}")
    problem, tokenizer = problems[number], options.tokenizer_of(model)
    text, tokens = prompt_text(tokenizer, problem.prompt), len(prompt_ids(tokenizer, problem.prompt))
    grader = kind_of(problem.family)
    shown = view.problem(task, len(problems), number, problem, prompt=text, tokens=tokens, grader=grader, model=model)
    options.show(shown, as_json=as_json)
