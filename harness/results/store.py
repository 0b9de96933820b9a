"""The store of results: the one module that knows its layout.

``stages/<digest>`` is a finished stage with its ``done.json``, ``stages/<digest>.work`` one that is being made,
``stages/<digest>.lock`` the lock of who makes it. ``evals/<id>`` is an evaluation with its ``manifest.json``.
``recipes/<id>`` holds the ``run.json`` and the reports of a finished recipe, and ``wanted.json``, which names its
stages from its first moment on. ``reference`` holds what trainings computed of their reference models.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from harness.errors import HarnessError, NoRuns
from harness.files import about, read_record
from harness.journal import write_whole
from harness.results.records import SCHEMA, Manifest, RunRecord, StageResult, Wanted

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
            with suppress(filelock.Timeout):  # the same recipe in another process holds it, and wants the same stages
                lock.acquire(timeout=1)
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


def unique(found: list[Path], name: str, missing: str) -> Path:
    """The one folder that ``name`` begins. Raises NoRuns, with ``missing`` where there is none."""
    if not found:
        raise NoRuns(missing)
    if len(found) > 1:
        raise NoRuns(f"{name!r} begins several runs: {', '.join(f.name for f in found[:6])}")
    return found[0]
