"""Backends by name: how ``--backend`` becomes a Completer with its tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.models.base import Completer
from harness.models.shipped import resolve

NAMES = ("hf", "vllm", "openai", "mock")


@dataclass(frozen=True)
class BackendSpec:
    """``model``: path, hub name or ``shipped:NAME``. ``tokenizer``: of a served model that ``model`` does not locate.

    ``base_url`` None: openai uses port 8000 on loopback, vllm starts its own server. ``faults``: share of failing
    calls of the mock backend, ``latency``: seconds of each; ``timeout``: seconds a server may take for one call.
    """

    model: str
    name: str = "hf"
    base_url: str | None = None
    tokenizer: str | None = None
    concurrency: int = 64
    vllm: str = "vllm"
    vllm_arguments: Sequence[str] = ()
    faults: float = 0.0
    latency: float = 0.0
    timeout: float = 600.0


@contextmanager
def opened(spec: BackendSpec, folder: Path) -> Iterator[tuple[Completer, Any]]:
    """The completer and its tokenizer; a server started for it ends with the context and logs into ``folder``.

    Raises ModelError with one clear line.
    """
    from harness.models.hf import HFCompleter, load_tokenizer, model_digest
    from harness.models.openai import OpenAICompleter

    if spec.name not in NAMES:
        raise ModelError(f"unknown backend {spec.name!r}: use {', '.join(NAMES)}")
    path = resolve(spec.model)
    if spec.name == "hf":
        model = HFCompleter(path, batch_size=spec.concurrency)
        yield model, model.tokenizer
        return
    tokenizer = load_tokenizer(resolve(spec.tokenizer or ("shipped:student" if spec.name == "mock" else spec.model)))
    if spec.name == "mock":
        from harness.models.mock import scripted_server

        yield scripted_server(tokenizer, spec.concurrency, spec.faults, spec.latency), tokenizer
    elif spec.name == "vllm" and spec.base_url is None:
        from harness.models.vllm import serve

        with serve(path, folder / "vllm.log", spec.vllm, spec.vllm_arguments) as url:
            served = OpenAICompleter(url, path, tokenizer, spec.concurrency, spec.timeout)
            served.digest = f"vllm:{model_digest(path)}"
            yield served, tokenizer
    else:
        url = spec.base_url or "http://127.0.0.1:8000/v1"
        name = path if spec.name == "vllm" else spec.model
        served = OpenAICompleter(url, name, tokenizer, spec.concurrency, spec.timeout)
        served.digest = f"{spec.name}:{spec.model}@{url}"
        if Path(path).is_dir():
            served.digest = f"{spec.name}:{model_digest(path)}"
        yield served, tokenizer
