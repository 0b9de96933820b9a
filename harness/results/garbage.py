"""Which stages of a store somebody needs, and deleting the others."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.errors import HarnessError
from harness.files import about
from harness.results.records import Wanted
from harness.results.store import Store


@dataclass(frozen=True, kw_only=True)
class StageFolder:
    """A stage, or what a stopped one left. ``why``: for what it is kept; empty: nobody needs it."""

    folder: Path
    name: str
    bytes: int
    why: str

    @property
    def digest(self) -> str:
        return self.folder.name.removesuffix(".work")


def stage_folders(store: Store, days: float) -> list[StageFolder]:
    """All stages of the store. Recipes that began but did not finish keep theirs for ``days``, and while they run."""
    needs = _Needs(store, days)
    folders = sorted(store.stages.iterdir()) if store.stages.is_dir() else []
    return [
        StageFolder(folder=folder, name=_name(store, folder), bytes=_size(folder), why=needs.why(folder))
        for folder in folders
        if folder.is_dir()
    ]


def collect(store: Store, stages: Iterable[StageFolder], days: float) -> list[StageFolder]:
    """Delete these stages, but none that a process works on or that is needed by now; returns what was deleted."""
    import filelock

    deleted = []
    for stage in stages:
        with about(stage.folder), suppress(filelock.Timeout), filelock.FileLock(store.lock(stage.digest), timeout=0):
            if not _Needs(store, days).why(stage.folder):
                shutil.rmtree(stage.folder)
                deleted.append(stage)
    return deleted


class _Needs:
    """Why stages are needed. ``unreadable``: why any finished one may be, where a recipe's record cannot be read."""

    def __init__(self, store: Store, days: float) -> None:
        self.kept: dict[str, str] = {}
        finished = store.recipes()
        readable = {folder for folder, _ in finished}
        for folder, wanted in store.begun():
            why = _unfinished(store, folder, wanted, days) if folder not in readable else ""
            readable.add(folder)
            if why:
                self.kept |= dict.fromkeys(wanted.digests, why)
        for folder, record in finished:
            self.kept |= dict.fromkeys(record.manifest.stages, f"of recipe {record.title}, run {folder.name}")
        broken = sorted(store.recipe_folders() - readable)
        self.unreadable = f"the record in {broken[0]} cannot be read, and may name it" if broken else ""

    def why(self, folder: Path) -> str:
        """Why the stage in this folder is kept; empty where it need not be."""
        working = folder.name.endswith(".work")
        return self.kept.get(folder.name.removesuffix(".work"), "" if working else self.unreadable)


def _unfinished(store: Store, folder: Path, wanted: Wanted, days: float) -> str:
    """Why the stages of a recipe that began are kept; empty where they need not be."""
    if (folder / "run.json").exists():
        return f"of run {folder.name}, whose record cannot be read"
    begun = f"'{wanted.command}', begun {wanted.date:%Y-%m-%d %H:%M}"
    if datetime.now(UTC) - wanted.date < timedelta(days=days):
        return f"wanted by {begun}, which did not finish yet"
    return f"wanted by {begun}, which is running" if store.is_running(folder.name) else ""


def _name(store: Store, folder: Path) -> str:
    try:
        result = None if folder.name.endswith(".work") else store.result(folder.name)
    except HarnessError:
        return "unreadable"
    return "unfinished" if result is None else result.name


def _size(folder: Path) -> int:
    """Bytes of all files beneath; files that vanish meanwhile count nothing."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += file.stat().st_size if file.is_file() else 0
    return total
