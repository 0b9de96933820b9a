"""Picks the engine of a search: servers run freely (``flow``), a model in this process works in ``rounds``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from harness.errors import ModelError
from harness.records import Problem
from harness.search.run import order
from harness.search.run.budget import Budget
from harness.search.run.flow import Flow
from harness.search.run.rounds import search_in_rounds
from harness.search.run.work import Search
from harness.search.store import Store


def run(search: Search, problems: Iterable[Problem], store: Store) -> None:
    """Search every problem that the store has not finished. Raises SearchIncomplete when some stay unfinished."""
    asyncio.run(run_async(search, problems, store))


async def run_async(search: Search, problems: Iterable[Problem], store: Store) -> None:
    """``run`` within an event loop."""
    budget = search.budget or Budget(limits=search.limits)
    budget.freed = asyncio.Event()  # belongs to this event loop
    problems = (store.checked(problem) for problem in problems)
    if any(role.lockstep for role in search.roles.values()):
        if search.limits.problem_seconds:
            raise ModelError("seconds of one problem can be limited with a server only, not with a model in here")
        order.enter(store, "rounds")
        await search_in_rounds(search, problems, store, budget)
    else:
        order.enter(store, "asked" if search.deterministic else "arrived")
        await Flow(search, store, budget).run(p for p in problems if p.id not in store.finished)
    store.compact()
