"""Searching in rounds, for a model in this process whose results depend on what shares a batch.

The trees of a window keep a few expansions each waiting. A round completes one full batch of one role, of prompts as
near in length as there are, so that little is padded. The batch is verified, goes to the journal in one write, and its
trees ask for more. Rounds are a function of the seed and of earlier rounds, so a resumed search replays its journal and
goes on with the same batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice

from harness.errors import SearchIncomplete
from harness.models.base import Completion, Request, complete_in_chunks
from harness.records import Problem
from harness.search.rows import NodeRow, result
from harness.search.run import order
from harness.search.run.work import Budget, InFlight, Search, judge, last_finish
from harness.search.store import Store, trees
from harness.search.tree.nodes import Expansion

_Asked = list[tuple[InFlight, Expansion, Request]]
_Known = dict[tuple[str, str], NodeRow]


async def search_in_rounds(search: Search, problems: Iterable[Problem], store: Store, budget: Budget) -> None:
    """Search all problems, a window of them at a time. Earlier rounds are replayed from the store.

    Raises SearchIncomplete before a batch that a limit of the run has no room for, SearchMismatch for a store that is
    half done with other problems, window or batches.
    """
    begun: dict[str, bool] = {}  # by problem: whether it is finished
    known: _Known = {}
    todo = order.begin(store, list(problems), search.window, search.chunk)
    wanted = {problem.id for problem in todo}
    for stored in trees(store.folder):
        if stored.problem.id in wanted:
            begun[stored.problem.id] = bool(stored.why)
            known |= {(stored.problem.id, row["node"]): row for row in stored.rows}
    entering = (search.begin(problem, store, fresh=problem.id not in begun) for problem in todo)
    waiting: dict[str, _Asked] = {role: [] for role in search.roles}  # in the order of asking
    flying: dict[str, int] = {}
    idle = list(islice(entering, search.window))  # trees with room for another expansion
    while idle or flying:
        while idle:
            state = idle.pop(0)
            name = state.problem.id
            for _ in range(search.settings.in_flight - flying.setdefault(name, 0)):
                if (expansion := state.tree.ask()) is None:
                    break
                role = search.writer.role(state.tree, expansion)
                request = search.writer.request(state.tree, expansion, state.prompts[role])
                waiting[role].append((state, expansion, request))
                flying[name] += 1
            if not flying[name]:
                del flying[name]
                if not begun.get(name):
                    search.finish(state, store)
                idle += islice(entering, 1)
        role, batch = _batch(waiting, search.chunk)
        if not batch:
            break
        await _complete(search, role, batch, known, store, budget)
        for state, expansion, _ in batch:
            state.tree.tell(expansion.node, result(known.pop((state.problem.id, expansion.node))))
            flying[state.problem.id] -= 1
        idle = list({state.problem.id: state for state, *_ in batch}.values())
        search.progress(len(store.finished), search.tokens)
    order.end(store)


def _batch(waiting: dict[str, _Asked], size: int) -> tuple[str, _Asked]:
    """Take the batch that pads least: of the runs by prompt length of the roles that fill one, the narrowest.

    Prompts of rare lengths wait until enough of them are there, or nothing else is. Of equal runs the first is taken.
    """
    best: tuple[int, int, str, list[int]] | None = None
    most = min(size, max(map(len, waiting.values())))
    for number, (role, asked) in enumerate(waiting.items()):
        if not most or len(asked) < most:
            continue
        by_length = sorted(range(len(asked)), key=lambda i: (len(asked[i][2].prompt_ids), i))
        lengths = [len(asked[i][2].prompt_ids) for i in by_length]
        before = [0, *accumulate(lengths)]  # the length of all prompts before each
        for start in range(len(by_length) - most + 1):
            end = start + most
            padding = most * lengths[end - 1] - (before[end] - before[start])
            if best is None or (padding, number) < best[:2]:
                best = (padding, number, role, by_length[start:end])
    if best is None:
        return next(iter(waiting)), []
    *_, role, run = best
    batch = [waiting[role][i] for i in sorted(run)]
    taken = set(run)
    waiting[role] = [each for i, each in enumerate(waiting[role]) if i not in taken]
    return role, batch


async def _complete(search: Search, role: str, batch: _Asked, known: _Known, store: Store, budget: Budget) -> None:
    names = [(state.problem.id, expansion.node) for state, expansion, _ in batch]

    def admit(chunk: Sequence[Request]) -> None:
        most = sum(request.max_tokens for request in chunk)
        limit = budget.limits.requests
        if budget.over(most) or (limit and budget.requests + len(chunk) > limit):
            if why := budget.too_small(most, len(chunk)):
                raise SearchIncomplete(f"{why} (a whole batch); nothing was done")
            raise SearchIncomplete(
                "the budget of this run is spent (it needs room for a whole batch); all results are kept, and the same "
                "command goes on"
            )
        budget.requests += len(chunk)

    async def finished(results: list[tuple[int, Completion]]) -> None:
        rows, graded = {}, []
        for index, completion in results:
            state, expansion, _ = batch[index]
            row = rows[index] = search.writer.row(state.tree, expansion, completion)
            response = search.writer.response(state.tree, row, expansion)
            if response is not None:
                graded.append((row, search.verifier.verify(state.problem, response, last_finish(row))))
            search.roles[role].count(completion)
            budget.tokens += len(completion.token_ids)
        for (row, _), grade in zip(graded, await asyncio.gather(*(g for _, g in graded)), strict=True):
            judge(row, grade)
        known.update({names[index]: row for index, row in rows.items()})
        store.write([(names[index][0], row) for index, row in rows.items()])

    await complete_in_chunks(
        search.roles[role].replicas[0], [request for *_, request in batch], lambda i: names[i] in known, finished,
        search.chunk, admit,
    )  # fmt: skip
