"""The store of runs as a whole: which recipes were run, how two runs differ, which stages nobody needs any more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.errors import NoRuns

# What differs between two runs of the same thing.
_PASSING = ("date", "seconds", "manifest.date", "manifest.seconds", "manifest.command", "run")


def recipes_of(store: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Finished recipes with their records, newest first."""
    found = [(file.parent, json.loads(file.read_text())) for file in (store / "recipes").glob("*/run.json")]
    return sorted(found, key=lambda entry: str(entry[1]["manifest"]["date"]), reverse=True)


def described(store: Path, name: str) -> tuple[Path, dict[str, Any]]:
    """Folder and record of a recipe's run or of an evaluation, by folder or first letters of the id. Raises NoRuns."""
    folders = [Path(name)] if Path(name).is_dir() else []
    if not folders and name and "/" not in name:
        folders = [f for room in ("recipes", "evals") for f in sorted((store / room).glob(f"{name}*"))]
    found = [(f, f / file) for f in folders for file in ("run.json", "manifest.json") if (f / file).is_file()]
    if not found:
        raise NoRuns(f"no finished recipe or evaluation {name!r} in {store}; 'harness runs ls' lists them")
    if len(found) > 1:
        raise NoRuns(f"{name!r} begins several runs: {', '.join(f.name for f, _ in found[:6])}")
    folder, file = found[0]
    try:
        return folder, dict(json.loads(file.read_text()))
    except (ValueError, TypeError) as error:
        raise NoRuns(f"{file}: broken ({error}); run it again, or move the folder away") from None


def flat(data: Any, above: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dots between the steps of a key; lists stay whole."""
    if not isinstance(data, dict):
        return {above: data}
    out: dict[str, Any] = {}
    for key, value in data.items():
        out |= flat(value, f"{above}.{key}" if above else str(key))
    return out


def differences(store: Path, a: str, b: str) -> list[tuple[str, Any, Any]]:
    """(key, value of a, value of b) for all that differs but dates and times. Raises NoRuns."""
    one, other = (_comparable(described(store, name)[1]) for name in (a, b))
    keys = dict.fromkeys((*one, *other))
    missing = "(none)"
    return [(k, one.get(k, missing), other.get(k, missing)) for k in keys if one.get(k) != other.get(k)]


def _comparable(data: dict[str, Any]) -> dict[str, Any]:
    """A record without times; stages under their names, so that equal ones meet whatever their digests are."""
    out = dict(data)
    manifest = dict(out.get("manifest", {}))
    stages = manifest.pop("stages", {})
    told = flat(out | ({"manifest": manifest} if manifest else {}))
    for digest, stage in stages.items():
        kept = {key: stage[key] for key in ("kind", "params", "models", "depends", "figures")}
        told |= flat({"stages": {stage["name"]: {"digest": digest, **kept}}})
    return {key: value for key, value in told.items() if key not in _PASSING}


def unused(store: Path) -> list[tuple[Path, str, int]]:
    """(folder, name, bytes) of stages that no finished recipe of this store was made from."""
    needed = {digest for _, data in recipes_of(store) for digest in data["manifest"].get("stages", {})}
    out = []
    for folder in sorted((store / "stages").glob("*")):
        digest = folder.name.removesuffix(".work")
        if folder.is_dir() and digest not in needed:
            done = folder / "done.json"
            name = json.loads(done.read_text())["name"] if done.exists() else "unfinished"
            out.append((folder, name, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())))
    return out


def collect(store: Path, stages: Iterable[tuple[Path, str, int]]) -> list[tuple[Path, str, int]]:
    """Delete these stages, but none that a process works on; returns what was deleted."""
    import filelock

    gone = []
    for folder, name, size in stages:
        lock = filelock.FileLock(f"{folder.parent / folder.name.removesuffix('.work')}.lock")
        try:
            with lock.acquire(timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except filelock.Timeout:
            continue
        gone.append((folder, name, size))
    return gone
