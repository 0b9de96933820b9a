"""The tiny models that come with the project, and how model names are resolved."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import ModelError

PREFIX = "shipped:"


def folder() -> Path:
    return Path(__file__).parent.parent / "assets" / "tiny"


def names() -> list[str]:
    return sorted(path.parent.name for path in folder().glob("*/model.safetensors"))


def resolve(name: str) -> str:
    """``shipped:NAME`` as a path; anything else is a local path (``~`` is expanded) or a hub name.

    Raises ModelError for a shipped model or a folder that is not there.
    """
    name = os.path.expanduser(name)
    if not name.startswith(PREFIX):
        if name.startswith((".", "/", "~")) and not Path(name).is_dir():
            raise ModelError(f"{name}: no such folder; give a model's folder, a name on the hub, or {PREFIX}NAME")
        return name
    path = folder() / name.removeprefix(PREFIX)
    if not (path / "model.safetensors").exists():
        raise ModelError(f"{name}: no such shipped model; there are {', '.join(PREFIX + n for n in names()) or 'none'}")
    return str(path)
