"""Recipes and profiles from YAML: what they extend beneath them, ``--set`` above them, errors with their line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from harness.errors import RecipeError, nearest
from harness.models.spec import ModelSpec
from harness.pipeline import recipe as schema
from harness.pipeline.recipe import Profile, Recipe, find
from harness.shipped import shipped

_Model = TypeVar("_Model", bound=BaseModel)
_Key = tuple[str | int, ...]
# Mappings whose entries are merged with those of what is extended; everything else is replaced.
_MERGED = ("stages", "pretrain", "search", "distil", "eval", "sft", "preference", "models")
# The model behind a step of a key's path, for the nearest valid name of an unknown key.
_PARTS: dict[str, type[BaseModel]] = {
    "search": schema.SearchStage, "distil": schema.DistilStage, "sft": schema.SftStage,
    "preference": schema.PreferenceStage, "pretrain": schema.PretrainStage, "objective": schema.ObjectiveSpec,
    "claims": schema.Claim, "arms": schema.Arm, "models": ModelSpec, "eval": schema.EvalScale,
    "sources": schema.Source,
}  # fmt: skip
_SCALES: dict[str, type[BaseModel]] = {
    "pretrain": schema.PretrainScale, "search": schema.SearchScale,
    "distil": schema.DistilScale, "sft": schema.DoseSpec, "preference": schema.DoseSpec,
}  # fmt: skip


@dataclass
class Source:
    """The mapping of a YAML file, and the place (``file:line``) of each of its keys."""

    data: dict[str, Any]
    places: dict[_Key, str]
    file: Path

    def place(self, key: Sequence[str | int]) -> str:
        """Where a key stands, or the nearest of the keys that hold it."""
        steps = tuple(key)
        while steps and steps not in self.places:
            steps = steps[:-1]
        return self.places.get(steps, str(self.file))


def load_recipe(name: str, settings: Iterable[str] = ()) -> Recipe:
    """A recipe by name or path, with what it ``extends`` beneath it: stages are merged, other keys replaced.

    ``settings``: ``key=value`` with dots between steps. Claims of the extended recipe are kept where both their arms
    are. Raises RecipeError with all that is wrong, one finding a line.
    """
    from harness.pipeline.checks import findings

    path = find(name, shipped("recipes"), "recipe")
    source = _extended(path, shipped("recipes"), "recipe", ())
    _set(source, settings)
    recipe = _validated(Recipe, source)
    _raise([f"{source.place(key)}: {text}" for key, text in findings(recipe)])
    return recipe


def load_profile(name: str, settings: Iterable[str] = ()) -> Profile:
    """A profile by name or path, as load_recipe reads recipes."""
    folder = shipped("recipes") / "profiles"
    source = _extended(find(name, folder, "profile"), folder, "profile", ())
    _set(source, settings)
    return _validated(Profile, source)


def is_profile(name: str) -> bool:
    """Whether a name or file is a profile's and not a recipe's: by its name, its keys, or what it extends."""
    mine, theirs = (set(model.model_fields) for model in (Profile, Recipe))
    seen: set[str] = set()
    while name.endswith((".yaml", ".yml")) and name not in seen:
        seen.add(name)
        path = find(name, shipped("recipes"), "recipe")
        data = _parsed(path).data
        if data.keys() & (mine ^ theirs):
            return not data.keys() & (theirs - mine)
        name = str(data.get("extends"))
        beside = path.parent / f"{name}.yaml"
        name = str(beside) if beside.exists() else name
    return name in schema.profile_names() and name not in schema.recipe_names()


def split_settings(settings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of the recipe, and those that begin with ``profile.`` (without it)."""
    start = "profile."
    return [s for s in settings if not s.startswith(start)], [s[len(start) :] for s in settings if s.startswith(start)]


def _raise(lines: list[str]) -> None:
    if lines:
        raise RecipeError("\n".join(lines))


def _extended(path: Path, folder: Path, kind: str, above: tuple[Path, ...]) -> Source:
    if path in above:
        raise RecipeError(f"{path}: extends itself, by way of {', '.join(p.name for p in above)}")
    mine = _parsed(path)
    parent = mine.data.pop("extends", None)
    if parent is None:
        return mine
    beside = path.parent / f"{parent}.yaml"
    try:
        base = beside if beside.exists() else find(str(parent), folder, kind)
    except RecipeError as error:
        raise RecipeError(f"{mine.place(('extends',))}: {error}") from None
    under = _extended(base, folder, kind, (*above, path))
    whole = under.data | mine.data
    for key in _MERGED:
        if isinstance(under.data.get(key), dict) and isinstance(mine.data.get(key), dict):
            whole[key] = under.data[key] | mine.data[key]
    if isinstance(under.data.get("claims"), dict) and "claims" not in mine.data:  # those about arms still there
        arms = whole.get("arms") or {}
        kept = {n: c for n, c in under.data["claims"].items() if {c.get("arm"), c.get("against")} <= {*arms}}
        whole["claims"] = kept
    return Source(whole, under.places | mine.places, path)


def _parsed(path: Path) -> Source:
    try:
        text = path.read_text()
        data, node = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys, this file is not")
    places: dict[_Key, str] = {}
    _note(node, (), path, places)
    return Source(data, places, path)


def _note(node: Any, key: _Key, path: Path, places: dict[_Key, str]) -> None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            step = (*key, str(name.value))
            places[step] = f"{path}:{name.start_mark.line + 1}"
            _note(value, step, path, places)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            places[*key, number] = f"{path}:{value.start_mark.line + 1}"
            _note(value, (*key, number), path, places)


def _set(source: Source, settings: Iterable[str]) -> None:
    for setting in settings:
        key, sign, text = setting.partition("=")
        steps = key.strip().split(".")
        if not sign or not all(steps):
            raise RecipeError(f"--set {setting}: write key=value, with dots between the steps of a key")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise RecipeError(f"--set {setting}: {text!r} is no YAML value") from None
        at = source.data
        for number, step in enumerate(steps[:-1]):
            below = at.get(step)
            if isinstance(below, str) and steps[0] in ("models", "arms") and number == 1:
                below = {"model": below}  # the long form of a name
            if below is not None and not isinstance(below, dict):
                raise RecipeError(f"--set {setting}: {'.'.join(steps[: number + 1])} holds no keys")
            at[step] = at = dict(below or {})
        at[steps[-1]] = value
        source.places[tuple(steps)] = f"--set {setting}"


def _validated(model: type[_Model], source: Source) -> _Model:
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        lines = []
        for entry in error.errors():
            key = _path(source.data, entry["loc"])
            text = entry["msg"]
            if entry["type"] == "extra_forbidden":
                text = f"unknown key{nearest(str(key[-1]), _names(model, entry['loc']))}"
            elif entry["type"] == "missing":
                key = (*key, entry["loc"][-1])
                text = "is missing"
            elif entry["type"] in ("union_tag_invalid", "union_tag_not_found"):
                key, known = (*key, "kind"), entry["ctx"].get("expected_tags", "").replace("'", "").split(", ")
                tag = str(entry["ctx"].get("tag", ""))
                text = f"no kind {tag!r}{nearest(tag, known)}; there are {', '.join(known)}" if tag else "is missing"
            elif entry["type"] == "literal_error" and isinstance(entry["input"], str):
                allowed = entry["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
                text += nearest(entry["input"], allowed)
            lines.append(f"{source.place(key)}: {'.'.join(map(str, key))}: {text}")
        raise RecipeError("\n".join(dict.fromkeys(lines))) from None


def _path(data: Any, location: Sequence[str | int]) -> _Key:
    """The key behind pydantic's location, which names the branches of unions, too."""
    out: list[str | int] = []
    for step in location:
        inside = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if inside or (isinstance(data, dict) and step in data):
            data = data[step]
            out.append(step)
    return tuple(out)


def _names(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that may stand where an unknown one stands."""
    parts = _PARTS if model is Recipe else _PARTS | _SCALES
    for step in reversed(location[:-1]):
        if isinstance(step, str) and step in parts and (len(location) > 1):
            return list(parts[step].model_fields)
    return list(model.model_fields)
