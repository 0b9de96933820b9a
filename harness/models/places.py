"""Where a model lies and in which form: a folder, a PEFT adapter's, a .gguf file, a name on the hub with its commit."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from harness.errors import ModelError
from harness.files import read_json

PREFIX = "shipped:"
GGUF = ".gguf"
ADAPTER = "adapter_config.json"


def folder() -> Path:
    return Path(__file__).parent.parent / "assets" / "tiny"


def names() -> list[str]:
    return sorted(path.parent.name for path in folder().glob("*/model.safetensors"))


def resolve(name: str) -> str:
    """``shipped:NAME`` as a path; anything else is a local path (``~`` is expanded) or a hub name, NAME@REVISION.

    Raises ModelError for a shipped model or a folder that is not there, and for a revision of what is no hub name.
    """
    name = os.path.expanduser(name)
    if not name.startswith(PREFIX):
        local, _, revision = name.rpartition("@")
        if revision and not Path(name).exists() and Path(local or "@").exists():
            raise ModelError(f"{local}: a revision ({revision}) is of a name on the hub, and this is a path")
        if name.startswith((".", "/", "~")) and not (Path(name).is_dir() or is_gguf(name)):
            what = "file" if name.endswith(GGUF) else "folder"
            raise ModelError(f"{name}: no such {what}; give a model's folder, a name on the hub, or {PREFIX}NAME")
        return name
    path = folder() / name.removeprefix(PREFIX)
    if not (path / "model.safetensors").exists():
        raise ModelError(f"{name}: no such shipped model; there are {', '.join(PREFIX + n for n in names()) or 'none'}")
    return str(path)


def is_gguf(path: str) -> bool:
    return path.endswith(GGUF) and Path(path).is_file()


def trainable(path: str) -> str:
    """The path itself. Raises ModelError for a .gguf file, whose weights are rounded for inference."""
    if is_gguf(path):
        raise ModelError(f"{path}: a {GGUF} file cannot be trained; give the folder or hub name it was made from")
    return path


def source(path: str) -> tuple[str, dict[str, str]]:
    """What transformers' ``from_pretrained`` is told of a path or hub name: the place, and options.

    Raises ModelError for a .gguf file that cannot be read here.
    """
    if is_gguf(path):
        if find_spec("gguf") is None:
            raise ModelError(f"{path}: reading it needs the package gguf; install it: pip install gguf")
        return str(Path(path).parent), {"gguf_file": Path(path).name}
    name, _, revision = path.rpartition("@")
    return (path, {}) if not name or Path(path).exists() else (name, {"revision": revision})


def adapted(path: str) -> str | None:
    """The base model of a folder that holds a PEFT adapter and no model; None for any other place.

    Raises ModelError where the adapter names no base, or one that is not there.
    """
    place = Path(path)
    if not (place / ADAPTER).is_file() or (place / "config.json").exists():
        return None
    data = read_json(place / ADAPTER)
    base = data.get("base_model_name_or_path") if isinstance(data, dict) else None
    if not base or not isinstance(base, str):
        raise ModelError(f"{place / ADAPTER}: names no base model; set base_model_name_or_path")
    if (revision := data.get("revision")) and not Path(base).exists():
        base = f"{base}@{revision}"
    try:
        base = resolve(base)
    except ModelError as error:
        why = f"its base model is missing, see base_model_name_or_path in {ADAPTER}"
        raise ModelError(f"{path}: {why}: {error}") from None
    if Path(base).resolve() == place.resolve():
        raise ModelError(f"{place / ADAPTER}: names itself as its base model")
    return base


def commit_of(name: str) -> str | None:
    """The commit of NAME or NAME@REVISION: as named, or as the local cache of the hub holds it. No network."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    name, options = source(name)
    revision = options.get("revision")
    if revision and re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    with suppress(HFValidationError):  # no name of the hub
        for file in ("config.json", "tokenizer_config.json"):
            if isinstance(path := try_to_load_from_cache(name, file, revision=revision), str):
                return Path(path).parent.name  # the cache's snapshots are named by commit
    return None
