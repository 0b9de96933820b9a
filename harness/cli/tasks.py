"""``harness tasks`` and ``harness check``: what can be evaluated, what a task asks, and what must hold before."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from harness.chains.check import training_data
from harness.cli import options
from harness.cli.options import DataDir, Json, Store, Suite, TaskPath, Tasks
from harness.cli.specs import Options
from harness.errors import DataError, Usage
from harness.evaluation import preflight
from harness.evaluation.asking import as_sent, gold_of
from harness.evaluation.plan import EvalPlan, has_grader
from harness.evaluation.spec import ProblemData
from harness.grading.families import kind_of
from harness.grading.grade import Grader
from harness.models.loading import context_length, resolve
from harness.models.prompts import encode, uses_chat
from harness.models.spec import ModelSpec, Prompting
from harness.problems import registry
from harness.view import evaluation as view
from harness.view.progress import Findings

_OF_SERVERS = ("base_url", "tokenizer", "api", "api_key_env", "header", "extra_body", "timeout")


def check(
    prompting: Annotated[Prompting, Options(panel="Prompting")],
    server: Annotated[ModelSpec, Options(panel="Server", only=_OF_SERVERS, defaults={"model": "", "timeout": 60.0})],
    tasks: Tasks = "",
    suite: Suite = None,
    model: Annotated[str | None, Option(help="Check prompts with its tokenizer; its weights are not loaded.")] = None,
    data: Annotated[Path | None, Option(help="Look at training data for --model: an export, JSONL, Parquet.")] = None,
    samples: Annotated[Path | None, Option(help="With --data: a run of the student, or verdicts of score.")] = None,
    max_tokens: Annotated[
        int | None, Option(min=1, help="Budget that must fit the context (512); with --data: of a row (the context).")
    ] = None,
    limit: Annotated[int | None, Option(min=1, help="Only the first N gold answers of each task.")] = None,
    data_dir: DataDir = None,
    task_path: TaskPath = None,
    store: Store = Path("runs"),
    as_json: Json = False,
) -> None:
    """Grade every gold answer through the real graders, and look at libraries, prompts, context, output and server.

    With --data: one screen before a training, of the rows as they would be trained on.

    Exit 0: all holds. Exit 1: something fails. Exit 3: something could not be looked at (no data here, no server).
    """
    findings = Findings(as_json)
    if data is not None or samples is not None:
        if data is None or model is None:
            raise Usage("training data are looked at with --data, and --model names the student to train")
        findings.take(training_data(data, resolve(model), prompting, max_tokens or 0, samples, data_dir))
        if not (tasks or suite or server.base_url):
            raise typer.Exit(findings.end())
    is_server_alone = server.base_url and not (tasks or suite)
    chosen = [] if is_server_alone else registry.select(options.names(tasks), suite, task_path or [])
    problems = ProblemData(data_dir=data_dir)
    tokenizer, context = None, 0
    for one in server.replicas() if server.base_url else ():
        found, tokenizer, context = preflight.server(one.model_copy(update={"model": model or ""}))
        findings.take(found)
    with Grader(2, nltk_data=problems.nltk_data) as grader:
        findings.take([preflight.dependencies(), preflight.writable(store)])
        for task in [task.name for task in chosen]:
            report = partial(findings.report, task)
            findings.take([preflight.gold_answers(task, problems, grader, limit, report, task_path or [])])
        if model is not None and tokenizer is None:
            tokenizer, context = options.tokenizer_of(server.tokenizer or model), context_length(resolve(model))
        if tokenizer is not None:
            plan = EvalPlan(tasks=chosen, data=problems, prompting=prompting, task_paths=task_path or [])
            findings.take(preflight.prompts(plan, tokenizer, max_tokens or 512, context))
    raise typer.Exit(findings.end())


def tasks(context: typer.Context, as_json: Json = False, task_path: TaskPath = None) -> None:
    if context.invoked_subcommand is None:
        options.show(view.listing(registry.tasks(task_path or []), registry.SUITES), as_json=as_json)


def show(
    name: Annotated[str, Argument(help="A task.")],
    prompting: Annotated[Prompting, Options(panel="Prompting")],
    number: Annotated[int, Option("--number", min=0, help="Which problem, from 0.")] = 0,
    model: Annotated[str, Option(help="Render with this model's chat template.")] = "shipped:student",
    data_dir: DataDir = None,
    task_path: TaskPath = None,
    as_json: Json = False,
) -> None:
    """Print a problem of a task as a model would see it, with its gold answer and grader."""
    task = registry.select([name], None, task_path or [], foreign=True)[0]
    data = ProblemData(data_dir=data_dir)
    plan = EvalPlan(tasks=[task], data=data, prompting=prompting, task_paths=task_path or [])
    tokenizer = options.tokenizer_of(model)
    asked = as_sent(plan, tokenizer)[task.name]
    if number >= len(asked):
        raise DataError(f"{name}: has problems 0 to {len(asked) - 1}, no {number}")
    document, prompt = asked[number]
    shown = view.problem(
        task, len(asked), number, name=str(document.get("id", number)), gold=gold_of(document), prompt=prompt,
        tokens=len(encode(tokenizer, prompt, uses_chat(tokenizer, prompting))), model=model,
        grader=kind_of(document["family"]) if has_grader(document) else "the task says",
    )  # fmt: skip
    options.show(shown, as_json=as_json)


app = options.group(show, bare=tasks)
