"""Searching in rounds, for a model in this process whose results depend on what shares a batch.

In a round each tree of the window asks for a few nodes; each role completes its requests in fixed chunks; every
finished chunk is verified and goes to the journal in one write; then the trees are told. Rounds are a function of the
seed and of earlier rounds, so a resumed search replays its journal and goes on with the same batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from harness.models.base import Completion, Request, complete_in_chunks
from harness.records import Problem
from harness.search.nodes import Expansion
from harness.search.store import Store, own, result

if TYPE_CHECKING:
    from harness.search.driver import Search, Spent, State

_Asked = list[tuple["State", Expansion]]
_Known = dict[tuple[str, str], dict[str, Any]]


async def search_in_rounds(search: Search, problems: Iterable[Problem], store: Store, spent: Spent) -> None:
    """Search all problems, a window of them at a time. Earlier rounds are replayed from the store.

    Raises SearchIncomplete before a chunk that a limit of the run has no room for.
    """
    begun: dict[str, bool] = {}
    known: _Known = {}
    for stored in own(store.folder):
        begun[stored.problem.id] = bool(stored.why)
        known |= {(stored.problem.id, row["node"]): row for row in stored.rows}
    source = iter(problems)
    window: list[State] = []
    while True:
        window += _entering(search, source, store, begun, search.window - len(window))
        if not window:
            return
        asked: _Asked = []
        for state in window:
            expansions = [e for _ in range(search.settings.in_flight) if (e := state.tree.ask()) is not None]
            asked += [(state, e) for e in expansions]
            if not expansions and not begun.get(state.problem.id):
                search.finish(state, store)
        working = {state.problem.id for state, _ in asked}
        window = [state for state in window if state.problem.id in working]
        for role in search.roles:
            await _complete(search, role, asked, known, store, spent)
        for state, expansion in asked:
            state.tree.tell(expansion.node, result(known.pop((state.problem.id, expansion.node))))
        search.progress(len(store.finished), search.tokens)


def _entering(
    search: Search, source: Iterator[Problem], store: Store, begun: dict[str, bool], room: int
) -> Iterator[State]:
    for _ in range(room):
        problem = next(source, None)
        if problem is None:
            return
        yield search.begin(problem, store, fresh=problem.id not in begun)


async def _complete(
    search: Search, role: str, asked: _Asked, known: _Known, store: Store, spent: Spent
) -> None:  # fmt: skip
    mine = [(s, e) for s, e in asked if search.writer.role(s.tree, e) == role]
    requests = [search.writer.request(s.tree, e, s.prompts[role]) for s, e in mine]

    def is_known(index: int) -> bool:
        state, expansion = mine[index]
        return (state.problem.id, expansion.node) in known

    def admit(chunk: Sequence[Request]) -> None:
        from harness.search.driver import SearchIncomplete

        most = sum(request.max_tokens for request in chunk)
        limit = spent.limits.requests
        if spent.over(most) or (limit and spent.requests + len(chunk) > limit):
            raise SearchIncomplete(
                "the budget of this run is spent (it needs room for a whole batch); all results are kept, and the same "
                "command goes on"
            )
        spent.requests += len(chunk)

    async def finished(results: list[tuple[int, Completion]]) -> None:
        from harness.search.driver import judge, last_finish

        rows = [search.writer.row(mine[i][0].tree, mine[i][1], completion) for i, completion in results]
        graded = []
        for (index, _), row in zip(results, rows, strict=True):
            state, expansion = mine[index]
            response = search.writer.response(state.tree, row, expansion)
            if response is not None:
                graded.append((row, search.verifier.verify(state.problem, response, last_finish(row))))
        for (row, _), grade in zip(graded, await asyncio.gather(*(g for _, g in graded)), strict=True):
            judge(row, grade)
        for (index, completion), row in zip(results, rows, strict=True):
            search.roles[role].count(completion)
            spent.tokens += len(completion.token_ids)
            known[mine[index][0].problem.id, row["node"]] = row
        store.write([{"problem": mine[i][0].problem.id, **row} for (i, _), row in zip(results, rows, strict=True)])

    await complete_in_chunks(search.roles[role].replicas[0], requests, is_known, finished, search.chunk, admit)
