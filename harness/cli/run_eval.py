"""The work behind ``harness eval``: name the run by its identity, evaluate into its folder, keep a manifest."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EvalSpec:
    model: str
    tasks: list[str]
    suite: str | None
    limit: int | None
    data_dir: Path | None
    task_path: list[Path]
    backend: str
    base_url: str
    tokenizer: str | None
    max_tokens: int | None
    temperature: float
    top_p: float
    seed: int
    batch_size: int
    store: Path


def run_eval(spec: EvalSpec, quiet: bool = False) -> tuple[Path, dict[str, dict[str, Any]]]:
    """Evaluate; returns the run's folder and its rows by task."""
    from harness.models.base import ModelError
    from harness.models.shipped import resolve
    from harness.problems.registry import select

    tasks = select(spec.tasks, spec.suite, spec.task_path)
    path = resolve(spec.model)
    if spec.backend not in ("hf", "openai"):
        raise ModelError(f"unknown backend {spec.backend!r}: use hf or openai")
    # One line of progress, ours, instead of every library's bars. Read when the libraries are first imported.
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = os.environ["TQDM_DISABLE"] = "1"
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from harness.cli.show import EvalProgress
    from harness.evaluation.bridge import Decoding
    from harness.evaluation.evaluate import evaluate
    from harness.models.hf import HFCompleter, load_tokenizer
    from harness.models.openai import OpenAICompleter

    completer: Any
    if spec.backend == "hf":
        completer = HFCompleter(path, batch_size=spec.batch_size)
        tokenizer = completer.tokenizer
    else:
        tokenizer = load_tokenizer(resolve(spec.tokenizer or spec.model))
        completer = OpenAICompleter(spec.base_url, spec.model, tokenizer, concurrency=spec.batch_size)
    decoding = Decoding(spec.max_tokens, spec.temperature, spec.top_p, spec.seed)
    settings: dict[str, Any] = {} if spec.data_dir is None else {"data_dir": str(spec.data_dir)}
    identity = {
        "model": spec.model,
        "model_digest": completer.digest,
        "tasks": [task.name for task in tasks],
        "task_files": [hashlib.sha256(task.file.read_bytes()).hexdigest()[:16] for task in tasks],
        "limit": spec.limit,
        "decoding": asdict(decoding),
        "backend": spec.backend,
    }
    run = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    folder = spec.store / "evals" / run
    folder.mkdir(parents=True, exist_ok=True)
    packages = {name: metadata.version(name) for name in ("harness", "torch", "transformers", "lm-eval")}
    manifest = {**identity, "packages": packages, "python": platform.python_version(), "machine": platform.machine()}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    with EvalProgress(quiet) as progress:
        rows = evaluate(
            completer, tokenizer, tasks, decoding, folder, settings, spec.limit, spec.task_path, progress.report
        )
    return folder, rows
