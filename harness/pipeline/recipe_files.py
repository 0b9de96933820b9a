"""Recipes and profiles from YAML: what they extend beneath them, ``--set`` above them, errors with their line."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel

from harness.errors import RecipeError, nearest
from harness.files import about, read_text, shipped
from harness.pipeline.recipe import Profile, Recipe, findings, profile_names, recipe_names
from harness.yaml_files import MOST_BYTES, Source, mapping, parse, validated

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


def load_recipe(name: str, settings: Iterable[str] = (), scale: Profile | None = None) -> Recipe:
    """A recipe by name or path, on what it ``extends``, under ``settings`` (``key=value``, dots between steps).

    ``scale``: a profile, whose ``stages`` lie between the recipe and the settings. Raises RecipeError with all that is
    wrong, one finding a line.
    """
    source = _extended(Recipe, find(name, "recipe"), ())
    if scale is not None:
        _scaled(source, scale)
    recipe = _validated(Recipe, source, settings)
    if lines := [f"{source.place(*key)}: {text}" for key, text in findings(recipe)]:
        raise RecipeError("\n".join(lines))
    return recipe.spread()


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
        over, field = source.data.get(key), model.model_fields.get(key)
        # Of stages, models and sections, entries are merged; all else is replaced.
        merged = field is not None and (key in ("stages", "models") or isinstance(field.annotation, type))
        if merged and isinstance(below, dict) and isinstance(over, dict):
            whole[key] = below | over
    claims, arms = under.data.get("claims"), whole.get("arms")  # claims are kept where both their arms are
    if isinstance(claims, dict) and isinstance(arms, dict) and "claims" not in source.data:
        whole["claims"] = {
            n: c for n, c in claims.items() if not isinstance(c, dict) or {c.get("arm"), c.get("against")} <= {*arms}
        }
    return Source(name=source.name, data=whole, places=under.places | source.places)


def _scaled(source: Source, scale: Profile) -> None:
    """Put the keys that a profile gives to stages of the recipe's in their places."""
    stages = source.data.get("stages")
    for name, keys in scale.stages.items() if isinstance(stages, dict) else ():
        if isinstance(stage := stages.get(name), dict):
            stages[name] = stage | keys
            source.places |= {("stages", name, key): f"profile {scale.name}: stages.{name}" for key in keys}


def _parsed(path: Path) -> Source:
    with about(path):
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise RecipeError(f"{path}: no file, or larger than {MOST_BYTES:,} bytes; no recipe is")
    return mapping(read_text(path), str(path), "recipe")


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
    for place in [place for place in source.places if place[: len(steps)] == tuple(steps)]:
        del source.places[place]  # what stood in the file is gone
    source.places[tuple(steps)] = label


def _validated(model: type[_Model], source: Source, settings: Iterable[str]) -> _Model:
    for setting in settings:
        _set(source, setting)
    return validated(model, source)
