"""From a recipe and a profile to a graph of jobs, each named by the digest of all that its result depends on.

A digest covers resolved parameters, the digests of inputs, and what ``identity`` derives: code, packages, files that
are read. Same digest: the stored result is used. Two recipes that share a stage share its result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from harness.errors import RecipeError, nearest
from harness.models.shipped import resolve
from harness.models.spec import ModelSpec
from harness.pipeline import identity
from harness.pipeline.job import Graph, Job, Params
from harness.pipeline.kinds import evaluate, evaluate_trees, kind_of
from harness.pipeline.recipe import Profile, Recipe
from harness.problems.registry import select
from harness.spec import Spec, digest

_Scale = TypeVar("_Scale", bound=Spec)
# How an arm is decoded, and the kind of job that does it.
_DECODE: dict[str, evaluate.Evaluate] = {"sample": evaluate.KIND, "mcts": evaluate_trees.KIND}


def build(
    recipe: Recipe, profile: Profile, arms: Iterable[str] | None = None, seeds: Sequence[int] | None = None
) -> Graph:
    """The jobs that ``arms`` (default: all) need, trained for each of ``seeds`` (default: the recipe's, or profile's).

    Raises RecipeError on unknown arms, models or stages.
    """
    chosen = tuple(seeds or recipe.seeds or profile.seeds)
    return _Builder(recipe, profile, chosen).build(list(arms) if arms is not None else list(recipe.arms))


class _Builder:
    """The Planner of ``pipeline.kind``, of one recipe at one profile."""

    def __init__(self, recipe: Recipe, profile: Profile, seeds: tuple[int, ...]) -> None:
        self.recipe = recipe
        self.profile = profile
        self.profile_name = profile.name
        self.seeds = seeds
        self.suite = profile.suite or recipe.suite
        self.tasks = select([], self.suite)
        self.jobs: dict[str, Job] = {}
        self._models: dict[str, str] = {}
        self._code: dict[tuple[str, tuple[Path, ...]], identity.Code] = {}
        self._files: dict[Path, str] = {}

    def build(self, arms: list[str]) -> Graph:
        known = self.recipe.arms
        for arm in arms:
            if arm not in known:
                raise RecipeError(f"no arm {arm!r}{nearest(arm, known)}; arms: {', '.join(known)}")
        left_out = {arm: missing for arm in arms if (missing := self._missing(self.recipe.arm(arm).model))}
        arms = [arm for arm in arms if arm not in left_out]
        if not arms:
            for name in self.recipe.stages:
                self.stage(name, self.seeds[0])
        chosen = {arm: self._arm(arm) for arm in arms}
        return Graph(jobs=self.jobs, arms=chosen, left_out=left_out, seeds=self.seeds)

    def scale(self, of: type[_Scale]) -> _Scale:
        return self.profile.scale(of)

    def model(self, name: str) -> ModelSpec:
        if name not in self.profile.models:
            known = [*self.recipe.stages, *self.profile.models]
            raise RecipeError(
                f"{self.recipe.name}: no stage, and no model of profile {self.profile.name}, is {name!r}"
                f"{nearest(name, known)}"
            )
        spec = self.profile.model(name)
        if spec is None:
            raise RecipeError(f"{self.recipe.name}: profile {self.profile.name} leaves out the model {name!r}")
        return spec.model_copy(update={"model": resolve(spec.model)})

    def trained(self, name: str, seed: int) -> tuple[dict[str, str], dict[str, ModelSpec]]:
        if name in self.recipe.stages:
            return {"model": self.stage(name, seed)}, {}
        return {}, {"model": self.model(name)}

    def vocabulary(self, name: str) -> ModelSpec:
        origin = self.recipe.origin(name)
        return self.model(origin) if origin in self.profile.models else ModelSpec(model=resolve("shipped:student"))

    def stage(self, name: str, seed: int, vocabulary: ModelSpec | None = None) -> str:
        stage = self.recipe.stages[name]
        return kind_of(stage.kind).jobs(self, name, stage, seed, vocabulary)

    def add(
        self, kind: str, name: str, *, params: Params, inputs: dict[str, str] | None = None,
        models: dict[str, ModelSpec] | None = None, how: Params | None = None, reads: Sequence[str | Path] = (),
        stage: str = "",
    ) -> str:  # fmt: skip
        inputs, models = inputs or {}, models or {}
        data = [self._file(each) if isinstance(each, Path) else each for each in reads]
        code = self._code_of(kind, tuple(each for each in reads if isinstance(each, Path) and each.suffix == ".py"))
        depends: Params = {
            "models": {role: self._model(role, model) for role, model in models.items()},
            "data": digest(data),
            "code": code.digest,
            "packages": code.packages,
        }
        name_of = digest(kind, params, inputs, depends)
        job = Job(
            name=name, kind=kind, digest=name_of, params=params, inputs=inputs, models=models, how=how or {},
            stage=stage, depends=depends,
        )  # fmt: skip
        self.jobs.setdefault(name_of, job)
        return name_of

    def _missing(self, target: str) -> str:
        """The model that ``target`` starts from, where the profile leaves it out; else nothing."""
        origin = self.recipe.origin(target)
        return origin if origin in self.profile.models and self.profile.model(origin) is None else ""

    def _arm(self, name: str) -> list[str]:
        arm = self.recipe.arm(name)
        trained = arm.model in self.recipe.stages and self.recipe.stages[arm.model].starts_from
        out = []
        for seed in self.seeds if trained else self.seeds[:1]:
            label = f"eval {name}" + (f" #{seed}" if trained and len(self.seeds) > 1 else "")
            out.append(_DECODE[arm.decode].arm(self, label, *self.trained(arm.model, seed), arm.samples))
        return out

    def _model(self, role: str, model: ModelSpec) -> str:
        key = f"{role} {model.model_dump_json()}"
        if key not in self._models:
            self._models[key] = identity.model_identity(role, model)
        return self._models[key]

    def _file(self, path: Path) -> str:
        if path not in self._files:
            self._files[path] = identity.data_digest(path)
        return self._files[path]

    def _code_of(self, kind: str, more: tuple[Path, ...]) -> identity.Code:
        key = (kind, more)
        if key not in self._code:
            self._code[key] = identity.code_of(type(kind_of(kind)).__module__, more)
        return self._code[key]
