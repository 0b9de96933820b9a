"""Runs on disk: what identifies one, its manifest, how a name finds it, reading it back, and grading it again."""

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

from pydantic import ValidationError

from harness.errors import BadFile, NoRuns
from harness.evaluation.plan import EvalPlan, Progress, load_samples
from harness.evaluation.response_metrics import judged
from harness.evaluation.spec import Decoding
from harness.files import file_digest, read_json, read_record, reason_of
from harness.grading import grader_version
from harness.grading.grade import Grader
from harness.journal import check_writable, read_records, write_rows, write_whole
from harness.models.backends import opened
from harness.models.prompts import ends, think_tags
from harness.models.spec import ModelSpec
from harness.processes import in_threads
from harness.records import Sample
from harness.results.records import SCHEMA, AskedProblem, Manifest, StageResult, Summary
from harness.results.statistics import of_task
from harness.results.store import Store, read_kept
from harness.results.summary import evaluate_and_summarise, row
from harness.thoughts import THINK_TAGS

_AT_ONCE = 4  # samples that are graded again at once


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run: its folder, what identifies it, its samples; of a recipe's stage the folder of its model."""

    folder: Path
    manifest: Manifest
    samples: list[Sample]
    weights: str = ""

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
    check_writable(folder)
    named = identity(backend, plan)
    file, hint = folder / "manifest.json", "choose another --out, or --fresh to replace it"
    old = read_record(file, Manifest, hint, unnumbered=SCHEMA) if file.exists() else Manifest()
    if old.run and old.run != run_id(named):
        before = old.model_dump(mode="json")
        other = ", ".join(key for key, value in named.items() if before.get(key) != value) or "settings"
        raise NoRuns(f"{folder}: holds an evaluation with other {other}; {hint}")
    started = time.time()
    with opened(backend, folder) as (completer, tokenizer):
        rows = evaluate_and_summarise(completer, tokenizer, plan, folder, progress)
        prompts = "".join(sample.prompt_ids_hash for sample in load_samples(folder))
        manifest = Manifest(
            **named,
            run=run_id(named),
            model_digest=completer.digest,
            computed=getattr(completer, "computed", {}),
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


def left_to_server(folder: Path, decoding: Decoding) -> list[str]:
    """Sampling settings that a run's server does not take, so that its own defaults act on the answers."""
    file = folder / "server.json"
    refused = set(read_json(file).get("fields_refused") or ()) if file.exists() else set()
    if "repeat_penalty" not in refused:  # another server's word for the same
        refused.discard("repetition_penalty")
    sampled = decoding.temperature > 0 or "temperature" in refused
    names = ("temperature", "top_p", "top_k", "min_p") if sampled else ()
    return [name for name in (*names, "repetition_penalty") if name in refused]


def keep_manifest(folder: Path, manifest: Manifest) -> None:
    """Write an evaluation's ``manifest.json``."""
    data = {"schema_version": manifest.schema_version, **manifest.known()}
    write_whole(folder / "manifest.json", json.dumps(data, indent=1) + "\n")


def load(store: Store, name: str) -> Run:
    """A finished run by path, or by the first letters of its id. Raises NoRuns, BadFile and JournalBroken."""
    folder = store.named(name, ("evals", "stages"), ["samples.jsonl"], "finished run")
    samples = load_samples(folder)
    if not samples:
        raise NoRuns(f"{folder}: holds no samples; run its evaluation again")
    [(key, count)] = Counter(f"{s.task}/{s.problem_id}/{s.index}" for s in samples).most_common(1)
    if count > 1:
        raise NoRuns(f"{folder}: {key} is there more than once; run its evaluation again")
    file, done = folder / "manifest.json", folder / "done.json"
    if file.exists():
        return Run(folder=folder, manifest=read_kept(file, Manifest), samples=samples)
    result, decoding = StageResult(name=folder.name), Decoding()
    if done.exists():  # a stage of a recipe keeps its parameters in a record of its own
        result = read_kept(done, StageResult)
        try:
            known = {name: result.params[name] for name in Decoding.model_fields if name in result.params}
            decoding = Decoding(**known)
        except ValidationError as error:
            raise BadFile(f"{done}: {reason_of(error)}; run the recipe again") from None
    weights = folder.parent / result.inputs.get("model", "") / str(result.params.get("at", "model"))
    manifest = Manifest(
        model=result.name, run=folder.name, decoding=decoding, backend=result.params.get("backend"),
        model_digest=result.figures.get("model_digest"),
    )  # fmt: skip
    return Run(
        folder=folder, manifest=manifest, samples=samples, weights=str(weights) if "model" in result.inputs else ""
    )


def fresh(folder: Path) -> None:
    """Forget what a run's folder holds, so that everything is generated again. Other files there are left alone."""
    for name in ("generated.jsonl", "samples.jsonl", "problems.jsonl", "metrics.json", "manifest.json", "server.json"):
        (folder / name).unlink(missing_ok=True)
    for of in (folder / "trees", *folder.glob("plain"), *folder.glob("plain-[0-9]*")):  # of a search at test time
        if of.is_dir() and any((of / name).exists() for name in ("search.json", "generated.jsonl", "manifest.json")):
            shutil.rmtree(of)


def rescore(run: Run, grader: Grader, tokenizer: Any = None) -> list[Sample]:
    """The run's samples graded again; those of lm-eval's own tasks keep lm-eval's verdict.

    ``tokenizer``: the run's; without it lengths and what is measured in them stay as they were. Raises NoRuns for a
    run without its problems, BadFile for one whose problems cannot be read.
    """
    problems = {(asked.task, asked.id): asked.problem() for asked in run.problems()}
    if not problems:
        raise NoRuns(f"{run.folder}: has no problems.jsonl, so it cannot be graded again; run its evaluation again")
    tags = run.manifest.think_tags or THINK_TAGS
    backend, end = getattr(tokenizer, "backend_tokenizer", None), ends(tokenizer) if tokenizer else frozenset()

    def again(sample: Sample) -> Sample:
        problem = problems.get((sample.task, sample.problem_id))
        if problem is None:
            return sample
        grade, measured = judged(
            grader, problem, sample.text, sample.finish, tags=tags, prefilled=sample.prefilled, backend=backend,
            sampled=[i for i in sample.token_ids if i not in end],
        )  # fmt: skip
        metrics = sample.metrics.model_copy(update={"error_type": measured.metrics.error_type})
        changes: dict[str, Any] = {"grade": grade.model_copy(update={"seconds": 0.0}), "metrics": metrics}
        if tokenizer is not None:  # counts in other units than the run's own are no correction of them
            changes |= {name: getattr(measured, name) for name in ("metrics", "thinking_tokens", "answer_tokens")}
        return sample.model_copy(update=changes)

    return in_threads(again, run.samples, _AT_ONCE)


def keep(run: Run, samples: list[Sample]) -> None:
    """Put new verdicts in the place of the run's, with the grader's version. Raises NoRuns for a recipe's stage."""
    if (run.folder / "done.json").exists():
        raise NoRuns(f"{run.folder} is a stage of a recipe and named by its content; run the recipe again instead")
    rows = {task: row(of_task(samples, task)).model_dump() for task in run.tasks}
    metrics = {**read_json(run.folder / "metrics.json", "run its evaluation again"), "rows": rows}
    write_rows(run.folder / "samples.jsonl", (sample.model_dump() for sample in samples))
    write_whole(run.folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    keep_manifest(run.folder, run.manifest.model_copy(update={"grader": grader_version()}))
