"""How many calls are in flight: as many as allowed, fewer while the server says that it is too much."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """At most ``most`` calls at once. A refusal for too many halves the number; each round of served calls adds one.

    For one event loop.
    """

    def __init__(self, most: int) -> None:
        self.most = self.limit = most
        self._in_use = self._served = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._quiet_until = 0.0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A slot for one call, from its first attempt to its last."""
        while self._in_use >= self.limit:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self._in_use += 1
        try:
            await self.quiet()
            yield
        finally:
            self._in_use -= 1
            self._wake()

    async def quiet(self) -> None:
        """Wait until the time that the server asked for has passed."""
        wait = self._quiet_until - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)

    def served(self) -> None:
        self._served += 1
        if self.limit < self.most and self._served >= self.limit:
            self.limit, self._served = self.limit + 1, 0
            self._wake()

    def refused(self, seconds: float) -> None:
        """The server wants fewer calls, and none for so many seconds. Refusals within that time count as one."""
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            self.limit, self._served = max(1, self.limit // 2), 0
        self._quiet_until = max(self._quiet_until, now + seconds)

    def _wake(self) -> None:
        free = self.limit - self._in_use
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
