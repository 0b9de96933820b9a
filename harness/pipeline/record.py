"""What a recipe's run leaves beside its stages: one folder with a short id, its record and its report."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from pathlib import Path

from harness.grading import grader_version
from harness.pipeline.graph import Graph
from harness.pipeline.identity import version
from harness.pipeline.recipe import Profile, Recipe
from harness.results.records import Hardware, RecipeManifest, RunRecord, StageRecord, StageResult
from harness.results.store import Store
from harness.spec import digest
from harness.view.report import write_report

_PACKAGES = ("harness", "torch", "transformers", "tokenizers", "trl", "lm-eval", "datasets", "numpy", "math-verify")


def run_id(recipe: Recipe, profile: Profile, graph: Graph) -> str:
    """Equal for equal arms over equal stages (without arms: for equal stages), whatever the recipe's file is called."""
    scale = profile.model_dump(mode="json", exclude={"about", "workers"})
    return digest(recipe.model_dump(mode="json"), scale, graph.arms or sorted(graph.jobs), length=12)


def save(store: Store, recipe: Recipe, profile: Profile, graph: Graph, seconds: float, command: str) -> Path:
    """Write ``recipes/<id>/run.json`` and the run's report; a rerun of the same thing replaces both.

    ``seconds`` that the command took; ``command``: the one that makes this run. Returns the file of the record.
    """
    stages = {}
    for name, job in graph.jobs.items():
        result = store.result(name) or StageResult()
        stages[name] = StageRecord(
            name=job.name, kind=job.kind, params=job.params, inputs=job.inputs, depends=job.depends,
            models={role: model.model for role, model in job.models.items()}, seconds=result.seconds,
            figures={key: value for key, value in result.figures.items() if key != "rows"},
        )  # fmt: skip
    manifest = RecipeManifest(
        date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), seeds=list(graph.seeds), commit=_commit(),
        packages={name: version(name) for name in _PACKAGES}, grader=grader_version(), hardware=_hardware(),
        seconds=round(seconds, 1), command=command, recipe=recipe.model_dump(mode="json"),
        profile=profile.model_dump(mode="json"), stages=stages,
    )  # fmt: skip
    file = store.save(RunRecord(
        run=run_id(recipe, profile, graph), recipe=recipe.name, profile=profile.name, control=recipe.control,
        arms=graph.arms, left_out=graph.left_out, manifest=manifest,
    ))  # fmt: skip
    write_report(store, file, recipe.claims)
    return file


def _hardware() -> Hardware:
    import torch

    info = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*:\s*(.*\S)", info.read_text(), re.MULTILINE) if info.exists() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Hardware(
        processor=named[1] if named else platform.processor() or platform.machine(), cores=os.cpu_count(),
        memory_gib=round(memory), gpus=[torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        python=platform.python_version(), system=platform.system(),
    )  # fmt: skip


def _commit() -> str:
    """The commit of this checkout, with a plus for uncommitted changes; empty outside a checkout."""
    root = Path(__file__).parent.parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        head, changes = (
            subprocess.run(["git", "-C", root, *ask], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603, S607
            for ask in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "-uno"))
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changes else "")
