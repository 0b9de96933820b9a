"""Runs on disk: what identifies one, its manifest, how a name finds it, and reading it back."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.errors import NoRuns
from harness.evaluation.plan import EvalPlan, Progress, load_samples
from harness.evaluation.spec import Decoding
from harness.grading.version import grader_version
from harness.journal import read, write_whole
from harness.models.backends import opened
from harness.models.spec import ModelSpec
from harness.records import Problem, Sample


@dataclass(frozen=True)
class Run:
    """A finished run. ``problems`` maps (task, problem id) to its row of ``problems.jsonl``."""

    folder: Path
    manifest: dict[str, Any]
    samples: list[Sample]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(sample.task for sample in self.samples))

    @property
    def cap(self) -> int | None:
        """Token cap of the run, if one held for all tasks."""
        value = (self.manifest.get("decoding") or {}).get("max_tokens")
        return None if value is None else int(value)

    def of(self, task: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.task == task]

    def problems(self) -> dict[tuple[str, str], Problem]:
        rows = list(read(self.folder / "problems.jsonl"))
        if not rows:
            raise NoRuns(
                f"{self.folder}: has no problems.jsonl, so it cannot be graded again; run its evaluation again"
            )
        return {(row["task"], row["id"]): Problem.of_document(row) for row in rows}


def identity(backend: ModelSpec, plan: EvalPlan) -> dict[str, Any]:
    """All that names a run: model, tasks, problems, prompting, decoding."""
    settings = {key: str(value) for key, value in plan.settings.items() if key != "data_dir"}
    sampler = {"sampler": plan.sampler.identity} if plan.sampler.identity else {}
    return {
        **sampler,
        **backend.identity(),
        "tasks": [task.name for task in plan.tasks],
        "task_files": [_file_digest(task.file) for task in plan.tasks],
        "selection": plan.selection.identity(),
        "prompting": plan.prompting.identity(),
        "decoding": plan.decoding.identity(),
        "settings": settings,
    }


def run_id(named: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:12]


def execute(backend: ModelSpec, plan: EvalPlan, folder: Path, progress: Progress) -> dict[str, dict[str, Any]]:
    """Evaluate into ``folder`` and keep a manifest; returns rows by task. Goes on with what the folder holds.

    Before the model loads, raises OSError when the folder cannot be written and NoRuns when it holds another run.
    """
    from harness.models.prompts import think_tags
    from harness.results.evaluating import evaluate_and_summarise

    folder.mkdir(parents=True, exist_ok=True)
    _probe(folder)
    named = identity(backend, plan)
    _same_run(folder, named)
    started = time.time()
    with opened(backend, folder) as (completer, tokenizer):
        rows = evaluate_and_summarise(completer, tokenizer, plan, folder, progress)
        manifest = {
            **named,
            "run": run_id(named),
            "model_digest": completer.digest,
            "think_tags": list(think_tags(tokenizer, plan.prompting)),
            "prompt_ids_hash": prompt_hash(load_samples(folder)),
            "grader": grader_version(),
            "packages": {name: metadata.version(name) for name in ("harness", "torch", "transformers", "lm-eval")},
            "python": platform.python_version(),
            "machine": platform.machine(),
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        }
    write_whole(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    return rows


def prompt_hash(samples: list[Sample]) -> str:
    """One digest of all prompts' token ids, in the order of the samples: equal digests, equal prompts."""
    return hashlib.sha256("".join(sample.prompt_ids_hash for sample in samples).encode()).hexdigest()[:16]


def _same_run(folder: Path, named: dict[str, Any]) -> None:
    file = folder / "manifest.json"
    try:
        old = json.loads(file.read_text()) if file.exists() else {}
    except ValueError:
        raise NoRuns(f"{file}: broken; choose another --out, or --fresh to replace it") from None
    if old.get("run", run_id(named)) != run_id(named):
        told = json.loads(json.dumps(named))
        other = ", ".join(key for key in told if old.get(key) != told[key]) or "settings"
        raise NoRuns(
            f"{folder}: holds an evaluation with other {other}; choose another --out, or --fresh to replace it"
        )


def _probe(folder: Path) -> None:
    probe = folder / ".probe"
    probe.write_text("writable")
    probe.unlink()


def _file_digest(file: Path | None) -> str:
    return "lm-eval" if file is None else hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def find(store: Path, name: str) -> Path:
    """The folder of a finished run given by path, or by the first letters of its id. Raises NoRuns."""
    path = Path(name)
    if (path / "samples.jsonl").is_file():
        return path
    folders = [f for room in ("evals", "stages") for f in (store / room).glob(f"{name}*") if "/" not in name]
    found = [f for f in folders if (f / "samples.jsonl").is_file()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NoRuns(f"no finished run {name!r} in {store}; 'harness runs' lists them, or give a run's folder")
    raise NoRuns(f"{name!r} begins several runs: {', '.join(sorted(f.name for f in found)[:6])}")


def _json(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except (ValueError, TypeError) as error:
        raise NoRuns(f"{file}: broken ({error}); run its evaluation again, or move the folder away") from None


def load(store: Path, name: str) -> Run:
    """A finished run by path or id. Raises NoRuns."""
    folder = find(store, name)
    file = folder / "manifest.json"
    if file.exists():
        manifest = _json(file)
    else:  # a stage of a recipe keeps its own record
        done = folder / "done.json"
        record = _json(done) if done.exists() else {}
        params = record.get("params", {})
        known = {key: params[key] for key in ("max_tokens", "temperature", "seed") if key in params}
        manifest = {
            "model": record.get("name", folder.name),
            "run": folder.name,
            "decoding": Decoding(**known).identity(),
        }
    samples = load_samples(folder)
    if not samples:
        raise NoRuns(f"{folder}: holds no samples; run its evaluation again")
    twice = [key for key, count in Counter((s.task, s.problem_id, s.index) for s in samples).items() if count > 1]
    if twice:
        raise NoRuns(f"{folder}: {'/'.join(map(str, twice[0]))} is there more than once; run its evaluation again")
    return Run(folder, manifest, samples)


def listed(store: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Finished evaluations of a store with their manifests, newest first."""
    found = [(f.parent, _json(f)) for f in (store / "evals").glob("*/manifest.json")]
    return sorted(found, key=lambda entry: str(entry[1].get("date", "")), reverse=True)


def fresh(folder: Path) -> None:
    """Forget what a run's folder holds, so that everything is generated again. Other files there are left alone."""
    for name in ("generated.jsonl", "samples.jsonl", "problems.jsonl", "metrics.json", "manifest.json"):
        (folder / name).unlink(missing_ok=True)
    for of in (folder / "trees", *folder.glob("plain"), *folder.glob("plain-[0-9]*")):  # of a search at test time
        if of.is_dir() and any((of / name).exists() for name in ("search.json", "generated.jsonl", "manifest.json")):
            shutil.rmtree(of)
