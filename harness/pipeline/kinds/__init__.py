"""Every kind of stage, one module each. ``all_kinds`` finds the modules of this package by itself."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from harness.errors import Incomplete
from harness.pipeline.kind import Kind


@cache
def all_kinds() -> dict[str, Kind]:
    """Kinds by name: of each module of this package, its ``KIND``."""
    kinds = (importlib.import_module(f"{__name__}.{module.name}").KIND for module in pkgutil.iter_modules(__path__))
    return {kind.name: kind for kind in kinds}


def kind_of(name: str) -> Kind:
    """The kind of this name. Raises Incomplete for one that this version of harness does not have."""
    if name not in all_kinds():
        raise Incomplete(f"no kind of stage {name!r}; there are {', '.join(all_kinds())}")
    return all_kinds()[name]
