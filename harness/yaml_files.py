"""YAML that users write (recipes, profiles, grammars): its data with the line of each key, and its faults by line."""

import re
import typing
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from harness.errors import RecipeError, nearest

_Model = TypeVar("_Model", bound=BaseModel)
Key = tuple[str | int, ...]
MOST_BYTES, MOST_NODES, MOST_DEPTH = 1_000_000, 20_000, 40
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # both make plain data alone


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


def validated(model: type[_Model], source: Source) -> _Model:
    """The record that a source describes. Raises RecipeError: a line for each finding, with place and nearest name."""
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        lines = []
        for entry in error.errors():
            if entry["type"] == "string_type" and entry["loc"][-1] == "str" and isinstance(entry["input"], dict):
                continue  # the long form of a name, whose own faults are told
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


def mapping(text: str, name: str, what: str) -> Source:
    """The keys of a file that holds one ``what`` (a recipe, a grammar). Raises RecipeError as parse does."""
    source = parse(text, name)
    if not isinstance(source.data, dict):
        raise RecipeError(f"{name}: a {what} is a mapping of keys, this file is not")
    if odd := [key for key in source.data if not isinstance(key, str)]:
        raise RecipeError(f"{name}: {odd[0]!r} is no key of a {what}")
    return source


def parse(text: str, name: str) -> Source:
    """The data of a YAML text. Raises RecipeError for other text, a key that stands twice, a text too large or deep."""
    if len(text) > MOST_BYTES:
        raise RecipeError(f"{name}: larger than {MOST_BYTES:,} characters; none of these files is")
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
            wrong = f"more than {MOST_NODES:,} keys and values; none of these files has as many"
        if len(open_) > MOST_DEPTH:
            wrong = f"more than {MOST_DEPTH} levels deep; none of these files is"
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
