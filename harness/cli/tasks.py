"""``harness tasks``: what can be evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("tasks")(tasks)


def tasks(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    task_path: Annotated[list[Path] | None, typer.Option(help="A folder with tasks of your own.")] = None,
) -> None:
    """List the registered tasks and suites."""
    from harness.problems import registry

    known = registry.tasks(task_path or [])
    if as_json:
        import json

        rows = [
            {"task": t.name, "group": t.group, "title": t.title, "items": t.items, "source": t.source}
            for t in known.values()
        ]
        print(
            json.dumps(
                {"tasks": rows, "suites": {name: list(names) for name, names in registry.SUITES.items()}}, indent=1
            )
        )
        return
    width = max(len(name) for name in known)
    for task in known.values():
        print(f"{task.name:<{width}}  {task.title}\n{'':<{width}}  {task.group}; {task.items} items; {task.source}")
    print()
    for name, names in registry.SUITES.items():
        print(f"suite {name}: {', '.join(names)}")
