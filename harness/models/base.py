"""How every room calls a model: a Request goes to a Completer, a Completion comes back."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from harness.errors import ModelError
from harness.records import Finish


class Conversation(NamedTuple):
    """The messages that a prompt was rendered from, for servers that render prompts themselves.

    ``template``: options of the chat template.
    """

    messages: Sequence[Mapping[str, str]]
    template: Mapping[str, bool] = {}


@dataclass(frozen=True)
class Request:
    """A prompt and how to continue it. ``stop`` strings end the completion and are not part of its text.

    ``max_tokens`` are generated at most, and never more than the model's context leaves after the prompt. ``top_k`` 0,
    ``min_p`` 0 and ``repetition_penalty`` 1 change nothing. ``conversation`` gives the messages behind the prompt,
    which are no part of what identifies it; it is called only where a server needs them.
    """

    prompt_ids: tuple[int, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    conversation: Callable[[], Conversation] | None = field(default=None, compare=False)

    def room(self, context: int) -> int:
        """Tokens that may be generated in a context of so many (0: unknown); none or less: the prompt fills it."""
        return min(self.max_tokens, context - len(self.prompt_ids)) if context else self.max_tokens

    def cut_by(self, context: int) -> Finish:
        """Why a completion ends that has used all its room."""
        return "length" if self.room(context) == self.max_tokens else "context"

    def key(self, model_digest: str, index: int = 0) -> str:
        """Identity of the sample this request yields: prompt, model, sampling settings, seed, sample index."""
        settings = {
            name: getattr(self, name) for name, default in _SETTINGS.items()
            if default is _ALWAYS or getattr(self, name) != default
        }  # fmt: skip
        payload = json.dumps([model_digest, index, settings], sort_keys=True)
        return hashlib.sha256(payload.encode()).hexdigest()[:24]


_ALWAYS = object()
# What identifies a request. Settings that came later count only where they are used, so that older samples keep their
# keys.
_SETTINGS: dict[str, object] = {
    "prompt_ids": _ALWAYS, "max_tokens": _ALWAYS, "temperature": _ALWAYS, "top_p": _ALWAYS, "seed": _ALWAYS,
    "stop": _ALWAYS, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class Completion:
    """Text and ids as sampled; the ids include a stop token when one was sampled, the text never does.

    ``ended``: the model ended its turn, by any of its end tokens, and met neither a stop string nor a limit.
    ``thought``: reasoning that a server split off the text, without tags; the ids cover both.
    """

    text: str
    token_ids: tuple[int, ...]
    finish: Finish
    prompt_tokens: int = 0
    error: str = ""
    ended: bool = False
    thought: str = ""


@runtime_checkable
class Completer(Protocol):
    """A model behind one asynchronous call, which raises ModelError when the model cannot be reached or used.

    ``digest`` identifies its weights and tokenizer. ``lockstep``: results depend on what shares a batch, so callers
    must send fixed chunks. ``context``: tokens of prompt and completion together, 0 where that is not known.
    ``batch_size``: calls that it works on at once. ``generated_tokens``: by all calls so far.
    """

    digest: str
    lockstep: bool
    context: int
    batch_size: int
    generated_tokens: int

    async def complete(self, request: Request) -> Completion: ...


def seed_of(*parts: object) -> int:
    """A seed that depends on what is sampled and on nothing else (no clock, no order, no process)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


async def complete_in_chunks(
    completer: Completer, requests: Sequence[Request], known: Callable[[int], bool],
    done: Callable[[list[tuple[int, Completion]]], Awaitable[None] | None], size: int = 64,
    admit: Callable[[Sequence[Request]], None] = lambda requests: None,
) -> None:  # fmt: skip
    """Complete ``requests`` in fixed chunks; ``done`` gets each finished chunk's completions that were not known.

    ``done`` may be a coroutine function; it ends before the next chunk begins. ``admit`` receives the requests of a
    chunk before they are sent, and may raise to stop there.

    Which requests share a chunk depends on the list alone, never on what an earlier run finished: a batch of a resumed
    run holds the same rows as before, so every sampled token is the same. A chunk of which only a part is known is
    therefore completed whole, and the known part thrown away.
    """
    order = sorted(range(len(requests)), key=lambda i: (len(requests[i].prompt_ids), i))
    for start in range(0, len(order), size):
        chunk = order[start : start + size]
        wanted = {i for i in chunk if not known(i)}
        if not wanted:
            continue
        admit([requests[i] for i in chunk])
        results = await asyncio.gather(*(completer.complete(requests[i]) for i in chunk), return_exceptions=True)
        fresh = [(i, r) for i, r in zip(chunk, results, strict=True) if i in wanted and isinstance(r, Completion)]
        if (waits := done(fresh)) is not None:
            await waits
        for result in results:
            if isinstance(result, BaseException):
                raise result


async def complete_all(
    completer: Completer, requests: Sequence[Request], missing: Sequence[int],
    done: Callable[[list[tuple[int, Completion]]], None],
) -> list[str]:  # fmt: skip
    """Complete the ``missing`` requests in any order; ``done`` gets each as it ends. Returns the failed calls' errors.

    The completer limits how many run at once. A failed call does not stop the others.
    """
    failed: list[str] = []

    async def one(index: int) -> None:
        try:
            completion = await completer.complete(requests[index])
        except ModelError as error:
            failed.append(str(error))
            return
        done([(index, completion)])

    await asyncio.gather(*(one(index) for index in dict.fromkeys(missing)))
    return failed
