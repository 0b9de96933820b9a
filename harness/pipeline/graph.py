"""From a recipe and a profile to a graph of jobs, each named by the digest of all that its result depends on.

That is parameters, inputs, and what ``identity`` derives. Same digest: the stored result is used.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Self

from harness.errors import RecipeError, nearest
from harness.files import file_digest
from harness.models.loading import resolve
from harness.models.spec import ModelSpec
from harness.pipeline import identity
from harness.pipeline.kind import Job, Params
from harness.pipeline.kinds import evaluate, evaluate_trees, kind_of
from harness.pipeline.recipe import Profile, Recipe
from harness.pipeline.sources import SearchScale
from harness.pipeline.training import LearningStage
from harness.problems.registry import select
from harness.results.records import MAIN
from harness.spec import digest
from harness.training.spec import kept_model

_DECODE: dict[str, evaluate.Evaluate] = {"sample": evaluate.Evaluate(), "mcts": evaluate_trees.EvaluateTrees()}


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Jobs, inputs first; each arm's evaluations, one per seed; ``left_out``: other arms with the model they lack.

    ``decodings``: the arms' evaluations under further decodings, by the decoding's name. ``curves``: of arms whose
    stage has one, evaluations by the share of its training that was done: 0 is what it starts from, 1 the arm itself.
    """

    jobs: dict[str, Job]
    arms: dict[str, list[str]] = field(default_factory=dict)
    decodings: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    curves: dict[str, dict[float, list[str]]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()

    def until(self, stage: str) -> Self:
        """The jobs of one stage and all that they need; no arms. Raises RecipeError for an unknown stage."""
        known = dict.fromkeys(job.stage for job in self.jobs.values() if job.stage)
        if stage not in known:
            raise RecipeError(f"--until {stage}: no such stage among {', '.join(known)}{nearest(stage, known)}")
        needed: set[str] = set()
        for key, job in reversed(self.jobs.items()):  # what needs a job comes before it here
            if job.stage == stage or key in needed:
                needed |= {key, *job.inputs.values()}
        jobs = {digest: job for digest, job in self.jobs.items() if digest in needed}
        return replace(self, arms={}, decodings={}, curves={}, left_out={}, jobs=jobs)


def build(
    recipe: Recipe, profile: Profile, arms: Iterable[str] | None = None, seeds: Sequence[int] | None = None
) -> Graph:
    """What ``arms`` (default: all) need at ``seeds`` (default: the recipe's or profile's). Raises RecipeError."""
    plan = _Planner(recipe, profile, tuple(seeds or recipe.seeds or profile.seeds))
    _check_claims(recipe, profile)
    left_out, chosen = {}, dict[str, dict[str, list[str]]]()
    for arm in recipe.arms if arms is None else arms:
        if arm not in recipe.arms:
            raise RecipeError(f"no arm {arm!r}{nearest(arm, recipe.arms)}; arms: {', '.join(recipe.arms)}")
        lacks = [each for each in recipe.reached(recipe.arm(arm).model) if profile.models.get(each, "") is None]
        if lacks := [each for each in lacks if each not in recipe.stages]:
            left_out[arm] = lacks[0]
        else:
            for decoding, digests in plan.arm(arm).items():
                chosen.setdefault(decoding, {})[arm] = digests
    if not chosen:
        for name in recipe.stages:
            plan.stage(name, plan.seeds[0])
    scored = chosen.get(profile.scale(evaluate.EvalScale).curve, {})
    curves = {arm: plan.curve(arm, scored) for arm in scored}
    return Graph(
        jobs=plan.jobs, arms=chosen.pop("", {}), decodings=chosen, curves={a: c for a, c in curves.items() if c},
        left_out=left_out, seeds=plan.seeds,
    )  # fmt: skip


def _check_claims(recipe: Recipe, profile: Profile) -> None:
    """Raise RecipeError for a claim under a decoding that the profile does not have, or one of its arms does not."""
    known = profile.scale(evaluate.EvalScale).decodings
    for name, claim in recipe.claims.items():
        at = f"{recipe.name}: claim {name!r}"
        if claim.decoding and claim.decoding not in known:
            names = [MAIN, *known]
            hint = f"{nearest(claim.decoding, names)}; there are {', '.join(names)} (eval.decodings of a profile)"
            raise RecipeError(f"{at}: profile {profile.name} has no decoding {claim.decoding!r}{hint}")
        for arm in (claim.arm, claim.against):
            if claim.decoding and recipe.arm(arm).decode != "sample":
                raise RecipeError(f"{at}: {arm!r} is decoded by trees, so under {MAIN!r} alone; leave 'decoding' out")


class _Planner:
    """The Planner of ``pipeline.kind``, of one recipe at one profile. Each file and model is looked at once."""

    def __init__(self, recipe: Recipe, profile: Profile, seeds: tuple[int, ...]) -> None:
        self.recipe, self.profile, self.seeds, self.scale = recipe, profile, seeds, profile.scale
        self.profile_name, self.suite = profile.name, profile.suite or recipe.suite
        own = recipe.suites.get(self.suite)
        self.tasks = select(own or [], None if own else self.suite)
        self.retention = select(recipe.retention, None) if recipe.retention else []
        trained_on = {task.name: f"of suite {self.suite}" for task in self.tasks}
        trained_on |= {str(source.family): "searched" for source in profile.scale(SearchScale).sources}
        for name in (task.name for task in self.retention if task.name in trained_on):
            at = f"{recipe.name} at profile {profile.name}"
            raise RecipeError(f"{at}: retention: {name} is {trained_on[name]}; name tasks that nothing is trained on")
        self.jobs: dict[str, Job] = {}
        self._made: dict[tuple[str, int, str], str] = {}
        # So that a run can be looked at before its files are there.
        self._file = cache(lambda path: file_digest(path) if path.is_file() else f"not there yet: {path}")
        self._code = cache(identity.code_of)
        self._model = cache(lambda role, text: identity.model_identity(role, ModelSpec.model_validate_json(text)))

    def model(self, name: str) -> ModelSpec:
        at = self.profile.name
        if name not in self.profile.models:
            hint = nearest(name, [*self.recipe.stages, *self.profile.models])
            raise RecipeError(f"{self.recipe.name}: no stage, and no model of profile {at}, is {name!r}{hint}")
        spec = self.profile.model(name)
        if spec is None:
            raise RecipeError(f"{self.recipe.name}: profile {at} leaves out the model {name!r}")
        return spec.model_copy(update={"model": resolve(spec.located), "revision": ""})

    def trained(self, name: str, seed: int) -> tuple[dict[str, str], dict[str, ModelSpec]]:
        if name in self.recipe.stages:
            return {"model": self.stage(name, seed)}, {}
        return {}, {"model": self.model(name)}

    def stage(self, name: str, seed: int, reader: str = "") -> str:
        stage, origin = self.recipe.stages[name], self.recipe.origin(reader)
        if (key := (name, seed, origin if reader else "")) not in self._made:
            known = self.model(origin) if origin in self.profile.models else ModelSpec(model=resolve("shipped:student"))
            self._made[key] = kind_of(stage.kind).jobs(self, name, stage, seed, known if reader else None)
        return self._made[key]

    def add(self, job: Job, reads: Sequence[str | Path] = ()) -> str:
        data = [self._file(each) if isinstance(each, Path) else each for each in reads]
        sources = tuple(each for each in reads if isinstance(each, Path) and each.suffix == ".py")
        code, packages = self._code(type(kind_of(job.kind)).__module__, sources)
        identities = {role: self._model(role, model.model_dump_json()) for role, model in job.models.items()}
        depends: Params = {"models": identities, "data": digest(data), "code": code, "packages": packages}
        key = digest(job.kind, job.params, job.inputs, depends)
        self.jobs.setdefault(key, replace(job, depends=depends, digest=key))
        return key

    def arm(self, name: str) -> dict[str, list[str]]:
        """Add what scores an arm; its evaluations by decoding (the main one's name is empty), one for each seed.

        An untrained arm has as many as any other, for its answers are drawn as often; greedy ones are one job.
        """
        arm, section = self.recipe.arm(name), self.scale(evaluate.EvalScale)
        trained = arm.model in self.recipe.stages and self.recipe.stages[arm.model].starts_from
        out: dict[str, list[str]] = {}
        for seed in self.seeds[: arm.seeds]:
            for decoding in ("", *(section.decodings if arm.decode == "sample" else ())):
                scale = section.under(decoding, arm.samples, seed, arm.thinking_budget)
                numbered = len(self.seeds) > 1 and (trained or scale.temperature)
                label = f"eval {name}" + (f" #{seed}" if numbered else "") + (f" {decoding}" if decoding else "")
                job = _DECODE[arm.decode].arm(self, label, *self.trained(arm.model, seed), scale)
                out.setdefault(decoding, []).append(job)
        return out

    def curve(self, name: str, scored: Mapping[str, list[str]]) -> dict[float, list[str]]:
        """Add what scores an arm's model on its way; evaluations by share of the training, one for each seed.

        Empty for an arm whose stage has no curve. ``scored``: the arms' evaluations under the decoding of curves, to
        which the curve's ends belong; the first is there where the model that the stage starts from is an arm.
        """
        arm, section = self.recipe.arm(name), self.scale(evaluate.EvalScale)
        stage = self.recipe.stages.get(arm.model)
        if not isinstance(stage, LearningStage) or not stage.curve or arm.decode != "sample":
            return {}
        seeds, budget = self.seeds[: arm.seeds], arm.thinking_budget
        start = next((other for other in scored if self._plain(other, budget) == stage.model), None)
        out = {0.0: scored[start][: len(seeds)]} if start else {}
        for share in stage.points:
            out[share] = []
            for seed in seeds:
                label = f"eval {name} at {share}" + (f" #{seed}" if len(self.seeds) > 1 else "")
                label += f" {section.curve}" if section.curve else ""
                inputs, models = self.trained(arm.model, seed)
                at, scale = kept_model(Path("model"), share).name, section.under(section.curve, 1, seed, budget)
                out[share].append(_DECODE["sample"].arm(self, label, inputs, models, scale, at))
        return out | {1.0: scored[name]}

    def _plain(self, name: str, budget: int | None) -> str:
        """The model of an arm whose answers are each drawn alone, within this thinking budget."""
        arm = self.recipe.arm(name)
        return arm.model if arm.decode == "sample" and arm.thinking_budget == budget else ""
