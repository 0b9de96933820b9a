"""Recipes and profiles: what an ablation consists of, and at which scale it runs; their parts are the kinds'."""

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, JsonValue, TypeAdapter, create_model, model_validator

from harness.errors import nearest
from harness.files import shipped
from harness.grading.gym import GYM
from harness.models.spec import ModelSpec
from harness.pipeline.doses import Doses
from harness.pipeline.estimates import Gpu
from harness.pipeline.kind import Stage
from harness.pipeline.kinds import all_kinds
from harness.pipeline.training import LearningStage
from harness.problems.registry import SUITES, tasks
from harness.results.doses import AT
from harness.results.records import Claim
from harness.spec import Spec, knob
from harness.training.spec import TrainingSpec

_Scale = TypeVar("_Scale", bound=Spec)


def _distinct(seeds: list[int]) -> list[int]:
    if again := [seed for seed in seeds if seeds.count(seed) > 1]:
        raise ValueError(f"seed {again[0]} is given twice; a training of one seed is one training")
    return seeds


MOST_SEEDS = 1000
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[list[Seed], Field(min_length=1, max_length=MOST_SEEDS), AfterValidator(_distinct)]
SEEDS: TypeAdapter[list[int]] = TypeAdapter(Seeds)

if TYPE_CHECKING:
    AnyStage = Stage
else:
    _stages = [kind.stage for kind in all_kinds().values() if kind.stage is not None]
    AnyStage = Annotated[reduce(or_, _stages), Field(discriminator="kind")]


class Arm(Spec):
    """A model decoded in its own way."""

    model: str = knob(..., "A model of the profile, or a stage that yields one.")
    samples: int | None = knob(None, "Answers a problem; default: the profile's.", ge=1)
    decode: Literal["sample", "mcts"] = knob("sample", "Each answer drawn alone, or all from one tree.")
    thinking_budget: int | None = knob(None, "Tokens after which an open thought is closed.", ge=1)
    seeds: int | None = knob(None, "Only the first so many of the run's seeds; default: all.", ge=1)

    @model_validator(mode="after")
    def _no_budget_of_trees(self) -> Self:
        if self.thinking_budget and self.decode != "sample":
            raise ValueError("thinking_budget does not go with decode: mcts, whose grammar caps each thought")
        return self


class Recipe(Spec):
    """Stages, arms (``control`` is one), claims; ``profile`` and ``seeds`` hold where the command line names none."""

    name: str
    about: str = ""
    profile: str = "tiny"
    suite: str = "embedded"
    suites: dict[str, list[str]] = knob({}, "Tasks of suites of its own; they stand before shipped ones of that name.")
    retention: list[str] = knob([], "Tasks that nothing is trained on, scored beside the suite and shown apart.")
    seeds: Seeds | None = None
    control: str = ""
    stages: dict[str, AnyStage]
    arms: dict[str, str | Arm] = knob({}, "Models that are scored, by their names in tables.")
    claims: dict[str, Claim] = knob({}, "What a paper says of the arms.")
    doses: Doses | None = knob(None, "Arms that are trained at several doses.")

    def spread(self) -> Self:
        """The recipe with ``doses`` written out; arms and stages that it has by such a name are kept.

        What is no arm of a trained stage stays as it is, for ``findings`` to name.
        """
        stages, arms = dict(self.stages), dict(self.arms)
        for name in self.doses.arms if self.doses else ():
            arm = self.arm(name) if name in self.arms else None
            stage = self.stages.get(arm.model) if arm else None
            if self.doses and arm and isinstance(stage, LearningStage):
                del arms[name]
                for label, dose in self.doses.at.items():
                    own = (stage.dose.model_dump(exclude_unset=True) if stage.dose else {}) | dose.given()
                    changed = stage.model_copy(update={"dose": TrainingSpec(**own)})
                    stages.setdefault(f"{arm.model}{AT}{label}", changed)
                    long = {"model": f"{arm.model}{AT}{label}", "seeds": dose.seeds or arm.seeds}
                    arms.setdefault(f"{name}{AT}{label}", arm.model_copy(update=long))
        return self.model_copy(update={"stages": stages, "arms": arms, "doses": None})

    def arm(self, name: str) -> Arm:
        """An arm in its long form."""
        arm = self.arms[name]
        return Arm(model=arm) if isinstance(arm, str) else arm

    def line(self, target: str) -> list[str]:
        """The stages that a model comes from, itself first; then the model of the profile, or a stage a second time."""
        line = [target]
        while line[-1] in self.stages and line[-1] not in line[:-1] and self.stages[line[-1]].starts_from:
            line.append(self.stages[line[-1]].starts_from)
        return line

    def reached(self, target: str) -> list[str]:
        """A stage or model with all that it is made of, and of what that is made."""
        found = [target]
        for name in found:
            stage = self.stages.get(name)
            found += [other for other, _ in stage.takes().values() if other not in found] if stage else []
        return found

    def origin(self, target: str) -> str:
        """The model of the profile that a line of training starts from, or the stage that makes one."""
        return self.line(target)[-1]


class _Profile(Spec):
    """A scale. Arms whose models are null are left out; ``suite`` replaces the recipe's; ``kind`` tells its file.

    ``stages``: a recipe that has none of such a name is not touched by it.
    """

    kind: Literal["profile"] = "profile"
    name: str
    about: str = ""
    models: dict[str, ModelSpec | str | None]
    suite: str | None = None
    stages: dict[str, dict[str, JsonValue]] = knob({}, "Keys of a recipe's stages at this scale, by the stage's name.")
    seeds: Seeds = knob([0], "Of training, where neither recipe nor command line names any.")
    workers: int = knob(2, "Stages at once.", ge=1, le=1024)
    gpu: Gpu | None = knob(None, "The GPU that it is for; a dry run says what does not fit.")

    def model(self, name: str) -> ModelSpec | None:
        """A model in its long form; None where this profile leaves it out."""
        model = self.models[name]
        return ModelSpec(model=model) if isinstance(model, str) else model

    def scale(self, of: type[_Scale]) -> _Scale:
        """The section that a kind declares as its ``scale``."""
        return next(section for name in _SECTIONS if type(section := getattr(self, name)) is of)


_SECTIONS = {kind.name: kind.scale for kind in all_kinds().values() if kind.scale is not None}
if TYPE_CHECKING:
    Profile = _Profile
else:
    Profile = create_model(
        "Profile", __base__=_Profile, __doc__=_Profile.__doc__, __module__=__name__,
        **{name: (scale, Field({}, validate_default=True)) for name, scale in _SECTIONS.items()},
    )  # fmt: skip


def recipe_names() -> list[str]:
    return sorted(path.stem for path in shipped("recipes").glob("*.yaml"))


def profile_names() -> list[str]:
    return sorted(path.stem for path in (shipped("recipes") / "profiles").glob("*.yaml"))


def findings(recipe: Recipe) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every defect with the key it is about. Whether models exist depends on the profile and is asked there."""
    for name in recipe.doses.arms if recipe.doses else ():
        if name not in recipe.arms:
            yield ("doses", "arms"), f"doses: {name!r} is no arm{nearest(name, recipe.arms)}"
        elif not isinstance(recipe.stages.get(recipe.arm(name).model), LearningStage):
            yield ("doses", "arms"), f"doses: arm {name!r} is not of a stage that trains"
    recipe = recipe.spread()
    arms, stages = recipe.arms, recipe.stages
    suites = {**SUITES, **recipe.suites}
    if recipe.suite not in suites:
        yield ("suite",), f"no suite {recipe.suite!r}{nearest(recipe.suite, suites)}; there are {', '.join(suites)}"
    known_tasks = tasks() if recipe.retention or recipe.suites else {}
    for own, names in recipe.suites.items():
        if not names:
            yield ("suites", own), f"suite {own!r} names no task"
        for number, name in enumerate(names):
            at = ("suites", own, number)
            if name not in known_tasks and not name.startswith(GYM):
                yield at, f"suite {own!r}: no task {name!r}{nearest(name, known_tasks)}; 'harness tasks' lists all"
            elif name in names[:number]:
                yield at, f"suite {own!r}: {name} is named twice"
    for number, name in enumerate(recipe.retention):
        text = f"no task {name!r}{nearest(name, known_tasks)}; 'harness tasks' lists all"
        if name in known_tasks and (name in suites.get(recipe.suite, ()) or name in recipe.retention[:number]):
            text = f"{name} is scored already; name tasks beside suite {recipe.suite}, each once"
        elif name in known_tasks:
            continue
        yield ("retention", number), f"retention: {text}"
    for name in arms:
        target = recipe.arm(name).model
        if target in stages and "model" not in (stage := stages[target]).yields:
            yield ("arms", name), f"arm {name!r} names the {stage.kind} stage {target!r}, which yields no model"
    if arms and recipe.control not in arms:
        yield ("control",), f"control {recipe.control!r} is no arm{nearest(recipe.control, arms)}"
    published = sorted(path.stem for path in shipped("reference").glob("*.json"))
    for name, claim in recipe.claims.items():
        for key, arm in (("arm", claim.arm), ("against", claim.against)):
            if arm not in arms:
                yield ("claims", name, key), f"claim {name!r}: {arm!r} is no arm{nearest(arm, arms)}"
        if claim.published and claim.published not in published:
            text = f"no published rows {claim.published!r}{nearest(claim.published, published)}"
            yield ("claims", name, "published"), f"claim {name!r}: {text}; there are {', '.join(published)}"
    for name, stage in stages.items():
        for path, (target, product) in stage.takes().items():
            key = path[-1]
            known = [other for other in stages if product in stages[other].yields]
            kinds = (kind.name for kind in all_kinds().values() if kind.stage and product in kind.stage.yields)
            text = f"{key} {target!r} is no {' or '.join(kinds)} stage{nearest(target, known)}"
            if product == "model" and target in stages:
                text = f"{key} {target!r} is a {stages[target].kind} stage, which yields no model"
            if target not in known and (product != "model" or target in stages):
                yield ("stages", name, *path), f"stage {name!r}: {text}"
        if line := _circle(recipe, name):
            key, *_ = next(path for path, (target, _) in stages[line[-1]].takes().items() if target == name)
            yield ("stages", line[-1], key), f"stage {name!r} starts from itself, by way of {', '.join(line)}"


def _circle(recipe: Recipe, name: str) -> list[str]:
    """Stages from ``name`` on, each of which takes something from the next one and the last from the first; or none."""
    todo, seen = [[name]], set[str]()
    while todo:
        line = todo.pop()
        for target, _ in recipe.stages[line[-1]].takes().values():
            if target == name:
                return line
            if target in recipe.stages and target not in seen:
                seen.add(target)
                todo.append([*line, target])
    return []
