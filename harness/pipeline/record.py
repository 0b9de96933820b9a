"""What a recipe's run leaves beside its stages: one folder with a short id, its record and its report."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

from harness.grading.version import grader_version
from harness.pipeline.job import Graph
from harness.pipeline.recipe import Profile, Recipe
from harness.results.records import Hardware, RecipeManifest, RunRecord, StageRecord, StageResult
from harness.results.store import Store
from harness.spec import digest

_PACKAGES = ("harness", "torch", "transformers", "tokenizers", "trl", "lm-eval", "datasets", "numpy", "math-verify")


def run_id(recipe: Recipe, profile: Profile, graph: Graph) -> str:
    """Equal for equal arms over equal stages (without arms: for equal stages), whatever the recipe's file is called."""
    scale = profile.model_dump(mode="json", exclude={"about", "workers"})
    return digest(recipe.model_dump(mode="json"), scale, graph.arms or sorted(graph.jobs), length=12)


def save(store: Store, recipe: Recipe, profile: Profile, graph: Graph, seconds: float, command: str) -> Path:
    """Write ``recipes/<id>/run.json`` and the run's report; a rerun of the same thing replaces both.

    ``seconds`` that the command took; ``command``: the one that makes this run. Returns the file of the record.
    """
    from harness.view.report import write_report

    stages = {}
    for name, job in graph.jobs.items():
        result = store.result(name) or StageResult()
        stages[name] = StageRecord(
            name=job.name,
            kind=job.kind,
            params=job.params,
            inputs=job.inputs,
            models={role: model.model for role, model in job.models.items()},
            depends=job.depends,
            seconds=result.seconds,
            figures={key: value for key, value in result.figures.items() if key != "rows"},
        )
    manifest = RecipeManifest(
        date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        seeds=list(graph.seeds),
        commit=_commit(),
        packages={name: _version(name) for name in _PACKAGES},
        grader=grader_version(),
        hardware=hardware(),
        seconds=round(seconds, 1),
        command=command,
        recipe=recipe.model_dump(mode="json"),
        profile=profile.model_dump(mode="json"),
        stages=stages,
    )
    record = RunRecord(
        run=run_id(recipe, profile, graph), recipe=recipe.name, profile=profile.name, control=recipe.control,
        arms=graph.arms, left_out=graph.left_out, manifest=manifest,
    )  # fmt: skip
    file = store.save(record)
    write_report(store, file, recipe.claims)
    return file


def hardware() -> Hardware:
    """Processor, cores, memory in GiB, and GPUs of this machine."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Hardware(
        processor=_processor(), cores=os.cpu_count(), memory_gib=round(memory), gpus=gpus,
        python=platform.python_version(), system=platform.system(),
    )  # fmt: skip


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit of this checkout, with a plus for uncommitted changes; empty outside a checkout."""
    root = Path(__file__).parent.parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        ask = ["git", "-C", str(root)]
        head = subprocess.run([*ask, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)  # noqa: S603
        changes = subprocess.run([*ask, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")
