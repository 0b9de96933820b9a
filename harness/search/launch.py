"""From a plan in plain data to a running search: models opened, grader started, one folder written.

A plan can be sent to another process, so shards on other machines run exactly what one process would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import SearchMismatch
from harness.grading.grade import Grader
from harness.models.backends import opened
from harness.models.base import seed_of
from harness.models.spec import ModelSpec
from harness.records import Problem
from harness.search.run.driver import Limits, Search, Spent
from harness.search.run.roles import Role
from harness.search.run.verify import GraderVerifier
from harness.search.store import Settings, Store


@dataclass(frozen=True)
class Plan:
    """One search. ``generator``, ``critic``: replicas of each role's model; without a critic one model does both.

    ``graders``: grading processes. ``nltk_data``: for two kinds of instruction.
    """

    settings: Settings
    generator: tuple[ModelSpec, ...]
    critic: tuple[ModelSpec, ...] = ()
    deterministic: bool = True
    window: int = 128
    limits: Limits = field(default_factory=Limits)
    graders: int = 1
    nltk_data: Path | None = None


def execute(
    plan: Plan, problems: Iterable[Problem], folder: Path,
    progress: Callable[[int, int], None] = lambda finished, tokens: None,
    notice: Callable[[str], None] = lambda text: None, spent: Spent | None = None,
) -> None:  # fmt: skip
    """Search ``problems`` into ``folder``, or go on with what it holds.

    ``spent`` counts against the plan's limits, for several shards of one run. ``notice`` is told what was repaired.
    Raises what the models, the store and the search raise.
    """
    with ExitStack() as stack:
        store = stack.enter_context(Store(folder, plan.settings))
        if store.torn:
            notice(f"{folder / 'journal.jsonl'}: the last line was torn ({store.torn} bytes); it was dropped")
        roles = {"generator": _role(plan.generator, folder, "generator", stack)}
        roles["critic"] = _role(plan.critic, folder, "critic", stack) if plan.critic else roles["generator"]
        grader = stack.enter_context(Grader(plan.graders, nltk_data=plan.nltk_data))
        verifier = GraderVerifier(grader, 2 * plan.graders)
        search = Search(
            plan.settings, roles, verifier, plan.deterministic, plan.window, plan.limits, plan.generator[0].concurrency,
            progress=progress, spent=spent,
        )  # fmt: skip
        search.run(problems, store)


def _role(specs: tuple[ModelSpec, ...], folder: Path, name: str, stack: ExitStack) -> Role:
    found: list[tuple[Any, Any]] = [stack.enter_context(opened(spec, folder / name)) for spec in specs]
    return Role([completer for completer, _ in found], found[0][1], specs[0].concurrency)


def shard_of(problem: str, shards: int) -> int:
    """Which of ``shards`` a problem belongs to, by its id alone: two workers never own one problem."""
    return seed_of("shard", problem) % shards


def shard(problems: Iterable[Problem], number: int, shards: int) -> Iterator[Problem]:
    """The problems of one shard, numbered from 0."""
    return (problem for problem in problems if shard_of(problem.id, shards) == number)


def shard_folder(folder: Path, number: int, shards: int) -> Path:
    """Where one of ``shards`` lies. Raises SearchMismatch when ``folder`` holds a search in other parts."""
    if (folder / "search.json").exists():
        raise SearchMismatch(f"{folder}: holds a search without shards; use another folder")
    for other in folder.glob("shard-*-of-*"):
        if not other.name.endswith(f"-of-{shards:05d}"):
            raise SearchMismatch(f"{folder}: holds {int(other.name.rpartition('-')[2])} shards; use another folder")
    return folder / f"shard-{number:05d}-of-{shards:05d}"
