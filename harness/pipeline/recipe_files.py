"""Recipes and profiles from YAML: what they extend beneath them, ``--set`` above them, errors with their line."""

import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from harness.errors import RecipeError, nearest
from harness.files import about, read_text, shipped
from harness.pipeline.recipe import Profile, Recipe, findings, profile_names, recipe_names

_Model = TypeVar("_Model", bound=BaseModel)
Key = tuple[str | int, ...]
MOST_BYTES, MOST_NODES, MOST_DEPTH = 1_000_000, 20_000, 40
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # both make plain data alone
_LONGEST = 200  # characters of a name


@dataclass(kw_only=True)
class Source:
    """Plain data, and the place (``file:line``) of each key by its path."""

    name: str
    data: Any
    places: dict[Key, str]

    def place(self, *key: str | int) -> str:
        """Where a key stands, or the nearest of the keys that hold it."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, self.name)


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
    """A recipe by name or path, on what it ``extends``, under ``settings`` (``key=value``, dots between steps).

    Raises RecipeError with all that is wrong, one finding a line.
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


def _parsed(path: Path) -> Source:
    with about(path):
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise RecipeError(f"{path}: no file, or larger than {MOST_BYTES:,} bytes; no recipe is")
    source = parse(read_text(path), str(path))
    if not isinstance(source.data, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys, this file is not")
    if odd := [key for key in source.data if not isinstance(key, str)]:
        raise RecipeError(f"{path}: {odd[0]!r} is no key of a recipe")
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
                tag, known = str(entry["ctx"]["tag"]), entry["ctx"]["expected_tags"].replace("'", "")
                key, text = (*key, "kind"), f"no kind {tag!r}{nearest(tag, known.split(', '))}; there are {known}"
            elif entry["type"] == "literal_error" and isinstance(entry["input"], str):
                text += nearest(entry["input"], re.findall("'(.*?)'", entry["ctx"]["expected"]))
            lines.append(f"{source.place(*key)}: {'.'.join(map(str, key))}: {text}")
        raise RecipeError("\n".join(dict.fromkeys(lines))) from None


def _path(data: Any, location: Sequence[str | int]) -> Key:
    """The key behind pydantic's location, which names the branches of unions, too."""
    out: list[str | int] = []
    for step in location:
        with suppress(LookupError, TypeError):
            data = data[step]
            out.append(step)
    return tuple(out)


def _names(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that may stand where an unknown one stands: fields are followed, branches of unions, and chosen keys."""
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


def parse(text: str, name: str) -> Source:
    """The data of a YAML text. Raises RecipeError for other text, a key that stands twice, a text too large or deep."""
    if len(text) > MOST_BYTES:
        raise RecipeError(f"{name}: larger than {MOST_BYTES:,} characters; no recipe is")
    loader = _LOADER(text)
    try:
        _within_bounds(text, name)
        node = loader.get_single_node()
        places: dict[Key, str] = {}
        _note(node, (), places, name)
        return Source(name=name, data=None if node is None else loader.construct_document(node), places=places)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"{name}: not YAML: {' '.join(str(error).split())[:200]}") from None
    finally:
        loader.dispose()


def _within_bounds(text: str, name: str) -> None:
    """Raise RecipeError for too many nodes, also behind aliases, or levels, without building any."""
    sizes: dict[str | None, int] = {}  # nodes behind an anchor, once they are known
    open_: list[tuple[str | None, int]] = []  # collections that have begun: (anchor, nodes counted before)
    count, wrong = 0, ""
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            count += sizes.get(event.anchor, 0)
            if event.anchor not in sizes:
                wrong = f"alias *{event.anchor} stands inside of what it names, or for nothing"
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            sizes[anchor] = count - before
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, count))
            count += 1
        elif isinstance(event, yaml.ScalarEvent):
            sizes[event.anchor] = 1
            count += 1
        if count > MOST_NODES:
            wrong = f"more than {MOST_NODES:,} keys and values; no recipe has as many"
        if len(open_) > MOST_DEPTH:
            wrong = f"more than {MOST_DEPTH} levels deep; no recipe is"
        if wrong:
            raise RecipeError(f"{name}:{event.start_mark.line + 1 if event.start_mark else 0}: {wrong}")


def _note(node: Any, key: Key, places: dict[Key, str], name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        before = set()
        for head, value in node.value:
            place, step = f"{name}:{head.start_mark.line + 1}", (*key, str(head.value))
            if step in before and head.value != "<<":
                raise RecipeError(f"{place}: {'.'.join(map(str, step))} stands here a second time; keep one")
            before.add(step)
            places[step] = place
            _note(value, step, places, name)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            places[*key, number] = f"{name}:{value.start_mark.line + 1}"
            _note(value, (*key, number), places, name)
