"""What a search works with (budget, verdicts), and what both engines (``flow``, ``rounds``) do with a problem."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, cast, get_args

from harness.grading.grade import Grader
from harness.records import Finish, Grade, Problem
from harness.search.run.roles import Role, Writer
from harness.search.spec import Limits
from harness.search.store import NodeRow, Settings, Store
from harness.search.tree.core import Tree
from harness.search.tree.nodes import Expansion


class GraderVerifier:
    """``grader`` behind ``workers`` threads; ``blind``: only what is read as the answer, no verdict (at test time)."""

    def __init__(self, grader: Grader, workers: int = 4, blind: bool = False) -> None:
        self.grader, self.blind = grader, blind
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="verify")

    async def verify(self, problem: Problem, response: str, finish: Finish) -> Grade:
        """The verdict on a response, or what prevented one (GraderBroken)."""
        arguments = (problem.family, problem.gold, response, finish)
        grade = await asyncio.get_running_loop().run_in_executor(self._threads, self.grader.grade, *arguments)
        if self.blind:
            return Grade(verdict="no_answer", reason="not looked at", answer=" ".join(grade.answer.lower().split()))
        return grade


@dataclass(kw_only=True)
class Budget:
    """The use of ``limits`` over all searches of an invocation.

    ``reserved``: tokens that those in flight may take; ``freed`` is set when one of them ended.
    """

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


@dataclass(kw_only=True)
class Search:
    """Everything a search needs. ``window``: problems worked on at once.

    ``progress`` receives (problems finished, tokens generated) as they change, ``each`` every tree that is finished.
    ``chunk``: requests of a batch of a model in this process. ``budget``: shared with other searches of an invocation.
    ``prompt`` gives the token ids that a role's chains of a problem follow, in the place of the grammar's prompt.
    """

    settings: Settings
    roles: dict[str, Role]
    verifier: GraderVerifier
    deterministic: bool = True
    window: int = 128
    limits: Limits = field(default_factory=Limits)
    chunk: int = 64
    progress: Callable[[int, int], None] = lambda finished, tokens: None
    prompt: Callable[[Problem, str], list[int]] | None = None
    each: Callable[[Problem, Tree], None] = lambda problem, tree: None
    budget: Budget | None = None
    writer: Writer = field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer(self.roles)
        if self.settings.policy == "original":
            self.deterministic = True

    @property
    def tokens(self) -> int:
        """Tokens that all models generated."""
        return sum(role.tokens for role in set(self.roles.values()))

    def begin(self, problem: Problem, store: Store) -> InFlight:
        """A problem's tree at its start, written down if it is new."""
        grammar = self.settings.grammar.of(problem.family)
        ids = self.prompt or (lambda problem, role: self.writer.prompt(grammar, problem, role))
        prompts = {role: ids(problem, role) for role in self.roles}
        tokens = max(map(len, prompts.values()))
        store.begin(problem, tokens)
        messages = [] if self.prompt else grammar.messages(problem.prompt)
        return InFlight(problem, self.settings.tree(problem, tokens), prompts, messages)

    async def grade(self, state: InFlight, expansion: Expansion, row: NodeRow) -> str:
        """Write the verdict on the answer that ``row`` ends in into it, and return it; empty without an answer."""
        response = self.writer.response(state.tree, row, expansion)
        if response is None:
            return ""
        answer = row["rest"][-1] if row.get("rest") else row
        finish = cast(Finish, answer["finish"]) if answer["finish"] in get_args(Finish) else "stop"
        grade = await self.verifier.verify(state.problem, response, finish)
        answer["verdict"], answer["reason"], answer["answer"] = grade.verdict, grade.reason, grade.answer[:400]
        return grade.verdict

    def finish(self, state: InFlight, store: Store, why: str = "") -> None:
        """Write down that a problem is done, and report it."""
        store.finish(state.problem.id, why or ending(state.tree))
        self.each(state.problem, state.tree)
        self.progress(len(store.finished), self.tokens)


class InFlight(NamedTuple):
    """A problem at work: its tree, its prompt's token ids for each role, and the messages behind them, if any."""

    problem: Problem
    tree: Tree
    prompts: dict[str, list[int]]
    messages: list[dict[str, str]]


def ending(tree: Tree) -> str:
    """Why a tree with nothing to ask and nothing in flight is done."""
    spent = tree.goals.requests and tree.requests >= tree.goals.requests
    reasons = {"goals": tree.enough, "hopeless": tree.hopeless, "exhausted": tree.root.closed, "requests": spent}
    return next((name for name, holds in reasons.items() if holds), "budget")
