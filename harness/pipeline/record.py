"""What a recipe's run leaves beside its stages: one folder with a short id, its record and its report."""

import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path

from harness.grading import grader_version
from harness.pipeline.graph import Graph
from harness.pipeline.identity import version
from harness.pipeline.kind import part_of
from harness.pipeline.recipe import Profile, Recipe
from harness.results.records import Hardware, RecipeManifest, RunRecord, StageRecord, StageResult
from harness.results.store import Store
from harness.spec import digest
from harness.view.report import write_report

_PACKAGES = ("harness", "torch", "transformers", "tokenizers", "trl", "lm-eval", "datasets", "numpy", "math-verify")


def run_id(recipe: Recipe, profile: Profile, graph: Graph) -> str:
    """Equal for equal arms over equal stages (without arms: for equal stages), whatever the recipe's file is called."""
    scale = profile.model_dump(mode="json", exclude={"about", "workers"})
    return digest(recipe.model_dump(mode="json"), scale, graph.arms or sorted(graph.jobs), graph.decodings, length=12)


def save(store: Store, recipe: Recipe, profile: Profile, graph: Graph, seconds: float, command: str) -> Path:
    """Write the record of a run that ``command`` makes, and its report; a rerun replaces both. Returns the file."""
    stages = {}
    for name, job in graph.jobs.items():
        result = store.result(name) or StageResult()
        models = {role: model.model for role, model in job.models.items()}
        figures = {key: value for key, value in result.figures.items() if key != "rows"}
        known = vars(job) | {"models": models, "seconds": result.seconds, "figures": figures}
        stages[name] = part_of(StageRecord, known)
    manifest = RecipeManifest(
        date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), seeds=list(graph.seeds), commit=_commit(),
        packages={name: version(name) for name in _PACKAGES}, grader=grader_version(), hardware=_hardware(),
        seconds=round(seconds, 1), command=command, recipe=recipe.model_dump(mode="json"),
        profile=profile.model_dump(mode="json"), stages=stages,
    )  # fmt: skip
    file = store.save(RunRecord(
        run=run_id(recipe, profile, graph), recipe=recipe.name, profile=profile.name, control=recipe.control,
        arms=graph.arms, decodings=graph.decodings, curves=graph.curves, retention=recipe.retention,
        left_out=graph.left_out, manifest=manifest,
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
    git = shutil.which("git") if (root / ".git").exists() else None
    if git is None:
        return ""
    ask = [git, "-C", str(root), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
