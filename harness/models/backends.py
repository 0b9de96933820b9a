"""From the spec of a model to a running completer with its tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.models.base import Completer
from harness.models.shipped import resolve
from harness.models.spec import ModelSpec

LOCAL_SERVER = "http://127.0.0.1:8000/v1"


@contextmanager
def opened(spec: ModelSpec, folder: Path) -> Iterator[tuple[Completer, Any]]:
    """The completer and its tokenizer; a server started for it ends with the context and logs into ``folder``.

    ``base_url`` empty: the backend openai uses port 8000 on this machine, vllm starts its own server.
    Raises ModelError with one clear line.
    """
    from harness.models.hf import HFCompleter
    from harness.models.loading import context_length, load_tokenizer
    from harness.models.openai import OpenAICompleter

    path = resolve(spec.model)
    if spec.backend == "hf":
        model = HFCompleter(path, batch_size=spec.concurrency)
        yield model, model.tokenizer
        return
    tokenizer = load_tokenizer(tokenizer_path(spec))
    if spec.backend == "mock":
        from harness.models.mock import scripted_server

        yield scripted_server(tokenizer, spec.concurrency, spec.mock_faults, spec.mock_latency), tokenizer
        return

    def client(url: str, name: str) -> OpenAICompleter:
        return OpenAICompleter(
            base_url=url, model=name, tokenizer=tokenizer, digest=_served_digest(spec, path),
            context=context_length(path) if Path(path).is_dir() else 0, concurrency=spec.concurrency,
            timeout=spec.timeout,
        )  # fmt: skip

    if spec.backend == "vllm" and not spec.base_url:
        from harness.models.vllm import serve

        with serve(path, folder / "vllm.log", spec.vllm, spec.vllm_arguments) as url:
            yield client(url, path), tokenizer
    else:
        yield client(spec.base_url or LOCAL_SERVER, path if spec.backend == "vllm" else spec.model), tokenizer


def tokenizer_path(spec: ModelSpec) -> str:
    """Where the tokenizer of a model is. Raises ModelError for a folder that is not there."""
    return resolve(spec.tokenizer or ("shipped:student" if spec.backend == "mock" else spec.model))


def _served_digest(spec: ModelSpec, path: str) -> str:
    """The weights where a folder or a name on the hub locates them, else the name. The server's address is no part."""
    from harness.models.digests import model_digest

    located = spec.backend == "vllm" or Path(path).is_dir()
    return f"{spec.backend}:{model_digest(path) if located else spec.model}"
