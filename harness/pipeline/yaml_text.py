"""YAML of recipes and profiles: data with the line of each key, and bounds that a file of any content keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from harness.errors import RecipeError

Key = tuple[str | int, ...]
MOST_BYTES, MOST_NODES, MOST_DEPTH = 1_000_000, 20_000, 40
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # both make plain data alone


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


def parse(text: str, name: str) -> Source:
    """The data of a YAML text; ``name``: of its file, or where else it comes from.

    Raises RecipeError for what is not YAML, a key that stands twice, and a text that is too large or too deep, also
    once its aliases are replaced by what they stand for.
    """
    if len(text) > MOST_BYTES:
        raise RecipeError(f"{name}: larger than {MOST_BYTES:,} characters; no recipe is")
    loader = _Loader(text)
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
    """Raise RecipeError for too many nodes or levels, without building any."""
    sizes: dict[str, int] = {}  # nodes behind an anchor, once they are known
    open_: list[tuple[str | None, int]] = []  # collections that have begun: (anchor, nodes counted before)
    count = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                text = f"alias *{event.anchor} stands inside of what it names, or for nothing"
                raise RecipeError(f"{name}:{line}: {text}")
            count += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = count - before
        elif isinstance(event, yaml.NodeEvent):
            count += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append((event.anchor, count - 1))
            elif event.anchor:
                sizes[event.anchor] = 1
        if count > MOST_NODES:
            raise RecipeError(f"{name}:{line}: more than {MOST_NODES:,} keys and values; no recipe has as many")
        if len(open_) > MOST_DEPTH:
            raise RecipeError(f"{name}:{line}: more than {MOST_DEPTH} levels deep; no recipe is")


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
