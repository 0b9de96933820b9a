"""From a recipe and a profile to a graph of jobs, each named by the digest of all that its result depends on.

A digest covers resolved parameters, the digests of inputs, the code of the rooms that do the work, and the versions of
the packages that matter. Same digest: the stored result is used. Two recipes that share a stage share its result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.errors import RecipeError, nearest
from harness.models.digests import model_digest, tokenizer_digest
from harness.models.shipped import resolve
from harness.pipeline.recipe import (
    Arm,
    DistilStage,
    DoseSpec,
    PreferenceStage,
    PretrainStage,
    Profile,
    Recipe,
    SearchStage,
    SftStage,
)
from harness.problems.embedded import FAMILIES
from harness.problems.registry import select
from harness.shipped import shipped

_TRAINING = (
    *(f"training/{name}.py" for name in ("arguments", "attention", "checkpoints", "groups", "layout", "objective")),
    *(f"training/{name}.py" for name in ("reference", "save", "spec", "train", "trainer", "weights")),
)
_STAGES = ("pipeline/stages.py", "pipeline/sources.py")
# The code and the packages that a kind of job depends on.
_CODE = {
    "search": (*_STAGES, "search", "grading", "models", "problems/embedded", "thoughts.py"),
    "chains": (*_STAGES, "chains/extract.py", "search", "models/prompts.py", "problems/embedded", "thoughts.py"),
    "teach": (*_STAGES, "pipeline/teach.py", "chains/distilled.py", "grading", "models", "problems/embedded"),
    "distil": (
        "pipeline/teach.py",
        "chains/distilled.py",
        "tokens.py",
        "models/prompts.py",
        "problems/embedded",
        "thoughts.py",
    ),
    "sft": ("pipeline/training.py", *_TRAINING, "chains/select.py", "tokens.py"),
    "preference": ("pipeline/training.py", *_TRAINING, "chains/select.py", "tokens.py"),
    "eval": (*_STAGES, "evaluation", "results/summary.py", "grading", "models", "problems", "thoughts.py"),
    "pretrain": ("training/tiny", "problems/embedded", "thoughts.py"),
}
_PACKAGES = {
    "search": ("torch", "transformers", "tokenizers"),
    "chains": ("tokenizers",),
    "teach": ("torch", "transformers", "tokenizers"),
    "distil": ("tokenizers",),
    "sft": ("torch", "transformers", "trl"),
    "preference": ("torch", "transformers", "trl"),
    "eval": ("torch", "transformers", "tokenizers", "lm-eval"),
    "pretrain": ("torch", "transformers", "tokenizers"),
}
# How an evaluation is computed, not what it asks.
_EVAL_HOW = ("concurrency", "vllm", "vllm_arguments", "data_dir")


@dataclass(frozen=True)
class Job:
    """One cacheable unit of work. ``inputs`` maps a role to the digest of another job, ``models`` to a model.

    ``how`` is what the result does not depend on: addresses, batch sizes, programs. ``stage``: of the recipe.
    ``depends``: digests of the models (for a tokenizer: vocabulary and template), of data files, of code; packages.
    """

    name: str
    kind: str
    params: dict[str, Any]
    inputs: dict[str, str]
    models: dict[str, dict[str, Any]]
    digest: str
    how: dict[str, Any] = field(default_factory=dict)
    stage: str = ""
    depends: dict[str, Any] = field(default_factory=dict)

    def path(self, role: str) -> str:
        """Where the model of ``role`` is: a folder or a hub name."""
        return str(self.models[role]["model"])


@dataclass(frozen=True)
class Graph:
    """Jobs in an order in which inputs come first, and the evaluation jobs of each arm, one per seed.

    ``left_out``: arms whose models the profile does not have, with the name of the model.
    """

    jobs: dict[str, Job]
    arms: dict[str, list[str]]
    left_out: dict[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()

    def until(self, stage: str) -> Graph:
        """The jobs of one stage and all that they need; no arms. Raises RecipeError for an unknown stage."""
        known = dict.fromkeys(job.stage for job in self.jobs.values() if job.stage)
        if stage not in known:
            raise RecipeError(f"--until {stage}: no such stage among {', '.join(known)}{nearest(stage, known)}")
        wanted = [digest for digest, job in self.jobs.items() if job.stage == stage]
        needed: set[str] = set()
        while wanted:
            digest = wanted.pop()
            if digest not in needed:
                needed.add(digest)
                wanted += self.jobs[digest].inputs.values()
        return Graph({d: job for d, job in self.jobs.items() if d in needed}, {}, {}, self.seeds)


def build(
    recipe: Recipe, profile: Profile, arms: Iterable[str] | None = None, seeds: Sequence[int] | None = None
) -> Graph:
    """The jobs that ``arms`` (default: all) need, trained for each of ``seeds`` (default: the recipe's, or profile's).

    Raises RecipeError on unknown arms, models or stages.
    """
    chosen = tuple(seeds or recipe.seeds or profile.seeds)
    return _Builder(recipe, profile, chosen).build(list(arms) if arms is not None else list(recipe.arms))


class _Builder:
    def __init__(self, recipe: Recipe, profile: Profile, seeds: tuple[int, ...]) -> None:
        self.recipe = recipe
        self.profile = profile
        self.seeds = seeds
        self.suite = profile.suite or recipe.suite
        self.tasks = select([], self.suite)
        self.jobs: dict[str, Job] = {}
        self.identities: dict[tuple[str, str], str] = {}

    def build(self, arms: list[str]) -> Graph:
        for arm in arms:
            if arm not in self.recipe.arms:
                known = self.recipe.arms
                raise RecipeError(f"no arm {arm!r}{nearest(arm, known)}; arms: {', '.join(known)}")
        left_out = {arm: missing for arm in arms if (missing := self._missing(self.recipe.arm(arm).model))}
        arms = [arm for arm in arms if arm not in left_out]
        if not arms:
            for name in self.recipe.stages:
                self._stage(name, self.seeds[0])
        return Graph(self.jobs, {arm: self._arm(arm) for arm in arms}, left_out, self.seeds)

    def _missing(self, target: str) -> str:
        """The model that ``target`` starts from, where the profile leaves it out; else nothing."""
        root = self._root(target)
        return root if root in self.profile.models and self.profile.model(root) is None else ""

    def _root(self, target: str) -> str:
        """The model of the profile that a line of training starts from, or the stage that makes one."""
        while target in self.recipe.stages and (below := getattr(self.recipe.stages[target], "model", None)):
            target = below
        return target

    def _arm(self, arm: str) -> list[str]:
        how = self.recipe.arm(arm)
        trained = isinstance(self.recipe.stages.get(how.model), SftStage | PreferenceStage)
        seeds = self.seeds if trained else self.seeds[:1]
        return [self._evaluation(arm, how, seed, len(seeds) > 1) for seed in seeds]

    def _evaluation(self, arm: str, decoded: Arm, seed: int, many: bool) -> str:
        scale = self.profile.eval
        inputs, models = self._model(decoded.model, seed)
        params = {"suite": self.suite, **scale.model_dump(exclude=set(_EVAL_HOW)), "samples": decoded.samples}
        if decoded.decode == "mcts":
            params |= {"tree": self.profile.search.grammar}
        how = {key: value for key, value in scale.model_dump().items() if key in _EVAL_HOW}
        texts = [task.file.read_text() for task in self.tasks if task.file is not None]
        name = f"eval {arm}" + (f" #{seed}" if many else "")
        return self._add(name, "eval", params, inputs, models, texts, how)

    def _model(self, target: str, seed: int) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        """A model by name: the output of a stage, or one of the profile's models."""
        if target in self.recipe.stages:
            return {"model": self._stage(target, seed)}, {}
        return {}, {"model": self._spec(target)}

    def _spec(self, name: str) -> dict[str, Any]:
        if name not in self.profile.models:
            known = [*self.recipe.stages, *self.profile.models]
            raise RecipeError(
                f"{self.recipe.name}: no stage, and no model of profile {self.profile.name}, is {name!r}"
                f"{nearest(name, known)}"
            )
        spec = self.profile.model(name)
        if spec is None:
            raise RecipeError(f"{self.recipe.name}: profile {self.profile.name} leaves out the model {name!r}")
        return spec.model_dump() | {"model": resolve(spec.model)}

    def _stage(self, name: str, seed: int) -> str:
        stage = self.recipe.stages[name]
        if isinstance(stage, PretrainStage):
            params: dict[str, Any] = {"spec": stage.spec} | ({"steps": n} if (n := self.profile.pretrain.steps) else {})
            return self._add(f"pretrain {stage.spec}", "pretrain", params, {}, {}, stage=name)
        if isinstance(stage, SearchStage):  # by itself: chains in the generator's own vocabulary
            return self._chains(name, self._spec(stage.generator))
        if isinstance(stage, DistilStage):
            return self._distilled(name, stage, self._spec("student"))
        inputs, models = self._model(stage.model, seed)
        root = self._root(stage.model)
        vocabulary = self._spec(root) if root in self.profile.models else {"model": resolve("shipped:student")}
        source = self.recipe.stages[stage.chains]
        if isinstance(source, DistilStage):
            inputs["chains"] = self._distilled(stage.chains, source, vocabulary)
        else:
            inputs["chains"] = self._chains(stage.chains, vocabulary)
        params = stage.model_dump(exclude={"kind", "model", "chains"}) | {"seed": seed}
        dose = self.profile.sft if isinstance(stage, SftStage) else self.profile.preference
        params["dose"], how = _split_dose(dose)
        label = f"train {name}" + (f" #{seed}" if len(self.seeds) > 1 else "")
        return self._add(label, stage.kind, params, inputs, models, (), how, name)

    def _problems(self) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
        """Which problems are searched: (identity, where they lie, digests of files)."""
        scale = self.profile.search
        families = [task.name for task in self.tasks if task.name in FAMILIES]
        if not scale.sources and not families:
            raise RecipeError(
                f"profile {self.profile.name}: no problems to search; name files under search.sources, for suite "
                f"{self.suite} has none of the embedded families"
            )
        params = {"families": [] if scale.sources else families, "problems": scale.problems, "seed": scale.seed}
        return (
            params,
            {"sources": [s.model_dump() for s in scale.sources]},
            [_file_digest(s.file) for s in scale.sources],
        )

    def _chains(self, name: str, vocabulary: dict[str, Any]) -> str:
        """The search of a stage, in shards, and its chains in the vocabulary of the model to be trained."""
        from harness.search.grammar.load import load

        stage, scale = self.recipe.stages[name], self.profile.search
        assert isinstance(stage, SearchStage)
        models = {role: self._spec(getattr(stage, role)) for role in ("generator", "critic")}
        problems, how, files = self._problems()
        params = problems | {
            "shards": scale.shards,
            "grammar": scale.grammar,
            "goals": {"correct": stage.correct, "wrong": stage.wrong, "rollouts": stage.rollouts},
        }
        source = [load(scale.grammar).digest_source, *files]
        shards = {}
        for i in range(scale.shards):
            label = f"search {i + 1}/{scale.shards}"
            shards[f"shard{i}"] = self._add(label, "search", {**params, "shard": i}, {}, models, source, how, name)
        return self._add("chains", "chains", params, shards, {"tokenizer": vocabulary}, source, how, name)

    def _distilled(self, name: str, stage: DistilStage, vocabulary: dict[str, Any]) -> str:
        """A teacher's outputs (generated, or read from the profile's file), and their chains in a vocabulary."""
        scale = self.profile.distil
        if scale.file is not None:
            params: dict[str, Any] = {"family": scale.family, "problems": scale.problems}
            models, how, files = {}, {"file": scale.file}, [_file_digest(scale.file)]
        else:
            problems, how, files = self._problems()
            sampling = scale.model_dump(include={"samples", "max_tokens", "temperature"}) | {
                "sampling_seed": scale.seed
            }
            params, models = problems | sampling, {"teacher": self._spec(stage.teacher)}
        taught = self._add(f"teach {name}", "teach", params, {}, models, files, how, name)
        if scale.padding and not stage.plain and not params.get("families"):
            raise RecipeError(
                f"profile {self.profile.name}: distil.padding writes re-checks for embedded families alone; set it to 0"
            )
        padding = {"padding": 0 if stage.plain else scale.padding, "seed": scale.seed}
        return self._add(f"distil {name}", "distil", padding, {"taught": taught}, {"tokenizer": vocabulary}, stage=name)

    def _identity(self, role: str, model: dict[str, Any]) -> str:
        key = (role, json.dumps(model, sort_keys=True))
        if key not in self.identities:
            self.identities[key] = _identity(role, model)
        return self.identities[key]

    def _add(
        self, name: str, kind: str, params: dict[str, Any], inputs: dict[str, str], models: dict[str, dict[str, Any]],
        extra: Iterable[str] = (), how: dict[str, Any] | None = None, stage: str = "",
    ) -> str:  # fmt: skip
        texts = list(extra)
        depends = {
            "models": {role: self._identity(role, model) for role, model in models.items()},
            "data": hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16],
            "code": code_digest(_CODE[kind]),
            "packages": {package: _version(package) for package in _PACKAGES[kind]},
        }
        identity = [kind, params, inputs, depends["models"], texts, depends["code"], depends["packages"]]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        self.jobs.setdefault(digest, Job(name, kind, params, inputs, models, digest, how or {}, stage, depends))
        return digest


def _split_dose(dose: DoseSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a training's result depends on, and how it is computed."""
    how = ("save_steps", "micro_batch", "recompute", "launch")
    told = dose.model_dump()
    return {k: v for k, v in told.items() if k not in how}, {k: v for k, v in told.items() if k in how}


def _identity(role: str, model: dict[str, Any]) -> str:
    """What a result depends on: the weights, or the vocabulary alone. Where a model is served does not count."""
    path = str(model["model"])
    if role == "tokenizer":
        return tokenizer_digest(str(model.get("tokenizer") or path))
    served = model.get("backend", "hf")
    return model_digest(path) if served == "hf" else f"{served}:{model_digest(path)}"


def _file_digest(name: str) -> str:
    """Digest of a data file; of its name while it is not there, so that a run can be looked at before."""
    path = Path(name)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else f"not there yet: {name}"


@cache
def _version(package: str) -> str:
    return metadata.version(package)


@cache
def code_digest(parts: tuple[str, ...]) -> str:
    """Digest of source files of this package (and of the shipped task functions, which evaluation runs)."""
    root = Path(__file__).parent.parent
    files = [f for part in parts for f in ([root / part] if part.endswith(".py") else (root / part).rglob("*.*"))]
    if "evaluation" in parts:
        files += shipped("tasks").rglob("*.py")
    total = hashlib.sha256()
    for file in sorted(f for f in files if f.suffix in {".py", ".yaml"}):
        total.update(file.name.encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:16]
