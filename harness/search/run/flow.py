"""Free-running trees, for servers: many problems at once, each with a few expansions in flight.

A tree receives results in the order of asking (``deterministic``), so that it is a function of its seed, or in the
order of arrival, which never waits for the slowest sibling.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from harness.errors import GraderBroken, ModelError, SearchIncomplete
from harness.records import Problem
from harness.search.run.work import Budget, InFlight, Search, ending
from harness.search.store import NodeRow, Store, result
from harness.search.tree.nodes import Expansion

# After so many failed calls in a row without one that succeeds, the servers are taken for dead.
FAILURES = 24


class Flow:
    """One invocation: up to ``window`` problems at once, each with a few expansions in flight."""

    def __init__(self, search: Search, store: Store, budget: Budget) -> None:
        self.search, self.store, self.budget = search, store, budget
        grammar, whole = search.settings.grammar, search.settings.policy == "chain_first"
        # Tokens that a call of these trees may take.
        self.most = max(
            kind.max_tokens * (each.depth if whole else 1)
            for each in grammar.resolved.values()
            for kind in each.kinds.values()
        )
        self.failed: dict[str, str] = {}
        self.unfinished = self.in_a_row = 0
        self.stopping = False

    async def run(self, problems: Iterator[Problem]) -> None:
        """Search ``problems`` to their end. Raises SearchIncomplete, and what the grader and the disk raise."""
        workers = [asyncio.ensure_future(self._work(problems)) for _ in range(self.search.window)]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()
        except BaseException:
            self.stopping = True
            raise
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        left = next(problems, None) is not None
        if self.failed:
            name, why = next(iter(self.failed.items()))
            raise SearchIncomplete(
                f"{len(self.failed)} problems met failing model calls, first {name}: {why}; all results are kept, and "
                "the same command goes on"
            )
        if self.unfinished and (why := self.budget.too_small(self.most)):
            raise SearchIncomplete(f"{why}; nothing was done")
        if self.unfinished or left:
            raise SearchIncomplete(
                f"the budget of this run is spent, {self.unfinished} problems are half done"
                f"{' and others not begun' if left else ''}; all results are kept, and the same command goes on"
            )

    async def _work(self, problems: Iterator[Problem]) -> None:
        while self.in_a_row < FAILURES and not self.budget.over(1) and (problem := next(problems, None)) is not None:
            earlier = self.store.unfinished.get(problem.id)
            rows = {row["node"]: row for row in earlier.rows} if earlier else {}
            state = self.search.begin(problem, self.store)
            if not self.search.deterministic:
                for name, row in rows.items():
                    state.tree.tell(name, result(row))
                rows = {}
            try:
                why = await self._grow(state, rows)
            except ModelError as error:
                self.failed[problem.id] = str(error)
                continue
            if why is None:
                self.unfinished += 1
            else:
                self.search.finish(state, self.store, why)

    async def _grow(self, state: InFlight, known: dict[str, NodeRow]) -> str | None:
        """Ask and tell until the tree is done; returns why, or None when a limit of the run stopped it."""
        tree, patience = state.tree, self.search.limits.problem_seconds
        outstanding: dict[asyncio.Task[NodeRow], str] = {}
        end = time.monotonic() + patience if patience else float("inf")
        try:
            while True:
                while len(outstanding) < self.search.settings.in_flight and time.monotonic() < end:
                    room = self.in_a_row < FAILURES and await self.budget.room(self.most)
                    if time.monotonic() >= end:  # while it waited
                        break
                    expansion = tree.ask()
                    if expansion is None:
                        break
                    # A tree that cannot fill its place stops: told results while it has fewer expansions in flight
                    # than usual, it would ask for others than in an unlimited run.
                    if not room:
                        return None
                    earlier = known.get(expansion.node)
                    if earlier is None:
                        self.budget.requests += 1
                        self.budget.reserved += expansion.budget
                    task = asyncio.ensure_future(self._expand(state, expansion, earlier))
                    outstanding[task] = expansion.node
                if not outstanding:
                    why = ending(tree)
                    return "seconds" if why == "budget" and time.monotonic() >= end else why
                waited = list(outstanding)[: 1 if self.search.deterministic else None]
                if not waited[0].done():
                    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                for task in waited:
                    if task.done():
                        tree.tell(outstanding.pop(task), result(task.result()))
        finally:
            # What is in flight ends, and is kept, before an error leaves here; but no verdict that was not reached.
            await asyncio.gather(*outstanding, return_exceptions=True)

    async def _expand(self, state: InFlight, expansion: Expansion, known: NodeRow | None) -> NodeRow:
        """The row of an expansion: from an earlier run, or from the model and the grader, and then journalled."""
        if known is not None:
            return known
        search, role, generated = self.search, expansion.role, 0
        request = search.writer.request(state.tree, expansion, state.prompts[role], state.messages)
        try:
            completion = await search.roles[role].complete(request, state.problem.id, len(expansion.ancestors))
            generated = len(completion.token_ids)
        except ModelError:
            self.in_a_row += 1
            raise
        finally:
            self.budget.reserved -= expansion.budget
            self.budget.tokens += generated
            self.budget.freed.set()
        self.in_a_row = 0
        row = search.writer.row(state.tree, expansion, completion)
        if await search.grade(state, expansion, row) == "grader_timeout" and self.stopping:
            raise GraderBroken("the search was stopped while an answer was graded; it is graded again")
        self.store.write([(state.problem.id, row)])
        search.progress(len(self.store.finished), search.tokens)
        return row
