"""What ``tasks`` shows: registered tasks and suites, and one problem as a model sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from harness.problems.registry import Task
from harness.records import Problem
from harness.view.page import Page, Text, texts
from harness.view.text import hanging


def listing(known: Mapping[str, Task], suites: Mapping[str, Sequence[str]]) -> Page:
    """Tasks by their groups, the embedded ones first."""
    width = max(len(name) for name in known)
    lines: list[str] = []
    group = ""
    for task in sorted(known.values(), key=lambda task: (task.group != "embedded", task.group)):
        if task.group != group:
            group = task.group
            lines += [*([""] if lines else []), group]
        size = f"{task.items} items" if task.items.isdigit() else task.items.removeprefix("of ")
        lines += [f"  {task.name:<{width}}  {task.title}", f"  {'':<{width}}  {size}; {task.source}"]
    blocks = texts(*lines, "", wrap=False)
    blocks += [Text(text=hanging(f"suite {name}: ", ", ".join(of)), verbatim=True) for name, of in suites.items()]
    keys = ("group", "title", "items", "source")
    rows = [{"task": task.name, **{key: getattr(task, key) for key in keys}} for task in known.values()]
    data = {"tasks": rows, "suites": {name: list(of) for name, of in suites.items()}}
    return Page(title="tasks", blocks=blocks, data=data)


def problem(
    task: Task, count: int, number: int, one: Problem, *, prompt: str, tokens: int, grader: str, model: str
) -> Page:
    """Problem ``number`` of ``count``, its prompt as rendered for ``model``."""
    head = f"{task.name}: {task.title}; {count} problems; graded as {grader}"
    about = f"problem {number}, {one.id}: {tokens} tokens with the template of {model}"
    gold = f"gold: {json.dumps(one.gold, ensure_ascii=False)[:600]}"
    asked = Text(text=prompt, verbatim=True)
    blocks = [*texts(head, about, "", wrap=False), asked, *texts("", gold, wrap=False)]
    data = {"task": task.name, "id": one.id, "prompt": prompt, "tokens": tokens, "gold": one.gold, "grader": grader}
    return Page(title=task.name, blocks=blocks, data=data)
