"""Searching in rounds, for a model in this process whose results depend on what shares a batch.

The trees of a window keep a few expansions each waiting. A round completes one full batch of one role, of prompts as
near in length as there are, so that little is padded. The batch is verified, goes to the journal in one write, and its
trees ask for more. Rounds are a function of the problems, the window, the batch size and the seed, so a resumed search
replays its journal and goes on with the same batches. Until all problems of these rounds are finished, the search goes
on with the same ones; then others may follow, without those that are done.

    order.json    rounds, asked or arrived: in which order half-done trees receive results
    rounds.json   window, batch size and digest of the problems; segments written before; whether all are finished
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice

from pydantic import BaseModel

from harness.errors import SearchIncomplete, SearchMismatch
from harness.files import read_record
from harness.journal import write_whole
from harness.models.base import Completion, Request
from harness.records import Problem
from harness.search.run.work import Budget, InFlight, Search
from harness.search.store import NodeRow, Store, result, segment_files, segments, trees
from harness.search.tree.nodes import Expansion

_Asked = list[tuple[InFlight, Expansion, Request]]
_Known = dict[tuple[str, str], NodeRow]
_EDITED = "was it edited?"
_ORDERS = {
    "rounds": "a model in this process",
    "asked": "a server and results in the order of asking",
    "arrived": "a server and results as they come (--free)",
}


class Order(BaseModel):
    """The content of order.json."""

    order: str


class Rounds(BaseModel):
    """The content of rounds.json."""

    problems: int
    digest: str
    window: int
    batch: int
    segments: int
    done: bool


def enter(store: Store, order: str) -> None:
    """Write down in which order the trees of ``store`` receive results. Raises SearchMismatch for half-done others."""
    file = store.folder / "order.json"
    old = read_record(file, Order, _EDITED).order if file.exists() else ""
    if old == order:
        return
    if old and store.unfinished:
        raise SearchMismatch(
            f"{store.folder}: half done with {_ORDERS.get(old, old)}, now with {_ORDERS[order]}; end it as it began, "
            "then the other may follow"
        )
    if old == "rounds":
        _end(store)
    write_whole(file, Order(order=order).model_dump_json() + "\n")


def _begin(store: Store, problems: Sequence[Problem], window: int, batch: int) -> list[Problem]:
    """The problems of the rounds that ``store`` is in, or of new ones. Raises SearchMismatch."""
    old = _half_done(store)
    if old is None:
        store.compact()
        number, before = len(segment_files(store.folder)), store.finished
    else:
        number, before = old.segments, {stored.problem.id for _, stored in segments(store.folder, old.segments)}
    todo = [problem for problem in problems if problem.id not in before]
    digest = hashlib.sha256("\x1f".join(problem.id for problem in todo).encode()).hexdigest()[:16]
    now = Rounds(problems=len(todo), digest=digest, window=window, batch=batch, segments=number, done=False)
    if old is None:
        if todo:
            write_whole(store.folder / "rounds.json", now.model_dump_json() + "\n")
        return todo
    names = {"problems": "problems", "window": "--window", "batch": "--concurrency", "digest": "problems"}
    if different := dict.fromkeys(names[key] for key in names if getattr(now, key) != getattr(old, key)):
        raise SearchMismatch(
            f"{store.folder}: half done with other {' and '.join(different)}: {old.problems} problems, "
            f"--window {old.window}, --concurrency {old.batch}; end it with those, then others may follow"
        )
    return todo


def _end(store: Store) -> None:
    if rounds := _half_done(store):
        write_whole(store.folder / "rounds.json", rounds.model_copy(update={"done": True}).model_dump_json() + "\n")


def _half_done(store: Store) -> Rounds | None:
    file = store.folder / "rounds.json"
    rounds = read_record(file, Rounds, _EDITED) if file.exists() else None
    return None if rounds is None or rounds.done else rounds


async def search_in_rounds(search: Search, problems: Iterable[Problem], store: Store, budget: Budget) -> None:
    """Search all problems, a window of them at a time. Earlier rounds are replayed from the store.

    Raises SearchIncomplete before a batch that a limit of the run has no room for, SearchMismatch for a store that is
    half done with other problems, window or batches.
    """
    known: _Known = {}
    todo = _begin(store, list(problems), search.window, search.chunk)
    wanted = {problem.id for problem in todo}
    for stored in trees(store.folder):
        if stored.problem.id in wanted:
            known |= {(stored.problem.id, row["node"]): row for row in stored.rows}
    entering = (search.begin(problem, store) for problem in todo)
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
                request = search.writer.request(state.tree, expansion, state.prompts[expansion.role], state.messages)
                waiting[expansion.role].append((state, expansion, request))
                flying[name] += 1
            if not flying[name]:
                del flying[name]
                if name not in store.finished:
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
    _end(store)


def _batch(waiting: dict[str, _Asked], size: int) -> tuple[str, _Asked]:
    """Take the batch that pads least: of the runs by prompt length of the roles that fill one, the narrowest.

    Prompts of rare lengths wait until enough of them are there, or nothing else is. Of equal runs the first is taken.
    """
    most = min(size, max(map(len, waiting.values())))
    if not most:
        return next(iter(waiting)), []
    runs: list[tuple[int, int, int, list[int]]] = []  # padding, number of the role, and where the run begins in what
    for number, asked in enumerate(waiting.values()):
        by_length = sorted(range(len(asked)), key=lambda i: len(asked[i][2].prompt_ids))
        lengths = [len(asked[i][2].prompt_ids) for i in by_length]
        before = [0, *accumulate(lengths)]  # the length of all prompts before each
        for start, end in enumerate(range(most, len(asked) + 1)):
            runs.append((most * lengths[end - 1] - (before[end] - before[start]), number, start, by_length))
    _, number, start, by_length = min(runs)
    taken, role = set(by_length[start : start + most]), list(waiting)[number]
    batch = [each for i, each in enumerate(waiting[role]) if i in taken]
    waiting[role] = [each for i, each in enumerate(waiting[role]) if i not in taken]
    return role, batch


async def _complete(search: Search, role: str, batch: _Asked, known: _Known, store: Store, budget: Budget) -> None:
    """Bring the rows of a batch into ``known``. One of which a part is known is completed whole, as it was before."""
    missing = {(state.problem.id, expansion.node) for state, expansion, _ in batch} - known.keys()
    if not missing:
        return
    most, limit = sum(request.max_tokens for *_, request in batch), budget.limits.requests
    if budget.over(most) or (limit and budget.requests + len(batch) > limit):
        if why := budget.too_small(most, len(batch)):
            raise SearchIncomplete(f"{why} (a whole batch); nothing was done")
        raise SearchIncomplete(
            "the budget of this run is spent (it needs room for a whole batch); all results are kept, and the same "
            "command goes on"
        )
    budget.requests += len(batch)
    batch = sorted(batch, key=lambda each: len(each[2].prompt_ids))
    model = search.roles[role].replicas[0]
    answers = await asyncio.gather(*(model.complete(request) for *_, request in batch), return_exceptions=True)
    rows: list[tuple[str, NodeRow]] = []
    grading = []
    for (state, expansion, _), completion in zip(batch, answers, strict=True):
        if (state.problem.id, expansion.node) in missing and isinstance(completion, Completion):
            row = search.writer.row(state.tree, expansion, completion)
            rows.append((state.problem.id, row))
            grading.append(search.grade(state, expansion, row))
            search.roles[role].count(completion)
            budget.tokens += len(completion.token_ids)
    await asyncio.gather(*grading)
    known |= {(problem, row["node"]): row for problem, row in rows}
    store.write(rows)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
