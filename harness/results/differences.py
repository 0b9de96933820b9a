"""What a stored run is, key by key, and in what two of them differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.files import about
from harness.results.records import Manifest, RunRecord
from harness.results.store import Store, read_kept, unique

# What differs between two runs of the same thing.
_PASSING = ("date", "seconds", "manifest.date", "manifest.seconds", "manifest.command", "run")


def described(store: Store, name: str) -> tuple[Path, RunRecord | Manifest]:
    """Folder and record of a recipe's run or of an evaluation, by folder or first letters of the id.

    Raises NoRuns and BadFile.
    """
    with about(name):
        folders = [Path(name)] if name and Path(name).is_dir() else store.named(name, "recipes", "evals")
        folders = [f for f in folders if (f / "run.json").is_file() or (f / "manifest.json").is_file()]
    missing = f"no finished recipe or evaluation {name!r} in {store.folder}; 'harness runs ls' lists them"
    folder = unique(folders, name, missing)
    record = folder / "run.json"
    return folder, read_kept(record, RunRecord) if record.is_file() else read_kept(folder / "manifest.json", Manifest)


def flat(data: Any, above: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dots between the steps of a key; lists stay whole."""
    if not isinstance(data, dict):
        return {above: data}
    out: dict[str, Any] = {}
    for key, value in data.items():
        out |= flat(value, f"{above}.{key}" if above else str(key))
    return out


def differences(store: Store, a: str, b: str) -> list[tuple[str, Any, Any]]:
    """(key, value of a, value of b) for all that differs but dates and times. Raises NoRuns and BadFile."""
    one, other = (_comparable(described(store, name)[1]) for name in (a, b))
    keys = dict.fromkeys((*one, *other))
    missing = "(none)"
    return [(k, one.get(k, missing), other.get(k, missing)) for k in keys if one.get(k) != other.get(k)]


def _comparable(record: RunRecord | Manifest) -> dict[str, Any]:
    """A record without times; stages under their names, so that equal ones meet whatever their digests are."""
    if isinstance(record, Manifest):
        out = flat(record.known())
    else:
        out = flat(record.model_dump(mode="json", exclude_unset=True, exclude={"manifest": {"stages"}}))
        for digest, stage in record.manifest.stages.items():
            kept = stage.model_dump(mode="json", include={"kind", "params", "models", "depends", "figures"})
            out |= flat({"stages": {stage.name: {"digest": digest, **kept}}})
    return {key: value for key, value in out.items() if key not in _PASSING}
