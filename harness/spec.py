"""Typed settings of a room, declared once, with meaning and unit: code, recipes and the command line read them here.

Fields marked ``how`` say how a result is computed and not what it is (addresses, batch sizes): they are no part of its
identity.
"""

import hashlib
import json
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field


class Spec(BaseModel):
    """Base of all settings: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def identity(self) -> dict[str, Any]:
        """What the result depends on, as plain JSON data: every field but those marked ``how``."""
        return dict(_identity(self))


def knob(
    default: Any, description: str, *, how: bool = False, option: str = "", hidden: bool = False,
    repeated: bool = False, **bounds: Any,
) -> Any:  # fmt: skip
    """A field of a spec. ``default`` ``...``: required.

    ``option``: its names on the command line, separated by commas, where they are not the field's own; "-": none.
    ``repeated``: a list whose option is given once for each value, instead of all in one string.
    ``bounds``: ge, gt, le, lt, min_length, as pydantic has them.
    """
    extra: dict[str, Any] = {"how": how, "option": option, "hidden": hidden, "repeated": repeated}
    return Field(default, description=description, json_schema_extra=extra, **bounds)


def _identity(value: Any) -> Any:
    if isinstance(value, Spec):
        marks = {name: cast(Any, field.json_schema_extra) or {} for name, field in type(value).model_fields.items()}
        return {name: _identity(getattr(value, name)) for name, mark in marks.items() if not mark.get("how")}
    if isinstance(value, dict):
        return {key: _identity(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_identity(each) for each in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def digest(*parts: Any, length: int = 16) -> str:
    """A short digest of JSON data and specs (of specs, their identity); equal for equal content."""
    text = json.dumps([_identity(part) for part in parts], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
