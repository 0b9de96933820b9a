"""The driver: many trees in flight over two models, every result journalled, resumable at any moment.

Servers are kept busy by free-running trees (here); a model in this process, whose results depend on what shares a
batch, works in rounds (``rounds``). A free-running tree is told results in the order of asking (``deterministic``), so
that it is a function of its seed, or in the order of arrival, which never waits for the slowest sibling.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.errors import ModelError, SearchIncomplete
from harness.records import Problem
from harness.search.run.roles import Role
from harness.search.run.verify import Verifier
from harness.search.run.writer import Writer
from harness.search.store import Settings, Store, result
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Expansion

# After so many failed calls in a row without one that succeeds, the servers are taken for dead.
FAILURES = 24


@dataclass(frozen=True)
class Limits:
    """Budgets of one invocation over all problems, and ``problem_seconds`` of one problem (0: no cap)."""

    requests: int = 0
    tokens: int = 0
    seconds: float = 0.0
    problem_seconds: float = 0.0


@dataclass
class Spent:
    """What an invocation used of its limits, over all its searches; ``reserved`` tokens are those in flight."""

    limits: Limits
    started: float = field(default_factory=time.monotonic)
    requests: int = 0
    tokens: int = 0
    reserved: int = 0
    freed: asyncio.Event = field(default_factory=asyncio.Event)

    def too_small(self, tokens: int, requests: int = 1) -> str:
        """Why not even the first call of an invocation had room, or an empty string."""
        if self.requests:
            return ""
        for name, limit, need in (("tokens", self.limits.tokens, tokens), ("requests", self.limits.requests, requests)):
            if 0 < limit < need:
                return f"the budget of this run, {limit} {name}, has no room for its first call, which may need {need}"
        return ""

    def over(self, tokens: int) -> bool:
        """Whether a request of at most ``tokens`` will never fit, whatever is in flight."""
        limits = self.limits
        late = limits.seconds and time.monotonic() - self.started >= limits.seconds
        full = limits.requests and self.requests >= limits.requests
        return bool(late or full or (limits.tokens and self.tokens + tokens > limits.tokens))

    async def room(self, tokens: int) -> bool:
        """Wait until a request of at most ``tokens`` fits; False when it never will."""
        while not self.over(tokens):
            if not self.limits.tokens or self.tokens + self.reserved + tokens <= self.limits.tokens:
                return True
            self.freed.clear()
            await self.freed.wait()
        return False

    def take(self, tokens: int) -> None:
        self.requests += 1
        self.reserved += tokens

    def give_back(self, reserved: int, tokens: int) -> None:
        self.reserved -= reserved
        self.tokens += tokens
        self.freed.set()


@dataclass
class Search:
    """Everything a search needs. ``window``: problems worked on at once.

    ``progress`` is told (problems finished, tokens generated) as they change, ``each`` every tree that is finished.
    ``prompt`` gives the token ids that a role's chains of a problem follow, in the place of the grammar's prompt.
    """

    settings: Settings
    roles: dict[str, Role]
    verifier: Verifier
    deterministic: bool = True
    window: int = 128
    limits: Limits = Limits()
    chunk: int = 64
    progress: Callable[[int, int], None] = lambda finished, tokens: None
    prompt: Callable[[Problem, str], list[int]] | None = None
    each: Callable[[Problem, Tree], None] = lambda problem, tree: None
    spent: Spent | None = None  # shared with other searches of the same invocation
    writer: Writer = field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer(self.roles)
        if self.settings.policy == "original":
            self.deterministic = True

    @property
    def tokens(self) -> int:
        return sum(role.tokens for role in set(self.roles.values()))

    def run(self, problems: Iterable[Problem], store: Store) -> None:
        """Search every problem that the store has not finished. Raises SearchIncomplete when some stay unfinished."""
        asyncio.run(self.search(problems, store))

    async def search(self, problems: Iterable[Problem], store: Store) -> None:
        from harness.search.run import order as epoch
        from harness.search.run.rounds import search_in_rounds

        spent = self.spent or Spent(self.limits)
        spent.freed = asyncio.Event()  # belongs to this event loop
        problems = (store.checked(problem) for problem in problems)
        if any(role.lockstep for role in self.roles.values()):
            if self.limits.problem_seconds:
                raise ModelError("seconds of one problem can be limited with a server only, not with a model in here")
            epoch.enter(store, "rounds")
            await search_in_rounds(self, problems, store, spent)
        else:
            epoch.enter(store, "asked" if self.deterministic else "arrived")
            await _Flow(self, store, spent).run(p for p in problems if p.id not in store.finished)
        store.compact()

    def begin(self, problem: Problem, store: Store, fresh: bool) -> State:
        """A problem's tree at its start, written down if it is new."""
        ids = self.prompt or (lambda problem, role: self.writer.prompt(self.settings.grammar, problem, role))
        prompts = {role: ids(problem, role) for role in self.roles}
        tokens = max(map(len, prompts.values()))
        if fresh:
            store.begin(problem, tokens)
        return State(problem, self.settings.tree(problem.id, tokens), prompts)

    def finish(self, state: State, store: Store, why: str = "") -> None:
        store.finish(state.problem.id, why or ending(state.tree))
        self.each(state.problem, state.tree)
        self.progress(len(store.finished), self.tokens)


@dataclass
class State:
    problem: Problem
    tree: Tree
    prompts: dict[str, list[int]]


def ending(tree: Tree) -> str:
    """Why a tree with nothing to ask and nothing in flight is done."""
    goals = tree.goals
    if tree.enough:
        return "goals"
    if tree.hopeless:
        return "hopeless"
    if tree.root.closed:
        return "exhausted"
    return "requests" if goals.requests and tree.requests >= goals.requests else "budget"


class _Flow:
    """One invocation: up to ``window`` problems at once, each with a few expansions in flight."""

    def __init__(self, search: Search, store: Store, spent: Spent) -> None:
        self.search = search
        self.store = store
        self.spent = spent
        self.most = 0  # tokens that a call of these trees may take
        self.failed: dict[str, str] = {}
        self.unfinished = 0
        self.in_a_row = 0

    @property
    def dead(self) -> bool:
        return self.in_a_row >= FAILURES

    async def run(self, problems: Iterator[Problem]) -> None:
        running: set[asyncio.Task[None]] = set()
        more = True
        try:
            while more or running:
                while more and len(running) < self.search.window and not self.dead:
                    problem = None if self.spent.over(1) else next(problems, None)
                    if problem is None:
                        more = False
                        break
                    running.add(asyncio.ensure_future(self._problem(problem)))
                if self.dead:
                    more = False
                if running:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        self._complain(next(problems, None) is not None)

    def _complain(self, left: bool) -> None:
        if self.failed:
            name, why = next(iter(self.failed.items()))
            raise SearchIncomplete(
                f"{len(self.failed)} problems met failing model calls, first {name}: {why}; all results are kept, and "
                "the same command goes on"
            )
        if self.unfinished and (why := self.spent.too_small(self.most)):
            raise SearchIncomplete(f"{why}; nothing was done")
        if self.unfinished or left:
            raise SearchIncomplete(
                f"the budget of this run is spent, {self.unfinished} problems are half done"
                f"{' and others not begun' if left else ''}; all results are kept, and the same command goes on"
            )

    async def _problem(self, problem: Problem) -> None:
        rows = {row["node"]: row for row in self.store.earlier(problem.id)}
        state = self.search.begin(problem, self.store, fresh=not rows)
        if not self.search.deterministic:
            for name, row in rows.items():
                state.tree.tell(name, result(row))
            rows = {}
        try:
            why = await self._grow(state, rows)
        except ModelError as error:
            self.failed[problem.id] = str(error)
            return
        if why is None:
            self.unfinished += 1
        else:
            self.search.finish(state, self.store, why)

    async def _grow(self, state: State, known: dict[str, dict[str, Any]]) -> str | None:
        """Ask and tell until the tree is done; returns why, or None when a limit of the run stopped it."""
        tree, started = state.tree, time.monotonic()
        most = max(kind.max_tokens for kind in tree.grammar.kinds.values()) * (tree.grammar.depth if tree.whole else 1)
        self.most = max(self.most, most)
        outstanding: dict[asyncio.Task[dict[str, Any]], str] = {}
        patience = self.search.limits.problem_seconds

        def late() -> bool:
            return bool(patience) and time.monotonic() - started >= patience

        try:
            while True:
                while len(outstanding) < self.search.settings.in_flight and not late():
                    room = not self.dead and await self.spent.room(most)
                    if late():  # while it waited
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
                        self.spent.take(expansion.budget)
                    task = asyncio.ensure_future(self._expand(state, expansion, earlier))
                    outstanding[task] = expansion.node
                if not outstanding:
                    why = ending(tree)
                    return "seconds" if why == "budget" and late() else why
                for task in await self._some(outstanding):
                    tree.tell(outstanding.pop(task), result(task.result()))
        finally:
            # What is in flight ends, and is kept, before an error leaves here.
            await asyncio.gather(*outstanding, return_exceptions=True)

    async def _some(self, outstanding: dict[asyncio.Task[Any], str]) -> list[asyncio.Task[Any]]:
        first = next(iter(outstanding))
        if self.search.deterministic:
            if not first.done():
                await asyncio.wait([first])
            return [first]
        done, _ = await asyncio.wait(outstanding, return_when=asyncio.FIRST_COMPLETED)
        return [task for task in outstanding if task in done]

    async def _expand(self, state: State, expansion: Expansion, known: dict[str, Any] | None) -> dict[str, Any]:
        """The row of an expansion: from an earlier run, or from the model and the grader, and then journalled."""
        if known is not None:
            return known
        search, tree = self.search, state.tree
        role = search.writer.role(tree, expansion)
        request = search.writer.request(tree, expansion, state.prompts[role])
        generated = 0
        try:
            completion = await search.roles[role].complete(request, state.problem.id, len(expansion.ancestors))
            generated = len(completion.token_ids)
        except ModelError:
            self.in_a_row += 1
            raise
        finally:
            self.spent.give_back(expansion.budget, generated)
        self.in_a_row = 0
        row = search.writer.row(tree, expansion, completion)
        response = search.writer.response(tree, row, expansion)
        if response is not None:
            grade = await search.verifier.verify(state.problem, response, last_finish(row))
            judge(row, grade)
        self.store.write([{"problem": state.problem.id, **row}])
        search.progress(len(self.store.finished), search.tokens)
        return row


def last_finish(row: dict[str, Any]) -> Any:
    """Why the answer at the end of a row ended, in the vocabulary of samples."""
    finish = row["rest"][-1]["finish"] if row.get("rest") else row["finish"]
    return finish if finish in ("stop", "length", "context", "error") else "stop"


def judge(row: dict[str, Any], grade: Any) -> None:
    """Write a verdict into the part of a row that is the answer."""
    part = row["rest"][-1] if row.get("rest") else row
    part |= {"verdict": grade.verdict, "reason": grade.reason, "answer": grade.answer[:400]}
