"""What a recipe's run leaves beside its stages: one folder with a short id, its manifest and its report."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.grading.version import grader_version
from harness.journal import write_whole
from harness.pipeline.graph import Graph
from harness.pipeline.recipe import Profile, Recipe
from harness.pipeline.runner import result_of
from harness.results.store import Store

_PACKAGES = ("harness", "torch", "transformers", "tokenizers", "trl", "lm-eval", "datasets", "numpy", "math-verify")


def run_id(recipe: Recipe, profile: Profile, graph: Graph) -> str:
    """Equal for equal arms over equal stages, whatever the recipe's file is called."""
    named = [recipe.model_dump(), profile.model_dump(exclude={"about", "workers"}), graph.arms]
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:12]


def save(store: Path, recipe: Recipe, profile: Profile, graph: Graph, wall: float, again: str) -> Path:
    """Write ``recipes/<id>/run.json`` and the run's report; a rerun of the same thing replaces both.

    ``again``: the command that makes this run.
    """
    from harness.view.report import write_report

    run = run_id(recipe, profile, graph)
    file = store / "recipes" / run / "run.json"
    stages = {}
    for digest, job in graph.jobs.items():
        done = result_of(store, digest) or {}
        stages[digest] = {
            "name": job.name, "kind": job.kind, "params": job.params, "inputs": job.inputs,
            "models": {role: model["model"] for role, model in job.models.items()},
            "depends": job.depends,
            "seconds": done.get("seconds"),
            "figures": {k: v for k, v in done.get("figures", {}).items() if k != "rows"},
        }  # fmt: skip
    data = {
        "run": run,
        "recipe": recipe.name,
        "profile": profile.name,
        "control": recipe.control,
        "arms": graph.arms,
        "left_out": graph.left_out,
        "manifest": {
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seeds": list(graph.seeds),
            "commit": _commit(),
            "packages": {name: _version(name) for name in _PACKAGES},
            "grader": grader_version(),
            "hardware": hardware(),
            "seconds": round(wall, 1),
            "command": again,
            "recipe": recipe.model_dump(),
            "profile": profile.model_dump(),
            "stages": stages,
        },
    }
    write_whole(file, json.dumps(data, indent=1) + "\n")
    write_report(Store(store), file, recipe.claims)
    return file


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in GiB, and GPUs of this machine."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "processor": _processor(), "cores": os.cpu_count(), "memory_gib": round(memory), "gpus": gpus,
        "python": platform.python_version(), "system": platform.system(),
    }  # fmt: skip


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
    """The commit of this checkout, with a plus for uncommitted changes; empty outside a checkout of ours."""
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
