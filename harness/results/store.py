"""The store of results: the one module that knows its layout.

``stages/<digest>`` is a finished stage with its ``done.json``, ``stages/<digest>.work`` one that is being made,
``stages/<digest>.lock`` the lock of who makes it. ``evals/<id>`` is an evaluation with its ``manifest.json``.
``recipes/<id>`` holds the ``run.json`` and the reports of a finished recipe, and ``wanted.json``, which names its
stages from its first moment on. ``reference`` holds what trainings computed of their reference models.
"""

from __future__ import annotations

import os
import platform
import shutil
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
        self.stages, self._recipes = folder / "stages", folder / "recipes"
        self._note = note
        self._noted: set[Path] = set()

    # --- stages of recipes

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
        write_whole(self.work(digest) / "done.json", result.model_dump_json(indent=1) + "\n")
        shutil.rmtree(self.stage(digest), ignore_errors=True)
        with about(self.stage(digest)):
            os.replace(self.work(digest), self.stage(digest))

    def results(self) -> Iterator[tuple[str, StageResult]]:
        """Digests and results of all finished stages."""
        for file, result in self._all("stages/*/done.json", StageResult):
            if not file.parent.name.endswith(".work"):
                yield file.parent.name, result

    # --- evaluations and runs of recipes

    def evaluation(self, run: str) -> Path:
        """The folder of an evaluation."""
        return self.folder / "evals" / run

    def evaluations(self) -> list[tuple[Path, Manifest]]:
        """Folders and manifests of finished evaluations, newest first."""
        every = [(file.parent, manifest) for file, manifest in self._all("evals/*/manifest.json", Manifest)]
        return sorted(every, key=lambda entry: entry[1].date, reverse=True)

    def save(self, record: RunRecord) -> Path:
        """Keep the record of a finished recipe; returns the file."""
        file = self._recipes / record.run / "run.json"
        write_whole(file, record.model_dump_json(indent=1) + "\n")
        return file

    def recipes(self) -> list[tuple[Path, RunRecord]]:
        """Folders and records of finished recipes, newest first."""
        every = sorted(
            self._all("recipes/*/run.json", RunRecord),
            key=lambda entry: (entry[1].manifest.date, entry[0].stat().st_mtime_ns),
            reverse=True,
        )
        return [(file.parent, record) for file, record in every]

    def begun(self) -> Iterator[tuple[Path, Wanted]]:
        """Folders of recipes that began, finished or not, with the stages they want."""
        for file, wanted in self._all("recipes/*/wanted.json", Wanted):
            yield file.parent, wanted

    def recipe_folders(self) -> set[Path]:
        """Folders of all recipes that finished or began, readable or not."""
        return {file.parent for name in ("run", "wanted") for file in self._recipes.glob(f"*/{name}.json")}

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
        folder = self._recipes / run
        lock = filelock.FileLock(folder / "wanted.lock")
        with about(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / "wanted.json", wanted.model_dump_json(indent=1) + "\n")
            with suppress(filelock.Timeout):  # the same recipe in another process holds it, and wants the same stages
                lock.acquire(timeout=1)
        try:
            yield
        finally:
            lock.release()

    def is_running(self, run: str) -> bool:
        """Whether a process runs this recipe now."""
        import filelock

        file = self._recipes / run / "wanted.lock"
        if not file.exists():
            return False
        with about(file):
            try:
                with filelock.FileLock(file).acquire(timeout=0):
                    return False
            except filelock.Timeout:
                return True

    # --- reading

    def named(self, name: str, rooms: Iterable[str], files: Iterable[str], what: str) -> Path:
        """The folder of this path, or the one of ``rooms`` (stages, evals, recipes) whose name begins so.

        It holds one of ``files``, as each ``what`` does. Raises NoRuns and BadFile.
        """
        with about(name or self.folder):
            if name and any((Path(name) / file).is_file() for file in files):
                return Path(name)
            roots = [self.folder / room for room in rooms if name and "/" not in name]
            folders = [f for root in roots if root.is_dir() for f in root.iterdir() if f.name.startswith(name)]
            matching = sorted(f for f in folders if any((f / file).is_file() for file in files))
        if not matching:
            raise NoRuns(f"no {what} {name!r} in {self.folder}; 'harness runs ls' lists them, or give a run's folder")
        if len(matching) > 1:
            raise NoRuns(f"{name!r} begins several runs: {', '.join(f.name for f in matching[:6])}")
        return matching[0]

    def _all(self, pattern: str, model: type[_Model]) -> Iterator[tuple[Path, _Model]]:
        """All records of a kind with their files; those that cannot be read are noted once and passed over."""
        for file in sorted(self.folder.glob(pattern)):
            try:
                yield file, read_kept(file, model)
            except HarnessError as error:
                if file not in self._noted:
                    self._note(f"skipped: {error}")
                    self._noted.add(file)


def read_kept(file: Path, model: type[_Model]) -> _Model:
    """A record that a store keeps. Raises BadFile."""
    return read_record(file, model, "move its folder away, or run it again", unnumbered=SCHEMA)
