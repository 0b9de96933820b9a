"""How the samples of a run are drawn: a ``Sampler`` gets all that was asked for and hands back completions.

Independent samples are drawn here; search at test time is another sampler, of another room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from harness.errors import Incomplete
from harness.models.base import Completer, Completion, Request, complete_all, complete_in_chunks
from harness.thoughts import Tags

# Called with (number of the request, its completion), in any order; each is kept at once.
Done = Callable[[list[tuple[int, Completion]]], None]


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
    """Draws what is missing. ``identity``: how, as a part of each sample's identity; empty for plain sampling."""

    @property
    def identity(self) -> str: ...

    def __call__(self, asked: Asked) -> None:
        """Hand a completion of every missing request to ``asked.done``. Raises Incomplete when calls failed."""


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Independent samples: in chunks of ``chunk`` requests where a model's results depend on the batch, else freely."""

    chunk: int = 64
    identity: str = ""

    def __call__(self, asked: Asked) -> None:
        model, missing = asked.completer, asked.missing
        if model.lockstep:  # a chunk with a missing sample is drawn whole, so that its batch is that of every run
            left = set(missing)
            asyncio.run(complete_in_chunks(model, asked.requests, lambda i: i not in left, asked.done, self.chunk))
        elif failed := asyncio.run(complete_all(model, asked.requests, missing, asked.done)):
            raise Incomplete(
                f"{len(failed)} of {len(missing)} model calls failed for good, first: {failed[0]}; all other samples "
                "are kept, and the same command asks for the missing ones"
            )
