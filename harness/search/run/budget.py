"""What an invocation may use, and what it has used so far."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from harness.search.spec import Limits


@dataclass(kw_only=True)
class Budget:
    """The use of ``limits`` over all searches of an invocation; ``reserved`` tokens are those in flight."""

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
        """Count a request that begins and may take ``tokens``."""
        self.requests += 1
        self.reserved += tokens

    def give_back(self, reserved: int, tokens: int) -> None:
        """Count a request that ended: what it reserved, and what it took."""
        self.reserved -= reserved
        self.tokens += tokens
        self.freed.set()
