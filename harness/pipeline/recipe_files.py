"""Recipes and profiles from YAML: what they extend beneath them, ``--set`` above them, errors with their line."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import RecipeError, nearest
from harness.files import about, read_text, shipped
from harness.pipeline.recipe import Profile, Recipe, findings, profile_names, recipe_names
from harness.pipeline.yaml_text import MOST_BYTES, Key, Source, parse

_Model = TypeVar("_Model", bound=BaseModel)
_LONGEST = 200  # characters of a name


def find(name: str, kind: Literal["recipe", "profile"]) -> Path:
    """The file of a recipe or profile given by name or path."""
    if name.endswith((".yaml", ".yml")):
        with about(name):
            if not Path(name).exists():
                raise RecipeError(f"{name}: no such file")
        return Path(name)
    known = recipe_names() if kind == "recipe" else profile_names()
    if name not in known:
        text = f"no {kind} {name!r}{nearest(name, known)}; there are {', '.join(known)}, or give a path ending in .yaml"
        if kind == "recipe" and name in profile_names():
            begins = "a file that extends a profile begins with 'kind: profile'"
            text = f"{name} is a profile: give a recipe, and --profile {name}; {begins}"
        raise RecipeError(text)
    return shipped("recipes") / ("profiles" if kind == "profile" else "") / f"{name}.yaml"


def load_recipe(name: str, settings: Iterable[str] = ()) -> Recipe:
    """A recipe by name or path, with what it ``extends`` beneath it: stages are merged, other keys replaced.

    ``settings``: ``key=value`` with dots between steps. Claims of the extended recipe are kept where both their arms
    are. Raises RecipeError with all that is wrong, one finding a line.
    """
    source = _extended(Recipe, find(name, "recipe"), ())
    recipe = _validated(Recipe, source, settings)
    if lines := [f"{source.place(*key)}: {text}" for key, text in findings(recipe)]:
        raise RecipeError("\n".join(lines))
    return recipe


def load_profile(name: str, settings: Iterable[str] = ()) -> Profile:
    """A profile by name or path, as load_recipe reads recipes."""
    return _validated(Profile, _extended(Profile, find(name, "profile"), ()), settings)


def is_profile(name: str) -> bool:
    """Whether a name or file is a profile's and not a recipe's: its file says ``kind: profile``."""
    if name.endswith((".yaml", ".yml")):
        return bool(_parsed(find(name, "recipe")).data.get("kind") == "profile")
    return name in profile_names() and name not in recipe_names()


def split_settings(settings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of the recipe, and those that begin with ``profile.`` (without it)."""
    start = "profile."
    return [s for s in settings if not s.startswith(start)], [s[len(start) :] for s in settings if s.startswith(start)]


def _extended(model: type[_Model], path: Path, above: tuple[Path, ...]) -> Source:
    if path in above:
        raise RecipeError(f"{path}: extends itself, by way of {', '.join(p.name for p in above)}")
    source = _parsed(path)
    parent = source.data.pop("extends", None)
    if parent is None:
        return source
    place = source.place("extends")
    if not isinstance(parent, str) or len(parent) > _LONGEST:
        raise RecipeError(f"{place}: extends: give one name or path")
    try:
        beside = path.parent / f"{parent}.yaml"
        base = beside if beside.exists() else find(parent, "recipe" if model is Recipe else "profile")
    except RecipeError as error:
        raise RecipeError(f"{place}: {error}") from None
    under = _extended(model, base, (*above, path))
    whole = under.data | source.data
    for key, below in under.data.items():
        over = source.data.get(key)
        if isinstance(below, dict) and isinstance(over, dict) and key in model.model_fields:
            annotation = model.model_fields[key].annotation
            # Of stages, models and sections, entries are merged; all else is replaced.
            if key in ("stages", "models") or isinstance(annotation, type):
                whole[key] = below | over
    claims, arms = under.data.get("claims"), whole.get("arms")
    if isinstance(claims, dict) and isinstance(arms, dict) and "claims" not in source.data:
        whole["claims"] = {
            n: c for n, c in claims.items() if not isinstance(c, dict) or {c.get("arm"), c.get("against")} <= {*arms}
        }
    return Source(name=source.name, data=whole, places=under.places | source.places)


def _parsed(path: Path) -> Source:
    with about(path):
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise RecipeError(f"{path}: no file, or larger than {MOST_BYTES:,} bytes; no recipe is")
    source = parse(read_text(path), str(path))
    if not isinstance(source.data, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys, this file is not")
    for key in source.data:
        if not isinstance(key, str):
            raise RecipeError(f"{path}: {key!r} is no key of a recipe")
    return source


def _set(source: Source, setting: str) -> None:
    key, sign, text = setting.partition("=")
    label, steps = f"--set {setting[:200]}", key.strip().split(".")
    if not sign or not all(steps):
        raise RecipeError(f"{label}: write key=value, with dots between the steps of a key")
    try:
        value = parse(text, label).data
    except RecipeError:
        raise RecipeError(f"{label}: {text[:200]!r} is no YAML value") from None
    at = source.data
    for number, step in enumerate(steps[:-1]):
        below = at.get(step)
        if isinstance(below, str) and steps[0] in ("models", "arms") and number == 1:
            below = {"model": below}  # the long form of a name
        if below is not None and not isinstance(below, dict):
            raise RecipeError(f"{label}: {'.'.join(steps[: number + 1])} holds no keys")
        at[step] = at = dict(below or {})
    at[steps[-1]] = value
    source.places[tuple(steps)] = label


def _validated(model: type[_Model], source: Source, settings: Iterable[str]) -> _Model:
    for setting in settings:
        _set(source, setting)
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        lines = []
        for entry in error.errors():
            key, text = _path(source.data, entry["loc"]), entry["msg"].removeprefix("Value error, ")
            if entry["type"] == "extra_forbidden":
                text = f"unknown key{nearest(str(key[-1]), _names(model, entry['loc']))}"
            elif entry["type"] == "missing":
                key, text = (*key, entry["loc"][-1]), "is missing"
            elif entry["type"] == "union_tag_not_found":
                key, text = (*key, "kind"), "is missing"
            elif entry["type"] == "union_tag_invalid":
                tag, known = entry["ctx"]["tag"], entry["ctx"]["expected_tags"].replace("'", "")
                key, text = (*key, "kind"), f"no kind {tag!r}{nearest(tag, known.split(', '))}; there are {known}"
            elif entry["type"] == "literal_error" and isinstance(entry["input"], str):
                allowed = entry["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
                text += nearest(entry["input"], allowed)
            lines.append(f"{source.place(*key)}: {'.'.join(map(str, key))}: {text}")
        raise RecipeError("\n".join(dict.fromkeys(lines))) from None


def _path(data: Any, location: Sequence[str | int]) -> Key:
    """The key behind pydantic's location, which names the branches of unions, too."""
    out: list[str | int] = []
    for step in location:
        inside = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if inside or (isinstance(data, dict) and step in data):
            data = data[step]
            out.append(step)
    return tuple(out)


def _names(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that may stand where an unknown one stands: location's steps are followed through the fields.

    A step is a field, or the branch of a union by the name of its class or its kind, or a key that the user chose.
    """
    at = [model]
    for step in location[:-1]:
        fields = [each.model_fields[str(step)] for each in at if step in each.model_fields]
        below = [inner for field in fields for inner in _models(field.annotation)]
        at = below or [each for each in at if step in _branches(each)] or at
    return [name for each in at for name in each.model_fields]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models(inner)


def _branches(model: type[BaseModel]) -> tuple[Any, ...]:
    kind = model.model_fields.get("kind")
    return (model.__name__, *typing.get_args(kind.annotation if kind else None))
