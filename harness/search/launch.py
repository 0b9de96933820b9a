"""From settings in plain data to a running search: models opened, grader started, one folder written.

A plan can be sent to another process, so shards on other machines run exactly what one process would: on a Ray cluster
each is a task with a folder that all workers must see, and is started again where its worker dies. A problem belongs to
one shard by its place among the problems, and a shard's journal has one writer by its lock.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from harness.errors import Incomplete, ModelError, SearchMismatch, Usage
from harness.grading.grade import Grader
from harness.models.backends import opened
from harness.models.spec import ModelSpec
from harness.records import Problem
from harness.search.grammar import Grammar, children, load
from harness.search.run.flow import Flow
from harness.search.run.roles import Role
from harness.search.run.rounds import enter, search_in_rounds
from harness.search.run.work import Budget, GraderVerifier, Search
from harness.search.spec import Goals, Limits, SearchSpec
from harness.search.store import Settings, Store

RETRIES = 20  # of a shard on a cluster


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One search. ``models``: the replicas of each role, the generator's for both where there is no critic."""

    search: SearchSpec
    goals: Goals
    models: Mapping[str, tuple[ModelSpec, ...]]
    limits: Limits = field(default_factory=Limits)
    nltk_data: Path | None = None  # for two kinds of instruction


def admitted(plan: Plan) -> Grammar:
    """The grammar of a plan whose budgets have room for its thoughts. Raises RecipeError, BadFile, Usage."""
    grammar, name = load(plan.search.grammar), plan.search.grammar
    sizes = [tree.kinds[k].max_tokens for tree in grammar.resolved.values() for k in children(tree.start)]
    budgets = (("a problem (--tokens)", plan.goals.tokens, max(sizes)),  # a tree that draws the longest must begin, too
               ("this run (--all-tokens)", plan.limits.tokens, min(sizes)))  # fmt: skip
    for what, budget, need in budgets:
        if 0 < budget < need:
            raise Usage(
                f"{budget} tokens for {what} have no room for the first thoughts of grammar {name}, of up to {need}; "
                f"give at least {need}, or lower max_tokens in a copy ('harness search cp' makes one)"
            )
    return grammar


def execute(
    plan: Plan, problems: Iterable[Problem], folder: Path, *, logs: Path | None = None, grader: Grader | None = None,
    progress: Callable[[int, int], None] = lambda finished, tokens: None,
    notice: Callable[[str], None] = lambda text: None, budget: Budget | None = None,
) -> None:  # fmt: skip
    """Search ``problems`` into ``folder``, or go on with what it holds.

    ``logs``: where servers that are started write (default: the folder). ``grader``: one that is shared (default: one
    is started). ``progress`` receives (problems finished, tokens generated), ``notice`` what was repaired. ``budget``:
    that of several shards of one run. Raises what models, store and search raise: ModelError, SearchMismatch,
    JournalBroken, NotWritten, GraderBroken, SearchIncomplete; and, before a model is loaded, what admitted raises.
    """
    grammar = admitted(plan)
    spec, models = plan.search, {"critic": plan.models["generator"]} | dict(plan.models)
    with ExitStack() as stack:
        roles = {role: _role(specs, (logs or folder) / role, stack) for role, specs in plan.models.items()}
        roles = {"critic": roles["generator"]} | roles
        settings = Settings(
            grammar=grammar, goals=plan.goals, policy=spec.policy, seed=spec.seed, in_flight=spec.in_flight,
            models={role: roles[role].name for role in ("generator", "critic")},
            names={role: models[role][0].model for role in ("generator", "critic")},
        )  # fmt: skip
        store = stack.enter_context(Store(folder, settings))
        if store.torn:
            notice(f"{folder / 'journal.jsonl'}: the last line was torn ({store.torn} bytes); it was dropped")
        grader = grader or stack.enter_context(Grader(spec.graders, nltk_data=plan.nltk_data))
        search = Search(
            settings=settings, roles=roles, verifier=GraderVerifier(grader, max(4, 2 * spec.graders)),
            deterministic=spec.deterministic, window=spec.window, limits=plan.limits, chunk=roles["generator"].slots,
            progress=progress, budget=budget,
        )  # fmt: skip
        run(search, problems, store)


def run(search: Search, problems: Iterable[Problem], store: Store) -> None:
    """Search every problem that the store has not finished. Raises SearchIncomplete when some stay unfinished."""
    asyncio.run(run_async(search, problems, store))


async def run_async(search: Search, problems: Iterable[Problem], store: Store) -> None:
    """``run`` within an event loop. Servers run freely, a model in this process works in rounds."""
    budget = search.budget or Budget(limits=search.limits)
    budget.freed = asyncio.Event()  # belongs to this event loop
    problems = (store.checked(problem) for problem in problems)
    if any(role.lockstep for role in search.roles.values()):
        if search.limits.problem_seconds:
            raise ModelError("seconds of one problem can be limited with a server only, not with a model in here")
        enter(store, "rounds")
        await search_in_rounds(search, problems, store, budget)
    else:
        enter(store, "asked" if search.deterministic else "arrived")
        await Flow(search, store, budget).run(p for p in problems if p.id not in store.finished)
    store.compact()


def _role(specs: Sequence[ModelSpec], logs: Path, stack: ExitStack) -> Role:
    replicas: list[tuple[Any, Any]] = [
        stack.enter_context(opened(spec, logs.with_name(f"{logs.name}-{number}") if len(specs) > 1 else logs))
        for number, spec in enumerate(specs)
    ]
    return Role([completer for completer, _ in replicas], replicas[0][1], slots=replicas[0][0].batch_size)


def shard(problems: Iterable[Problem], number: int, shards: int) -> Iterator[Problem]:
    """The problems of one shard, numbered from 0: every ``shards``-th, so each belongs to one."""
    return islice(problems, number, None, shards)


def shard_folder(folder: Path, number: int, shards: int) -> Path:
    """Where one of ``shards`` lies. Raises SearchMismatch when ``folder`` holds a search in other parts."""
    if (folder / "search.json").exists():
        raise SearchMismatch(f"{folder}: holds a search without shards; use another folder")
    for other in folder.glob("shard-*-of-*"):
        if not other.name.endswith(f"-of-{shards:05d}"):
            raise SearchMismatch(f"{folder}: holds {int(other.name.rpartition('-')[2])} shards; use another folder")
    return folder / f"shard-{number:05d}-of-{shards:05d}"


def run_on_ray(
    plan: Plan, problems: Sequence[Problem], out: Path, shards: int, address: str | None = None,
    notice: Callable[[str], None] = lambda text: None,
) -> None:  # fmt: skip
    """Run every shard of a search on the cluster at ``address``, or on one started here.

    The plan's budgets of requests and tokens are split evenly; its seconds begin now. Raises ModelError without ray or
    cluster, SearchMismatch for a folder with other shards, Incomplete when shards failed for good.
    """
    until = time.time() + plan.limits.seconds if plan.limits.seconds else 0.0
    ray, out = connected(address), out.resolve()
    task = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=[OSError])(_work)
    everything = ray.put(list(problems))
    shard_folder(out, 0, shards)
    plans = [replace(plan, limits=share(plan.limits, n, shards)) for n in range(shards)]
    running = [task.remote(part, everything, str(out), n, shards, until) for n, part in enumerate(plans)]
    failed: dict[int, str] = {}
    for number, shard_at_work in enumerate(running):
        try:
            for text in ray.get(shard_at_work):
                notice(text)
        except Exception as error:
            failed[number] = _line(error)
    if failed:
        first = min(failed)
        kept = "" if "all results are kept" in failed[first] else "; all results are kept, and the same command goes on"
        raise Incomplete(f"{len(failed)} of {shards} shards failed, first shard {first}: {failed[first]}{kept}")


def connected(address: str | None) -> Any:
    """Ray, connected to the cluster at ``address`` or to one started here. Raises ModelError when there is none."""
    try:
        import ray
    except ImportError:
        raise ModelError("--executor ray needs ray; install the extra 'ray'") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    except Exception as error:
        raise ModelError(f"no Ray cluster at {address or 'this machine'}: {_line(error)}") from None
    return ray


def share(limits: Limits, number: int, shards: int) -> Limits:
    """The budget of one of ``shards``; together they have the whole. Raises ModelError when there is less than one."""
    parts = {"requests": limits.requests, "tokens": limits.tokens}
    for name, total in parts.items():
        if 0 < total < shards:
            raise ModelError(f"a budget of {total} {name} is less than one for each of the {shards} shards")
        parts[name] = total // shards + (number < total % shards)
    return limits.model_copy(update=parts)


def _work(plan: Plan, problems: Sequence[Problem], out: str, number: int, shards: int, until: float) -> list[str]:
    """One shard, in a worker of the cluster; returns what was repaired. ``until``: Unix time of its end, 0: none."""
    if until:
        plan = replace(plan, limits=plan.limits.model_copy(update={"seconds": max(1e-3, until - time.time())}))
    folder, notices = shard_folder(Path(out), number, shards), list[str]()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "worker").write_text(f"{os.uname().nodename} {os.getpid()}\n")
    execute(plan, shard(problems, number, shards), folder, notice=notices.append)
    return notices


def _line(error: BaseException) -> str:
    cause: Any = getattr(error, "cause", None) or error
    return " ".join(str(cause).split())[:300] or type(cause).__name__
