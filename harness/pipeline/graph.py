"""From a recipe and a profile to a graph of jobs, each named by the digest of all that its result depends on.

A digest covers resolved parameters, the digests of inputs, the code of the rooms that do the work, and the versions of
the packages that matter. Same digest: the stored result is used. Two recipes that share a stage share its result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.models.hf import model_digest
from harness.models.shipped import resolve
from harness.pipeline.recipe import PreferenceStage, PretrainStage, Profile, Recipe, RecipeError, SearchStage, SftStage
from harness.problems.registry import nearest, select, shipped_tasks

_TRAINING = tuple(
    f"training/{name}.py" for name in ("train", "trainer", "objective", "groups", "layout", "attention", "reference")
)
# The code and the packages that a kind of job depends on.
_CODE = {
    "search": ("pipeline/stages.py", "search", "grading", "models", "problems/embedded", "thoughts.py"),
    "chains": ("pipeline/stages.py", "chains", "search", "models", "problems/embedded", "thoughts.py"),
    "sft": ("pipeline/stages.py", *_TRAINING, "chains/select.py", "problems/embedded", "thoughts.py"),
    "preference": ("pipeline/stages.py", *_TRAINING, "chains/select.py"),
    "eval": ("pipeline/stages.py", "evaluation", "grading", "models", "problems", "thoughts.py"),
    "pretrain": ("training/tiny", "problems/embedded", "thoughts.py"),
}
_PACKAGES = {
    "search": ("torch", "transformers", "tokenizers"),
    "chains": ("tokenizers",),
    "sft": ("torch", "transformers", "trl"),
    "preference": ("torch", "transformers", "trl"),
    "eval": ("torch", "transformers", "tokenizers", "lm-eval"),
    "pretrain": ("torch", "transformers", "tokenizers"),
}


@dataclass(frozen=True)
class Job:
    """One cacheable unit of work. ``inputs`` maps a role to the digest of another job, ``models`` to a model path."""

    name: str
    kind: str
    params: dict[str, Any]
    inputs: dict[str, str]
    models: dict[str, str]
    digest: str


@dataclass(frozen=True)
class Graph:
    """Jobs in an order in which inputs come first, and the evaluation jobs of each arm, one per seed."""

    jobs: dict[str, Job]
    arms: dict[str, list[str]]


def build(recipe: Recipe, profile: Profile, arms: Iterable[str] | None = None) -> Graph:
    """The jobs that ``arms`` (default: all) need. Raises RecipeError on unknown arms, models or stages."""
    return _Builder(recipe, profile).build(list(arms) if arms is not None else list(recipe.arms))


class _Builder:
    def __init__(self, recipe: Recipe, profile: Profile) -> None:
        self.recipe = recipe
        self.profile = profile
        self.jobs: dict[str, Job] = {}

    def build(self, arms: list[str]) -> Graph:
        for arm in arms:
            if arm not in self.recipe.arms:
                raise RecipeError(
                    f"no arm {arm!r}{nearest(arm, self.recipe.arms)}; arms: {', '.join(self.recipe.arms)}"
                )
        if not arms:
            for name in self.recipe.stages:
                self._stage(name, 0)
        return Graph(self.jobs, {arm: self._arm(arm) for arm in arms})

    def _arm(self, arm: str) -> list[str]:
        target = self.recipe.arms[arm]
        stage = self.recipe.stages.get(target)
        seeds = self.profile.seeds if isinstance(stage, PreferenceStage) else self.profile.seeds[:1]
        return [self._evaluation(arm, target, seed, len(seeds) > 1) for seed in seeds]

    def _evaluation(self, arm: str, target: str, seed: int, many: bool) -> str:
        scale = self.profile.eval
        inputs, models = self._model(target, seed)
        params = {"suite": self.recipe.suite, **scale.model_dump()}
        tasks = [task.file.read_text() for task in select([], self.recipe.suite) if task.file is not None]
        name = f"eval {arm}" + (f" #{seed}" if many else "")
        return self._add(name, "eval", params, inputs, models, extra=tasks)

    def _model(self, target: str, seed: int) -> tuple[dict[str, str], dict[str, str]]:
        """A model by name: the output of a stage, or one of the profile's models."""
        if target in self.recipe.stages:
            return {"model": self._stage(target, seed)}, {}
        if target in self.profile.models:
            return {}, {"model": resolve(self.profile.models[target])}
        known = [*self.recipe.stages, *self.profile.models]
        raise RecipeError(f"{self.recipe.name}: no stage or model {target!r}{nearest(target, known)}")

    def _stage(self, name: str, seed: int) -> str:
        stage = self.recipe.stages[name]
        if isinstance(stage, SearchStage):
            return self._search(name, stage)
        if isinstance(stage, PretrainStage):
            return self._add(f"pretrain {stage.spec}", "pretrain", {"spec": stage.spec}, {}, {})
        inputs, models = self._model(stage.model, self.profile.seeds[0])
        inputs["chains"] = self._stage(stage.chains, seed)
        params = stage.model_dump(exclude={"kind", "model", "chains"})
        dose = self.profile.sft if isinstance(stage, SftStage) else self.profile.preference
        many = isinstance(stage, PreferenceStage) and len(self.profile.seeds) > 1
        seed = seed if isinstance(stage, PreferenceStage) else self.profile.seeds[0]
        params |= {"dose": dose.model_dump(), "seed": seed}
        return self._add(f"train {name}" + (f" #{seed}" if many else ""), stage.kind, params, inputs, models)

    def _search(self, name: str, stage: SearchStage) -> str:
        from harness.search.grammar import load

        scale = self.profile.search
        models = {}
        for role in ("generator", "critic"):
            target = getattr(stage, role)
            if target not in self.profile.models:
                raise RecipeError(f"stage {name!r}: no model {target!r}{nearest(target, self.profile.models)}")
            models[role] = resolve(self.profile.models[target])
        tasks = [task.name for task in select([], self.recipe.suite)]
        common = {
            "families": tasks,
            "problems": scale.problems,
            "seed": scale.seed,
            "shards": scale.shards,
            "grammar": stage.grammar,
            "goals": {"correct": stage.correct, "wrong": stage.wrong, "rollouts": stage.rollouts},
        }
        source = [load(stage.grammar).digest_source]
        shards = {
            f"shard{i}": self._add(
                f"search {i + 1}/{scale.shards}", "search", {**common, "shard": i}, {}, models, source
            )
            for i in range(scale.shards)
        }
        return self._add("chains", "chains", common, shards, models, source)

    def _add(
        self, name: str, kind: str, params: dict[str, Any], inputs: dict[str, str], models: dict[str, str],
        extra: Iterable[str] = (),
    ) -> str:  # fmt: skip
        identity = [
            kind,
            params,
            inputs,
            {role: model_digest(path) for role, path in models.items()},
            list(extra),
            code_digest(_CODE[kind]),
            {package: _version(package) for package in _PACKAGES[kind]},
        ]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        self.jobs.setdefault(digest, Job(name, kind, params, inputs, models, digest))
        return digest


@cache
def _version(package: str) -> str:
    return metadata.version(package)


@cache
def code_digest(parts: tuple[str, ...]) -> str:
    """Digest of source files of this package (and of the shipped task functions, which evaluation runs)."""
    root = Path(__file__).parent.parent
    files = [f for part in parts for f in ([root / part] if part.endswith(".py") else (root / part).rglob("*.*"))]
    if "evaluation" in parts:
        files += shipped_tasks().rglob("*.py")
    total = hashlib.sha256()
    for file in sorted(f for f in files if f.suffix in {".py", ".yaml"}):
        total.update(file.name.encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:16]
