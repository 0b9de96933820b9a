"""Every kind of stage, one module each. ``all_kinds`` finds the modules of this package by itself."""

import importlib
import pkgutil
from functools import cache

from harness.errors import Incomplete
from harness.pipeline.kind import Kind


@cache
def all_kinds() -> dict[str, Kind]:
    """Kinds by name: the class that each module of this package defines."""
    kinds = {}
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, Kind) and each.__module__ == module.__name__:
                kinds[each.name] = each()
    return kinds


def kind_of(name: str) -> Kind:
    """The kind of this name. Raises Incomplete for one that this version of harness does not have."""
    if name not in all_kinds():
        raise Incomplete(f"no kind of stage {name!r}; there are {', '.join(all_kinds())}")
    return all_kinds()[name]
