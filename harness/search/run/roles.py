"""The models of a search by role: replicas with slots, a problem pinned to one of them as long as it has room."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from harness.models.base import Completer, Completion, Request, seed_of


class Role:
    """One model behind one or more ``replicas``, each with ``slots`` calls at once; ``name``: its weights' digest."""

    def __init__(self, replicas: Sequence[Completer], tokenizer: Any, *, slots: int = 64) -> None:
        self.name = replicas[0].digest
        self.tokenizer, self.replicas, self.slots = tokenizer, list(replicas), slots
        self.lockstep = any(replica.lockstep for replica in replicas)
        self.requests = self.tokens = 0
        self._slots = [_Slots(slots) for _ in replicas]

    async def complete(self, request: Request, problem: str, depth: int = 0) -> Completion:
        """Complete on the problem's replica, so that its prefixes stay cached there; on the idlest if it is full.

        Waiting calls of deeper nodes go first: chains are finished, and their caches used, before others begin.
        """
        index = self._replica(problem)
        async with self._slots[index].taken(-depth):
            completion = await self.replicas[index].complete(request)
        self.count(completion)
        return completion

    def count(self, completion: Completion) -> None:
        """Add a completion to the sums."""
        self.requests += 1
        self.tokens += len(completion.token_ids)

    def _replica(self, problem: str) -> int:
        if len(self.replicas) == 1:
            return 0
        pinned = seed_of("replica", problem) % len(self.replicas)
        if self._slots[pinned].free > 0:
            return pinned
        return max(range(len(self.replicas)), key=lambda i: (self._slots[i].free, i == pinned))


class _Slots:
    """A semaphore whose waiters are served by priority, lowest first; ``free`` is negative while some wait."""

    def __init__(self, number: int) -> None:
        self.free = number
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @asynccontextmanager
    async def taken(self, priority: int) -> AsyncIterator[None]:
        """Hold one of the slots."""
        self.free -= 1
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.free >= 0:
            turn.set_result(None)
        else:
            heapq.heappush(self._waiting, (priority, next(self._order), turn))
        try:
            await turn
            yield
        finally:
            self.free += 1
            held = turn.done() and not turn.cancelled()
            while held and self._waiting:  # the slot goes to the first that still waits
                following = heapq.heappop(self._waiting)[2]
                if not following.done():
                    following.set_result(None)
                    break
