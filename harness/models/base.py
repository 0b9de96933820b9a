"""How every room calls a model: a Request goes to a Completer, a Completion comes back; a Sampler draws a run's."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from harness.errors import Incomplete, ModelError
from harness.records import Finish
from harness.thoughts import Tags


class Conversation(NamedTuple):
    """The messages that a prompt was rendered from, for servers that render prompts themselves.

    A last message of the assistant's is the beginning of its turn, which the model continues. ``template``: options of
    the chat template.
    """

    messages: Sequence[Mapping[str, str]]
    template: Mapping[str, bool] = {}

    @property
    def begun(self) -> str:
        """What the assistant's turn begins with."""
        return self.messages[-1]["content"] if self.messages[-1]["role"] == "assistant" else ""

    def continued(self, text: str) -> Conversation:
        """The same with more of the assistant's turn."""
        messages = self.messages[:-1] if self.begun else self.messages
        return self._replace(messages=[*messages, {"role": "assistant", "content": self.begun + text}])


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
    ``thought``: reasoning that a server split off the text, without tags; the ids cover both. ``forced``: the thought
    was closed from outside.
    """

    text: str
    token_ids: tuple[int, ...]
    finish: Finish
    prompt_tokens: int = 0
    ended: bool = False
    thought: str = ""
    forced: bool = False


@runtime_checkable
class Completer(Protocol):
    """A model behind one asynchronous call, which raises ModelError when the model cannot be reached or used.

    ``digest`` identifies its weights and tokenizer. ``lockstep``: results depend on what shares a batch, so callers
    must send fixed chunks. ``context``: tokens of prompt and completion together, 0 where that is not known.
    ``batch_size``: calls that it works on at once; ``batch_tokens``: of their prompts and answers, 0 for no limit.
    ``generated_tokens``: by all calls so far.
    """

    digest: str
    lockstep: bool
    batch_size: int
    batch_tokens: int

    @property
    def context(self) -> int: ...

    @property
    def generated_tokens(self) -> int: ...

    async def complete(self, request: Request) -> Completion: ...


# Called with (number of the request, its completion), in any order; each is kept at once.
Done = Callable[[list[tuple[int, Completion]]], None]


def seed_of(*parts: object) -> int:
    """A seed that depends on what is sampled and on nothing else (no clock, no order, no process)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def sharing(requests: Sequence[Request], rows: int, tokens: int) -> int:
    """How many of the first requests, at least one, fit ``rows`` and, padded to the longest, ``tokens`` (0: any)."""
    prompt = answer = 0
    for number, request in enumerate(requests[:rows]):
        prompt, answer = max(prompt, len(request.prompt_ids)), max(answer, request.max_tokens)
        if number and tokens and (number + 1) * (prompt + answer) > tokens:
            return number
    return min(rows, len(requests))


async def complete_in_chunks(
    completer: Completer, requests: Sequence[Request], known: Callable[[int], bool],
    done: Callable[[list[tuple[int, Completion]]], Awaitable[None] | None],
    admit: Callable[[Sequence[Request]], None] = lambda requests: None,
) -> None:  # fmt: skip
    """Complete ``requests`` in fixed chunks; ``done`` gets each finished chunk's completions that were not known.

    A chunk is a batch of the completer: its rows, and no more tokens than its memory holds.

    ``done`` may be a coroutine function; it ends before the next chunk begins. ``admit`` receives the requests of a
    chunk before they are sent, and may raise to stop there.

    Which requests share a chunk depends on the list alone: a batch of a resumed run holds the same rows as before, so
    every sampled token is the same. A chunk of which a part is known is completed whole, the known part thrown away.
    """
    order = sorted(range(len(requests)), key=lambda i: (len(requests[i].prompt_ids), i))
    start = 0
    while start < len(order):
        ahead = [requests[i] for i in order[start : start + completer.batch_size]]
        chunk = order[start : start + sharing(ahead, completer.batch_size, completer.batch_tokens)]
        start += len(chunk)
        wanted = {i for i in chunk if not known(i)}
        if not wanted:
            continue
        admit([requests[i] for i in chunk])
        results = await asyncio.gather(*(completer.complete(requests[i]) for i in chunk), return_exceptions=True)
        fresh = [(i, r) for i, r in zip(chunk, results, strict=True) if i in wanted and isinstance(r, Completion)]
        if (waits := done(fresh)) is not None:
            await waits
        if failed := [result for result in results if isinstance(result, BaseException)]:
            raise failed[0]


async def complete_all(
    completer: Completer, requests: Sequence[Request], missing: Sequence[int], done: Done
) -> list[str]:
    """Complete the ``missing`` requests in any order; ``done`` gets each as it ends. Returns the failed calls' errors.

    The completer limits how many run at once. A failed call does not stop the others.
    """
    failed: list[str] = []

    async def one(index: int) -> None:
        try:
            done([(index, await completer.complete(requests[index]))])
        except ModelError as error:
            failed.append(str(error))

    await asyncio.gather(*(one(index) for index in dict.fromkeys(missing)))
    return failed


class Place(NamedTuple):
    """Which sample of a run: lm-eval's name of the task, number of the document in it, number of the sample."""

    task: str
    document: int
    sample: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Everything that a run wants sampled at once. ``requests``, ``documents`` and ``places`` go together by position.

    ``missing``: positions not sampled yet, one for each different request. ``seed``: the run's own (each request holds
    that of its sample). ``folder``: the run's, for what a sampler keeps there.
    """

    completer: Completer
    tokenizer: Any
    tags: Tags
    seed: int
    folder: Path
    requests: Sequence[Request]
    documents: Sequence[Any]
    places: Sequence[Place]
    missing: Sequence[int]
    done: Done


class Sampler(Protocol):
    """Draws what is missing: independent samples here, search at test time in another room.

    ``identity``: how, as a part of each sample's identity; empty for plain sampling.
    """

    @property
    def identity(self) -> str: ...

    def __call__(self, asked: Asked) -> None:
        """Hand a completion of every missing request to ``asked.done``. Raises Incomplete when calls failed."""


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Independent samples: in the model's batches where its results depend on them, else freely."""

    identity: str = ""

    def __call__(self, asked: Asked) -> None:
        model, missing = asked.completer, asked.missing
        if model.lockstep:  # a chunk with a missing sample is drawn whole, so that its batch is that of every run
            left = set(missing)
            asyncio.run(complete_in_chunks(model, asked.requests, lambda i: i not in left, asked.done))
        elif failed := asyncio.run(complete_all(model, asked.requests, missing, asked.done)):
            raise Incomplete(
                f"{len(failed)} of {len(missing)} model calls failed for good, first: {failed[0]}; all other samples "
                "are kept, and the same command asks for the missing ones"
            )
