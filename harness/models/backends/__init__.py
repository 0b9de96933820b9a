"""One module for each backend: its ``running(spec, folder)`` gives a completer and its tokenizer.

A file put here is a backend more, by its name; nothing else has to be changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from harness.errors import ModelError
from harness.models.base import Completer
from harness.models.loading import resolve
from harness.models.spec import ModelSpec


@contextmanager
def opened(spec: ModelSpec, folder: Path) -> Iterator[tuple[Completer, Any]]:
    """The completer of a model and its tokenizer. A server that is started for it logs into ``folder``, and ends with
    the context. Raises ModelError with one clear line.
    """
    known = [module.name for module in iter_modules(__path__)]  # by this the digest of a stage finds them, too
    if spec.backend not in known:
        raise ModelError(f"no backend {spec.backend!r}: use {', '.join(known)}")
    with import_module(f"{__name__}.{spec.backend}").running(spec, folder) as both:
        yield both


def tokenizer_path(spec: ModelSpec) -> str:
    """Where the tokenizer of a model is. Raises ModelError for a folder that is not there."""
    return resolve(spec.tokenizer or ("shipped:student" if spec.backend == "mock" else spec.located))
