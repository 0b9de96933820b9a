"""The arms of the search benchmark: each searches the same problems and is measured in the same way."""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.simulated import clock
from benchmarks.simulated.server import Meter, SimServer, Times, idle_share, openai_reply
from benchmarks.simulated.world import World
from harness.models.backends.openai import OpenAICompleter
from harness.records import Finish, Grade, Problem
from harness.search.launch import run_async
from harness.search.run.roles import Role
from harness.search.run.work import GraderVerifier, Search
from harness.search.spec import Goals
from harness.search.stats import SearchYield
from harness.search.store import NodeRow, Settings, Store
from harness.search.tree.core import Tree


@dataclass
class Outcome:
    """What an arm did. ``seconds`` are simulated; ``cpu`` is processor time of this process, in seconds."""

    figures: dict[str, Any]
    seconds: float
    meters: dict[str, Meter]
    idle: float = 0.0
    occupancy: float = 0.0
    first_chain: tuple[float, ...] = ()
    cpu: float = 0.0
    tokens_by_problem: dict[str, int] | None = None
    own_count: float = 0.0

    @property
    def requests(self) -> int:
        return sum(meter.requests for meter in self.meters.values())

    @property
    def tokens(self) -> int:
        return sum(meter.generated for meter in self.meters.values())

    @property
    def chains_per_second(self) -> float:
        return float(self.figures["correct_chains"]) / self.seconds

    @property
    def tokens_per_chain(self) -> float:
        return self.tokens / max(1, self.figures["correct_chains"])


class BoxVerifier(GraderVerifier):
    """The original's rule for counting letters: what stands in the box is the number."""

    def __init__(self) -> None:
        """Without a grader."""

    async def verify(self, problem: Problem, response: str, finish: Finish) -> Grade:
        found = re.findall(r"boxed{(.*?)}", response.rpartition("</think>")[2])
        right = bool(found) and found[0].strip() == str(problem.gold["answer"])
        return Grade(verdict="correct" if right else "wrong", reason="box", answer=found[0] if found else "")


def problems(world: World, number: int) -> Iterator[Problem]:
    for i in range(number):
        gold = {"answer": world.gold(i)}
        yield Problem(id=f"p{i}", family="number", prompt=world.question(i), gold=gold, split="search")


def drive(
    world: World, settings: Settings, number: int, tokenizer: Any, slots: dict[str, int], window: int,
    deterministic: bool = True, cache: bool = True,
) -> Outcome:  # fmt: skip
    """Search ``number`` problems with our driver on simulated time."""
    servers = {role: SimServer(world, Times(), slots[role], cache) for role in ("generator", "critic")}
    begun: list[float] = []
    first: dict[str, float] = {}
    starts: dict[str, float] = {}
    stats, by_problem = SearchYield(), {}

    def post(server: SimServer) -> Any:
        async def send(body: bytes) -> tuple[int, str]:
            import json

            prompt, text, reply = openai_reply(world, json.loads(body), tokenizer)
            await server.serve(prompt, [text])
            return 200, reply

        return send

    class Timed(BoxVerifier):
        async def verify(self, problem: Problem, response: str, finish: Finish) -> Grade:
            grade = await super().verify(problem, response, finish)
            if grade.correct:
                first.setdefault(problem.id, asyncio.get_running_loop().time() - starts[problem.id])
            return grade

    def source() -> Iterator[Problem]:
        for problem in problems(world, number):
            starts[problem.id] = asyncio.get_running_loop().time()
            yield problem
        begun.append(asyncio.get_running_loop().time())

    async def go() -> float:
        roles = {}
        for role, server in servers.items():
            completer = OpenAICompleter(
                base_url="http://sim/v1", model=role, tokenizer=tokenizer, concurrency=10**6, post=post(server)
            )
            roles[role] = Role([completer], tokenizer, slots=slots[role])
        search = Search(
            settings=settings, roles=roles, verifier=Timed(), deterministic=deterministic, window=window
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder), settings) as store:
            rows: dict[str, list[NodeRow]] = {}
            write = store.write

            def kept(batch: Iterable[tuple[str, NodeRow]]) -> None:
                batch = list(batch)
                for problem, row in batch:
                    rows.setdefault(problem, []).append(row)
                write(batch)

            def each(problem: Problem, tree: Tree) -> None:
                mine = rows.pop(problem.id, [])
                stats.add(problem, tree, mine, "done")
                by_problem[problem.id] = sum(row["generated"] for row in mine)

            store.write = kept  # type: ignore[method-assign]
            search.each = each
            await run_async(search, source(), store)
        return asyncio.get_running_loop().time()

    cpu = time.process_time()
    seconds = clock.run(go())
    meters = {role: server.meter for role, server in servers.items()}
    head = begun[0] if begun else seconds
    idle = [idle_share(meter.spans, 0.0, head) for meter in meters.values()]
    busy = sum(meter.busy for meter in meters.values()) / (seconds * sum(slots.values()))
    return Outcome(
        stats.figures(), seconds, meters, sum(idle) / len(idle), busy, tuple(sorted(first.values())),
        time.process_time() - cpu, by_problem,
    )  # fmt: skip


def rejection(world: World, settings: Settings, tokens: dict[str, int]) -> Outcome:
    """Independent chains until each problem has spent the same ``tokens`` as another arm spent on it."""
    goals = Goals(correct=10**6, wrong=10**6, rollouts=10**6, requests=0)
    settings = settings.model_copy(update={"policy": "rejection", "goals": goals})
    stats, meter = SearchYield(), Meter()
    for problem in problems(world, len(tokens)):
        tree, spent, rows = settings.tree(problem), 0, []
        while spent < tokens[problem.id] and (asked := tree.ask()) is not None:
            row = _written(world, tree, problem, asked)
            tree.tell(asked.node, _told(row))
            spent += row["generated"]
            rows.append(row)
        meter.generated += spent
        meter.requests += len(rows)
        stats.add(problem, tree, rows, "tokens")
    return Outcome(stats.figures(), float("nan"), {"generator": meter})


def _written(world: World, tree: Tree, problem: Problem, asked: Any) -> dict[str, Any]:
    spans = [(tree.nodes[a].kind or "", tree.nodes[a].result.text) for a in asked.ancestors]  # type: ignore[union-attr]
    text = world.write(int(problem.id[1:]), spans, asked.kind, asked.prefill, asked.seed % (1 << 31), asked.budget)
    row = {"node": asked.node, "role": tree.grammar.kinds[asked.kind].role, "text": asked.prefill + text.text}
    row |= {"ids": [0] * text.tokens, "finish": "length" if text.cut else "stop", "generated": text.tokens}
    if asked.kind == "answer":
        found = re.findall(r"boxed{(.*?)}", text.text)
        row["verdict"] = "correct" if found[:1] == [str(problem.gold["answer"])] else "wrong"
    return row


def _told(row: dict[str, Any]) -> Any:
    from harness.search.store import result

    return result(row)
