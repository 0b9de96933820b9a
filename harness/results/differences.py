"""What a stored run is, key by key, and in what two of them differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.results.records import Manifest, RunRecord
from harness.results.store import Store, read_kept

# What differs between two runs of the same thing.
_PASSING = ("date", "seconds", "manifest.date", "manifest.seconds", "manifest.command", "run")


def described(store: Store, name: str) -> tuple[Path, RunRecord | Manifest]:
    """Folder and record of a recipe's run or of an evaluation, by folder or first letters of the id.

    Raises NoRuns and BadFile.
    """
    files = ("run.json", "manifest.json")
    folder = store.named(name, ("recipes", "evals"), files, "finished recipe or evaluation")
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
    keys = [k for k in dict.fromkeys((*one, *other)) if k not in _PASSING and one.get(k) != other.get(k)]
    return [(k, one.get(k, "(none)"), other.get(k, "(none)")) for k in keys]


def _comparable(record: RunRecord | Manifest) -> dict[str, Any]:
    """Stages under their names, so that equal ones meet whatever their digests are."""
    if isinstance(record, Manifest):
        return flat(record.known())
    stages = {
        stage.name: {"digest": digest, **stage.model_dump(mode="json", exclude={"name", "inputs", "seconds"})}
        for digest, stage in record.manifest.stages.items()
    }
    rest = record.model_dump(mode="json", exclude_unset=True, exclude={"manifest": {"stages"}})
    return flat({**rest, "stages": stages})
