"""What comes with the project beside its code: tasks, recipes, published rows, measured rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
# Inside the wheel these stand in the package, in a checkout elsewhere beside it.
_CHECKOUT = {"reference": "results/reference", "rates.json": "results/rates.json"}


def shipped(name: str) -> Path:
    """The shipped folder or file ``name``: tasks, recipes, reference (published rows) or rates.json."""
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / _CHECKOUT.get(name, name)


def published_rows(name: str = "marco_o1_v2.table5") -> dict[str, Any]:
    """A published table as data: ``rows`` by arm and task, in percent."""
    return dict(json.loads((shipped("reference") / f"{name}.json").read_text(encoding="utf-8")))
