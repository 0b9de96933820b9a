"""Recipes and profiles: what an ablation consists of, and at which scale it runs. Unknown keys are errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.problems.registry import nearest


class RecipeError(ValueError):
    """A recipe or profile cannot be used; the message names file, key and the nearest valid name."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Model = TypeVar("_Model", bound=BaseModel)


class SearchStage(_Strict):
    """Tree search by two models: distinct ``correct`` and ``wrong`` chains wanted per problem, ``rollouts`` at most."""

    kind: Literal["search"]
    generator: str = "generator"
    critic: str = "critic"
    grammar: str = "embedded"
    correct: int = Field(default=6, ge=1)
    wrong: int = Field(default=2, ge=0)
    rollouts: int = Field(default=16, ge=1)


class SftStage(_Strict):
    """SFT on searched chains. ``padding`` > 0 pads each with at least that many re-checks (formalistic long CoT)."""

    kind: Literal["sft"]
    model: str
    chains: str
    rule: Literal["shortest", "medium", "longest", "mixed", "balanced"] = "longest"
    per_problem: int = Field(default=2, ge=1)
    padding: int = Field(default=0, ge=0)


class ObjectiveSpec(_Strict):
    """Switches of the preference objective; beta comes with the dose, the same for every arm that names none."""

    beta: float | None = Field(default=None, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    sft_weight: float = Field(default=0.0, ge=0)
    sft_normalization: Literal["sequence_mean", "token_mean"] = "sequence_mean"
    mask_prefix_dpo: bool = False
    mask_prefix_sft: bool = False
    length_normalized: bool = False


class PreferenceStage(_Strict):
    kind: Literal["preference"]
    model: str
    chains: str
    chosen: Literal["shortest", "medium", "longest", "mixed", "balanced"] = "longest"
    prefix: Literal["shortest", "longest", "random"] = "shortest"
    per_problem: int = Field(default=2, ge=1)
    objective: ObjectiveSpec = ObjectiveSpec()


class PretrainStage(_Strict):
    """A tiny model from scratch, by the name of its spec."""

    kind: Literal["pretrain"]
    spec: str


Stage = Annotated[SearchStage | SftStage | PreferenceStage | PretrainStage, Field(discriminator="kind")]


class Claim(_Strict):
    """A comparison that a paper makes: ``arm`` against the arm ``against``, on every task of the suite.

    ``expect``: which way ``metric`` goes; ``same``: within ``margin`` (a share) either way. ``published`` names a file
    of published rows (results/reference) in which both arms stand.
    """

    says: str
    arm: str
    against: str
    metric: Literal["accuracy", "no_answer"] = "accuracy"
    expect: Literal["higher", "lower", "same"] = "higher"
    margin: float = Field(default=0.03, gt=0, lt=1)
    published: str = ""


class Recipe(_Strict):
    """``arms`` maps a table row to a model of the profile or a training stage; ``control`` is one of the arms."""

    name: str
    about: str = ""
    suite: str = "embedded"
    control: str = ""
    stages: dict[str, Stage]
    arms: dict[str, str] = {}
    claims: dict[str, Claim] = {}


class DoseSpec(_Strict):
    learning_rate: float = Field(gt=0)
    epochs: float = Field(default=1.0, gt=0)
    batch_size: int = Field(default=16, ge=1)
    warmup: float = Field(default=0.1, ge=0)
    save_steps: int = Field(default=25, ge=1)
    beta: float = Field(default=0.1, gt=0)


class SearchScale(_Strict):
    problems: int = Field(ge=1)
    shards: int = Field(default=2, ge=1)
    seed: int = 0


class EvalScale(_Strict):
    count: int = Field(ge=1)
    split: Literal["eval", "dev", "search"] = "eval"
    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.6, ge=0)
    seed: int = 0


class Profile(_Strict):
    name: str
    about: str = ""
    models: dict[str, str]
    search: SearchScale
    eval: EvalScale
    sft: DoseSpec
    preference: DoseSpec
    seeds: list[int] = Field(default=[0], min_length=1)
    workers: int = Field(default=2, ge=1)


def shipped_recipes() -> Path:
    """The folder of the recipes that come with the project: inside the wheel, or beside the package in a checkout."""
    inside = Path(__file__).parent.parent / "recipes"
    return inside if inside.is_dir() else Path(__file__).parent.parent.parent / "recipes"


def reference_rows() -> Path:
    """The folder of published rows that come with the project."""
    inside = Path(__file__).parent.parent / "reference"
    return inside if inside.is_dir() else Path(__file__).parent.parent.parent / "results" / "reference"


def published_rows(name: str = "marco_o1_v2.table5") -> dict[str, Any]:
    """A published table as data: ``rows`` by arm and task, in percent."""
    return dict(json.loads((reference_rows() / f"{name}.json").read_text()))


def recipe_names() -> list[str]:
    return sorted(path.stem for path in shipped_recipes().glob("*.yaml"))


def profile_names() -> list[str]:
    return sorted(path.stem for path in (shipped_recipes() / "profiles").glob("*.yaml"))


def find(name: str, folder: Path, kind: str) -> Path:
    """The file of a recipe or profile given by name or path."""
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.exists():
            raise RecipeError(f"{name}: no such file")
        return path
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if name not in known:
        hint = nearest(name, known)
        raise RecipeError(f"no {kind} {name!r}{hint}; there are {', '.join(known)}, or give a path ending in .yaml")
    return folder / f"{name}.yaml"


def load_recipe(name: str) -> Recipe:
    """A recipe by name or path, with what it ``extends`` beneath it: stages are merged, other keys replaced.

    Claims of the extended recipe are kept where both their arms are."""
    path = find(name, shipped_recipes(), "recipe")
    recipe = _validated(Recipe, _extended(path, shipped_recipes(), ()), path)
    _check(recipe, path)
    return recipe


def load_profile(name: str) -> Profile:
    folder = shipped_recipes() / "profiles"
    path = find(name, folder, "profile")
    return _validated(Profile, _extended(path, folder, ()), path)


def _extended(path: Path, folder: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    import yaml

    if path in above:
        raise RecipeError(f"{path}: extends itself, by way of {', '.join(p.name for p in above)}")
    try:
        data = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys, this file is not")
    parent = data.pop("extends", None)
    if parent is None:
        return data
    beside = path.parent / f"{parent}.yaml"
    base = _extended(beside if beside.exists() else find(str(parent), folder, "recipe"), folder, (*above, path))
    for key in ("stages", "search", "eval", "sft", "preference", "models"):
        if isinstance(base.get(key), dict) and isinstance(data.get(key), dict):
            data[key] = base[key] | data[key]
    whole = base | data
    if isinstance(base.get("claims"), dict) and "claims" not in data:  # those about arms that are still there
        arms = whole.get("arms") or {}
        whole["claims"] = {n: c for n, c in base["claims"].items() if {c.get("arm"), c.get("against")} <= {*arms}}
    return whole


def _validated(model: type[_Model], data: dict[str, Any], path: Path) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = []
        for entry in error.errors():
            where = ".".join(str(part) for part in entry["loc"])
            hint = nearest(str(entry["loc"][-1]), _keys(model)) if entry["type"] == "extra_forbidden" else ""
            text = "unknown key" if entry["type"] == "extra_forbidden" else entry["msg"]
            lines.append(f"{where}: {text}{hint}")
        raise RecipeError(f"{path}: " + "; ".join(lines)) from None


def _keys(model: type[BaseModel]) -> list[str]:
    parts = (
        SearchStage, SftStage, PreferenceStage, PretrainStage, ObjectiveSpec, DoseSpec, SearchScale, EvalScale, Claim
    )  # fmt: skip
    return sorted({*model.model_fields, *(name for part in parts for name in part.model_fields)})


def _check(recipe: Recipe, path: Path) -> None:
    problems = []
    for arm, target in recipe.arms.items():
        if target in recipe.stages and recipe.stages[target].kind == "search":
            problems.append(f"arm {arm!r} names the search stage {target!r}, which yields no model")
    if recipe.arms and recipe.control not in recipe.arms:
        problems.append(f"control {recipe.control!r} is no arm{nearest(recipe.control, recipe.arms)}")
    for name, claim in recipe.claims.items():
        for arm in (claim.arm, claim.against):
            if arm not in recipe.arms:
                problems.append(f"claim {name!r}: {arm!r} is no arm{nearest(arm, recipe.arms)}")
        if claim.published and not (reference_rows() / f"{claim.published}.json").exists():
            known = sorted(path.stem for path in reference_rows().glob("*.json"))
            hint = nearest(claim.published, known)
            problems.append(
                f"claim {name!r}: no published rows {claim.published!r}{hint}; there are {', '.join(known)}"
            )
    for name, stage in recipe.stages.items():
        chains = getattr(stage, "chains", None)
        if chains is not None and (chains not in recipe.stages or recipe.stages[chains].kind != "search"):
            problems.append(f"stage {name!r}: chains {chains!r} is no search stage{nearest(chains, recipe.stages)}")
        problems += _model_problems(recipe, name)
    if problems:
        raise RecipeError(f"{path}: " + "; ".join(problems))


def _model_problems(recipe: Recipe, name: str) -> list[str]:
    """What is wrong with the line of models that stage ``name`` starts from."""
    seen = [name]
    while (model := getattr(recipe.stages[seen[-1]], "model", None)) in recipe.stages:
        if model in seen:
            return [f"stage {name!r} starts from itself, by way of {', '.join(seen)}"]
        if recipe.stages[model].kind == "search":
            return [f"stage {seen[-1]!r}: model {model!r} is a search stage, which yields no model"]
        seen.append(model)
    return []
