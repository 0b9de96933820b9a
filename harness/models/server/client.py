"""Calls to one server, made again while a failure may pass."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

from harness.errors import Refused, ServerError
from harness.models.server.refusals import overflow, readable
from harness.models.server.slots import Slots
from harness.models.server.transport import Send

_Value = TypeVar("_Value")
_LONGEST_WAIT = 30.0  # seconds, where the server names no time of its own


class Client:
    """Sends requests. Failures that may pass are tried again ``retries`` times.

    Those are transport errors, 408, 409, 5xx and replies that cannot be read. A server that asks for patience (429, or
    503 with Retry-After) gets it for ``patience`` seconds of waiting, and fewer calls at once. ``secrets``: keys that
    must not appear in a message.
    """

    def __init__(
        self, send: Send, slots: Slots, *, retries: int, backoff: float, patience: float,
        secrets: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.slots = slots
        self._send, self._retries, self._backoff, self._patience = send, retries, backoff, patience
        self.secrets = secrets

    async def ask(
        self, url: str, body: bytes | None, most: int, read: Callable[[str], tuple[_Value | None, str]],
        final: tuple[int, ...] = (501,),
    ) -> _Value:  # fmt: skip
        """POST ``body`` to ``url`` (None: GET), and return what ``read`` makes of the reply.

        ``read`` gives None and a reason for a reply that must be asked for again. ``most``: bytes of a reply.
        ``final``: statuses that will not pass, although those near them may. Raises Refused, and ServerError when no
        attempt succeeded.
        """
        problem, attempt, waited = "", 0, 0.0
        while attempt <= self._retries and waited <= self._patience:
            pause = min(_LONGEST_WAIT, self._backoff * 2 ** (attempt + 1)) * random.uniform(0.7, 1.3)
            try:
                reply = await self._send(url, body, most)
            except (OSError, TimeoutError) as error:
                problem, attempt = f"{type(error).__name__}: {error}", attempt + 1
            else:
                if reply.status < 400:
                    value, problem = read(reply.text)
                    if value is not None:
                        self.slots.served()
                        return value
                    attempt += 1
                else:
                    problem = f"HTTP {reply.status}: {readable(reply.text, self.secrets)}"
                    asks_for_patience = reply.status == 429 or (reply.status == 503 and reply.retry_after is not None)
                    if asks_for_patience:
                        # A little later than asked, each at its own moment.
                        pause = pause if reply.retry_after is None else reply.retry_after * random.uniform(1.0, 1.1)
                        self.slots.refused(pause)
                        waited += pause
                        attempt += reply.retry_after is None
                    elif reply.status not in final and _may_pass(reply.status, reply.text):
                        attempt += 1
                    else:
                        raise Refused(reply.status, reply.text)
            if attempt <= self._retries and waited <= self._patience:
                await asyncio.sleep(pause)
        raise ServerError(f"{url}: {problem}; check that the server is up")

    def refusal(self, refused: Refused, url: str, model: str) -> ServerError:
        """A refusal as one line with what to do."""
        said = f"{url}: HTTP {refused.status}: {readable(refused.page, self.secrets)}"
        if refused.status in (401, 403):
            return ServerError(f"{said}; export OPENAI_API_KEY, or name another variable with --api-key-env")
        return ServerError(f"{said}; check that the server is up and serves {model!r}")


def _may_pass(status: int, page: str) -> bool:
    return status in (408, 409) or (status >= 500 and not overflow(status, page))
