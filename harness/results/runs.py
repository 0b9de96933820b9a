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
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.errors import BadFile, NoRuns
from harness.evaluation.plan import EvalPlan, Progress, load_samples
from harness.evaluation.spec import Decoding
from harness.files import about, file_digest, read_json, read_record, reason_of
from harness.grading.version import grader_version
from harness.journal import read_records, write_whole
from harness.models.backends import opened
from harness.models.prompts import think_tags
from harness.models.spec import ModelSpec
from harness.records import Sample
from harness.results.records import SCHEMA, AskedProblem, Manifest, StageResult, Summary
from harness.results.statistics import of_task
from harness.results.store import Store, read_kept
from harness.results.summary import evaluate_and_summarise

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run: its folder, what identifies it, its samples."""

    folder: Path
    manifest: Manifest
    samples: list[Sample]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(sample.task for sample in self.samples))

    def of(self, task: str) -> list[Sample]:
        return of_task(self.samples, task)

    def problems(self) -> list[AskedProblem]:
        """The problems of ``problems.jsonl``; none for a run of lm-eval's own tasks. Raises JournalBroken."""
        return list(read_records(self.folder / "problems.jsonl", AskedProblem))


def identity(backend: ModelSpec, plan: EvalPlan) -> dict[str, Any]:
    """All that names a run, as JSON data: model, tasks, problems, prompting, decoding."""
    return {
        **({"sampler": plan.sampler.identity} if plan.sampler.identity else {}),
        **backend.identity(),
        "tasks": [task.name for task in plan.tasks],
        "task_files": ["lm-eval" if task.file is None else file_digest(task.file) for task in plan.tasks],
        "selection": plan.selection.identity(),
        "prompting": plan.prompting.identity(),
        "decoding": plan.decoding.identity(),
        "settings": {key: str(value) for key, value in plan.data.given().items() if key != "data_dir"},
    }


def run_id(named: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:12]


def execute(backend: ModelSpec, plan: EvalPlan, folder: Path, progress: Progress) -> dict[str, Summary]:
    """Evaluate into ``folder`` and keep a manifest; returns figures by task. Goes on with what the folder holds.

    Before the model loads, raises BadFile when the folder cannot be written and NoRuns when it holds another run.
    """
    with about(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_text("writable")
        probe.unlink()
    named = identity(backend, plan)
    _same_run(folder, named)
    started = time.time()
    with opened(backend, folder) as (completer, tokenizer):
        rows = evaluate_and_summarise(completer, tokenizer, plan, folder, progress)
        prompts = "".join(sample.prompt_ids_hash for sample in load_samples(folder))
        manifest = Manifest(
            **named,
            run=run_id(named),
            model_digest=completer.digest,
            think_tags=think_tags(tokenizer, plan.prompting),
            prompt_ids_hash=hashlib.sha256(prompts.encode()).hexdigest()[:16],
            grader=grader_version(),
            packages={name: metadata.version(name) for name in ("harness", "torch", "transformers", "lm-eval")},
            python=platform.python_version(),
            machine=platform.machine(),
            date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        )
    if (server := folder / "server.json").exists():  # written by the backend when it ends
        manifest = manifest.model_copy(update={"server": read_json(server)})
    keep_manifest(folder, manifest)
    return rows


def keep_manifest(folder: Path, manifest: Manifest) -> None:
    """Write an evaluation's ``manifest.json``."""
    data = {"schema_version": manifest.schema_version, **manifest.known()}
    write_whole(folder / "manifest.json", json.dumps(data, indent=1) + "\n")


def _same_run(folder: Path, named: dict[str, Any]) -> None:
    file, hint = folder / "manifest.json", "choose another --out, or --fresh to replace it"
    old = read_record(file, Manifest, hint, unnumbered=SCHEMA) if file.exists() else Manifest()
    if old.run and old.run != run_id(named):
        before = old.model_dump(mode="json")
        other = ", ".join(key for key, value in named.items() if before.get(key) != value) or "settings"
        raise NoRuns(f"{folder}: holds an evaluation with other {other}; {hint}")


def load(store: Store, name: str) -> Run:
    """A finished run by path, or by the first letters of its id. Raises NoRuns, BadFile and JournalBroken."""
    folder = store.named(name, ("evals", "stages"), ["samples.jsonl"], "finished run")
    samples = load_samples(folder)
    if not samples:
        raise NoRuns(f"{folder}: holds no samples; run its evaluation again")
    twice = [key for key, count in Counter((s.task, s.problem_id, s.index) for s in samples).items() if count > 1]
    if twice:
        raise NoRuns(f"{folder}: {'/'.join(map(str, twice[0]))} is there more than once; run its evaluation again")
    return Run(folder=folder, manifest=_manifest(folder), samples=samples)


def _manifest(folder: Path) -> Manifest:
    """What is known of a run; a stage of a recipe keeps its parameters in a record of its own."""
    file, done = folder / "manifest.json", folder / "done.json"
    if file.exists():
        return read_kept(file, Manifest)
    if not done.exists():
        return Manifest(model=folder.name, run=folder.name)
    result = read_kept(done, StageResult)
    known = {name: result.params[name] for name in Decoding.model_fields if name in result.params}
    try:
        return Manifest(model=result.name, run=folder.name, decoding=Decoding(**known))
    except ValidationError as error:
        raise BadFile(f"{done}: {reason_of(error)}; run the recipe again") from None


def fresh(folder: Path) -> None:
    """Forget what a run's folder holds, so that everything is generated again. Other files there are left alone."""
    for name in ("generated.jsonl", "samples.jsonl", "problems.jsonl", "metrics.json", "manifest.json", "server.json"):
        (folder / name).unlink(missing_ok=True)
    for of in (folder / "trees", *folder.glob("plain"), *folder.glob("plain-[0-9]*")):  # of a search at test time
        if of.is_dir() and any((of / name).exists() for name in ("search.json", "generated.jsonl", "manifest.json")):
            shutil.rmtree(of)
