"""``harness check``: what must hold before a model is loaded."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.options import DataDir, Json, Store, Suite, TaskPath, Tasks
from harness.cli.specs import Options, with_specs
from harness.evaluation import preflight
from harness.evaluation.spec import ProblemData
from harness.grading.grade import Grader
from harness.models.loading import context_length, resolve
from harness.models.spec import Prompting
from harness.problems.load import is_ours
from harness.problems.registry import select
from harness.view.progress import Findings


def register(app: typer.Typer) -> None:
    app.command("check")(with_specs(check))


def check(
    prompting: Annotated[Prompting, Options(panel="Prompting")],
    tasks: Tasks = "",
    suite: Suite = None,
    model: Annotated[
        str | None, typer.Option(help="Check prompts with this model's tokenizer; its weights are not loaded.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Budget that must fit the context.")] = 512,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N gold answers of each task.")] = None,
    data_dir: DataDir = None,
    task_path: TaskPath = None,
    store: Store = Path("runs"),
    as_json: Json = False,
) -> None:
    """Grade every gold answer through the real graders, and look at libraries, prompts, context and output.

    Exit 0: all holds. Exit 1: something fails. Exit 3: something could not be looked at (no data here).
    """
    chosen = [task.name for task in select(options.names(tasks), suite, task_path or [])]
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
