"""What it is to complete a prompt: the one way any room calls a model."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

from harness.errors import ModelError
from harness.records import Finish


@dataclass(frozen=True)
class Request:
    """One completion asked for. ``stop`` strings end the completion and are not part of its text."""

    prompt_ids: tuple[int, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()

    def key(self, model_digest: str, index: int = 0) -> str:
        """Identity of the sample this request yields: prompt, model, sampling settings, seed, sample index."""
        payload = json.dumps([model_digest, index, asdict(self)], sort_keys=True)
        return hashlib.sha256(payload.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Completion:
    """Text and ids as sampled; the ids include a stop token when one was sampled, the text never does.

    ``ended``: the model ended its turn, by whichever of its end tokens, rather than meet a stop string or a limit.
    """

    text: str
    token_ids: tuple[int, ...]
    finish: Finish
    prompt_tokens: int = 0
    error: str = ""
    ended: bool = False


@runtime_checkable
class Completer(Protocol):
    """A model behind one asynchronous call. ``digest`` identifies its weights and tokenizer.

    A completer whose results depend on what shares a batch has a true ``lockstep``: it is given fixed chunks.
    """

    digest: str

    async def complete(self, request: Request) -> Completion: ...


def seed_of(*parts: object) -> int:
    """A seed that depends on what is sampled and on nothing else (no clock, no order, no process)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


async def complete_in_chunks(
    completer: Completer,
    requests: Sequence[Request],
    known: Callable[[int], bool],
    done: Callable[[list[tuple[int, Completion]]], Awaitable[None] | None],
    size: int = 64,
    admit: Callable[[Sequence[Request]], None] = lambda requests: None,
) -> None:
    """Complete ``requests`` in fixed chunks; ``done`` gets each finished chunk's completions that were not known.

    ``done`` may be a coroutine function; it ends before the next chunk begins. ``admit`` is shown what a chunk will
    really ask for, and may raise to stop before it.

    Which requests share a chunk depends on the list alone, never on what an earlier run finished: a batch of a
    resumed run holds the same rows as before, so its floating-point results, and with them every sampled token, are
    the same. A chunk of which only a part is known is therefore completed whole, and the known part thrown away.
    """
    order = sorted(range(len(requests)), key=lambda i: (len(requests[i].prompt_ids), i))
    for start in range(0, len(order), size):
        chunk = order[start : start + size]
        missing = [i for i in chunk if not known(i)]
        if not missing:
            continue
        admit([requests[i] for i in chunk])
        results = await asyncio.gather(*(completer.complete(requests[i]) for i in chunk), return_exceptions=True)
        wanted = set(missing)
        found = [(i, r) for i, r in zip(chunk, results, strict=True) if i in wanted and isinstance(r, Completion)]
        if (waits := done(found)) is not None:
            await waits
        for result in results:
            if isinstance(result, BaseException):
                raise result


async def complete_all(
    completer: Completer,
    requests: Sequence[Request],
    missing: Sequence[int],
    done: Callable[[list[tuple[int, Completion]]], None],
) -> list[str]:
    """Complete the ``missing`` requests freely; ``done`` gets each as it ends. Returns what the failed calls said.

    The completer limits how many run at once. A failed call does not stop the others.
    """
    failed: list[str] = []

    async def one(index: int) -> None:
        try:
            completion = await completer.complete(requests[index])
        except ModelError as error:
            failed.append(str(error))
        else:
            done([(index, completion)])

    await asyncio.gather(*(one(index) for index in dict.fromkeys(missing)))
    return failed
