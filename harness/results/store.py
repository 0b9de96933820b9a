"""The store of runs as a whole: which recipes were run, how two runs differ, which stages nobody needs any more."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from harness.errors import HarnessError, NoRuns
from harness.files import about, read_record
from harness.journal import write_whole
from harness.results.records import SCHEMA, Manifest, RunRecord, StageResult, Wanted
import json
import shutil
from typing import Any

_Model = TypeVar("_Model", bound=BaseModel)


class Store:
    """The results in ``folder``. ``note`` receives one line for each file that a listing had to skip."""

    def __init__(self, folder: Path, note: Callable[[str], None] = lambda text: None) -> None:
        self.folder = folder
        self.note = note
        self._noted: set[Path] = set()

    # --- stages of recipes

    @property
    def stages(self) -> Path:
        return self.folder / "stages"

    @property
    def reference(self) -> Path:
        return self.folder / "reference"

    def stage(self, digest: str) -> Path:
        """The folder of a finished stage."""
        return self.stages / digest

    def work(self, digest: str) -> Path:
        """The folder of a stage while it is made."""
        return self.stages / f"{digest}.work"

    def lock(self, digest: str) -> Path:
        """The file that is locked while a stage is made or deleted."""
        return self.stages / f"{digest}.lock"

    def log(self, digest: str) -> Path:
        """What a stage that is being made, or failed, has printed."""
        return self.work(digest) / "log.txt"

    def result(self, digest: str) -> StageResult | None:
        """What came out of a stage; None where it is not finished. Raises BadFile."""
        file = self.stage(digest) / "done.json"
        return read_record(file, StageResult, "delete its folder to make the stage again") if file.exists() else None

    def finish(self, digest: str, result: StageResult) -> None:
        """Make the stage's working folder a finished one."""
        import shutil

        write_whole(self.work(digest) / "done.json", result.model_dump_json(indent=1) + "\n")
        shutil.rmtree(self.stage(digest), ignore_errors=True)
        with about(self.stage(digest)):
            os.replace(self.work(digest), self.stage(digest))

    def results(self) -> Iterator[tuple[str, StageResult]]:
        """Digests and results of all finished stages."""
        for file in sorted(self.stages.glob("*/done.json")):
            result = self._readable(file, StageResult)
            if result is not None and not file.parent.name.endswith(".work"):
                yield file.parent.name, result

    # --- evaluations

    def evaluation(self, run: str) -> Path:
        """The folder of an evaluation."""
        return self.folder / "evals" / run

    def evaluations(self) -> list[tuple[Path, Manifest]]:
        """Folders and manifests of finished evaluations, newest first."""
        files = (self.folder / "evals").glob("*/manifest.json")
        found = [(f.parent, manifest) for f in files if (manifest := self._readable(f, Manifest)) is not None]
        return sorted(found, key=lambda entry: entry[1].date, reverse=True)

    # --- runs of recipes

    def recipe(self, run: str) -> Path:
        """The folder of a recipe's run."""
        return self.folder / "recipes" / run

    def record(self, run: str) -> Path:
        """The record of a recipe's run: a file that is there once it is finished."""
        return self.recipe(run) / "run.json"

    def save(self, record: RunRecord) -> Path:
        """Keep the record of a finished recipe; returns the file."""
        write_whole(self.record(record.run), record.model_dump_json(indent=1) + "\n")
        return self.record(record.run)

    def recipes(self) -> list[tuple[Path, RunRecord]]:
        """Folders and records of finished recipes, newest first."""
        files = (self.folder / "recipes").glob("*/run.json")
        found = [(f, record) for f in files if (record := self._readable(f, RunRecord)) is not None]
        found.sort(key=lambda entry: (entry[1].manifest.date, entry[0].stat().st_mtime_ns), reverse=True)
        return [(file.parent, record) for file, record in found]

    @contextmanager
    def wanting(self, run: str, digests: Iterable[str], command: str = "") -> Iterator[None]:
        """While a recipe runs: ``runs gc`` keeps these stages. To be entered before the first of them is looked at.

        After a run that was stopped or that failed they are kept for some days, so that it can go on.
        """
        import filelock

        wanted = Wanted(
            digests=list(digests), command=command, host=platform.node(), pid=os.getpid(),
            date=datetime.now(UTC).replace(microsecond=0),
        )  # fmt: skip
        lock = filelock.FileLock(self.wanted_lock(run))
        with about(self.recipe(run)):
            self.recipe(run).mkdir(parents=True, exist_ok=True)
            write_whole(self.recipe(run) / "wanted.json", wanted.model_dump_json(indent=1) + "\n")
            try:
                lock.acquire(timeout=1)
            except filelock.Timeout:  # by the same recipe in another process, which wants the same stages
                pass
        try:
            yield
        finally:
            lock.release()

    def wanted_lock(self, run: str) -> Path:
        """The file that is locked while a recipe runs."""
        return self.recipe(run) / "wanted.lock"

    def is_running(self, run: str) -> bool:
        """Whether a process runs this recipe now."""
        import filelock

        if not self.wanted_lock(run).exists():
            return False
        with about(self.wanted_lock(run)):
            try:
                with filelock.FileLock(self.wanted_lock(run)).acquire(timeout=0):
                    return False
            except filelock.Timeout:
                return True

    def recipe_folders(self) -> list[Path]:
        """Folders of all recipes that finished or began, readable or not."""
        files = (self.folder / "recipes").glob("*/*.json")
        return sorted({file.parent for file in files if file.name in ("run.json", "wanted.json")})

    def begun(self) -> Iterator[tuple[Path, Wanted]]:
        """Folders of recipes that began, finished or not, with the stages they want."""
        for file in sorted((self.folder / "recipes").glob("*/wanted.json")):
            wanted = self._readable(file, Wanted)
            if wanted is not None:
                yield file.parent, wanted

    # --- names

    def named(self, name: str, *rooms: str) -> list[Path]:
        """Folders of ``rooms`` (stages, evals, recipes) whose name begins with ``name``; none for an empty name."""
        if not name or "/" in name:
            return []
        with about(self.folder):
            folders = [f for room in rooms if (self.folder / room).is_dir() for f in (self.folder / room).iterdir()]
        return sorted(f for f in folders if f.name.startswith(name) and f.is_dir())

    def _readable(self, file: Path, model: type[_Model]) -> _Model | None:
        """A record of a listing; a file that cannot be read is noted and passed over."""
        try:
            return read_kept(file, model)
        except HarnessError as error:
            if file not in self._noted:
                self.note(f"skipped: {error}")
                self._noted.add(file)
            return None


def read_kept(file: Path, model: type[_Model]) -> _Model:
    """A record that a store keeps. Raises BadFile."""
    return read_record(file, model, "move its folder away, or run it again", unnumbered=SCHEMA)


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
