"""``harness tasks``: what can be evaluated, and what a task asks."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from harness.cli.options import DataDir, Json, TaskPath


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="List the registered tasks and suites; 'tasks show NAME' prints a first prompt.")
    group.callback(invoke_without_command=True)(tasks)
    group.command("show")(show)
    app.add_typer(group, name="tasks")


def tasks(context: typer.Context, as_json: Json = False, task_path: TaskPath = None) -> None:
    """List the registered tasks and suites."""
    if context.invoked_subcommand is not None:
        return
    from harness.problems import registry
    from harness.view.text import hanging

    known = registry.tasks(task_path or [])
    if as_json:
        from harness.cli.options import print_json

        rows = [
            {"task": t.name, "group": t.group, "title": t.title, "items": t.items, "source": t.source}
            for t in known.values()
        ]
        print_json({"tasks": rows, "suites": {name: list(names) for name, names in registry.SUITES.items()}})
        return
    width = max(len(name) for name in known)
    group = ""
    for task in sorted(known.values(), key=lambda task: (task.group != "embedded", task.group)):
        if task.group != group:
            group = task.group
            print(f"{'' if group == 'embedded' else chr(10)}{group}")
        size = f"{task.items} items" if task.items.isdigit() else task.items.removeprefix("of ")
        print(f"  {task.name:<{width}}  {task.title}\n  {'':<{width}}  {size}; {task.source}")
    print()
    for name, names in registry.SUITES.items():
        print(hanging(f"suite {name}: ", ", ".join(names)))


def show(
    name: Annotated[str, typer.Argument(help="A task.")],
    number: Annotated[int, typer.Option("--number", min=0, help="Which problem, from 0.")] = 0,
    model: Annotated[str, typer.Option(help="Render with this model's chat template.")] = "shipped:student",
    data_dir: DataDir = None,
    task_path: TaskPath = None,
    as_json: Json = False,
) -> None:
    """Print a problem of a task as a model would see it, with its gold answer and grader."""
    import json

    from harness.cli.options import print_json
    from harness.errors import DataError
    from harness.evaluation.preflight import problems_of
    from harness.grading.families import kind_of
    from harness.models.loading import load_tokenizer
    from harness.models.prompts import prompt_ids, prompt_text
    from harness.models.shipped import resolve
    from harness.problems.registry import select

    task = select([name], None, task_path or [])[0]
    settings: dict[str, Any] = {} if data_dir is None else {"data_dir": str(data_dir)}
    found = problems_of(task.name, settings, task_path or [])
    if number >= len(found):
        raise DataError(f"{name}: has problems 0 to {len(found) - 1}, no {number}")
    problem, tokenizer = found[number], load_tokenizer(resolve(model))
    text, tokens = prompt_text(tokenizer, problem.prompt), len(prompt_ids(tokenizer, problem.prompt))
    kind = kind_of(problem.family)
    if as_json:
        shown = {"id": problem.id, "prompt": text, "tokens": tokens, "gold": problem.gold, "grader": kind}
        print_json({"task": task.name, **shown})
        return
    print(f"{task.name}: {task.title}; {len(found)} problems; graded as {kind}")
    print(f"problem {number}, {problem.id}: {tokens} tokens with the template of {model}\n")
    print(text)
    print(f"\ngold: {json.dumps(problem.gold, ensure_ascii=False)[:600]}")
