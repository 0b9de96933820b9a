"""The store of results: this module alone knows its layout.

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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from harness.errors import HarnessError, NoRuns
from harness.files import about, read_record
from harness.journal import write_whole
from harness.records import Record
from harness.results.records import SCHEMA, Manifest, RunRecord, StageResult, Wanted

_Model = TypeVar("_Model", bound=BaseModel)


class StageFolder(Record):
    """A stage, or what a stopped one left. ``why``: for what it is kept; empty: nobody needs it."""

    folder: Path
    name: str
    bytes: int
    why: str

    @property
    def digest(self) -> str:
        return self.folder.name.removesuffix(".work")


class Store:
    """The results in ``folder``. ``note`` receives one line for each file that a listing had to skip."""

    def __init__(self, folder: Path, note: Callable[[str], None] = lambda text: None) -> None:
        self.folder = folder
        self.stages, self._recipes = folder / "stages", folder / "recipes"
        self._note = note
        self._noted: set[Path] = set()

    # --- stages of recipes

    def stage(self, digest: str) -> Path:
        return self.stages / digest

    def work(self, digest: str) -> Path:
        return self.stages / f"{digest}.work"

    def lock(self, digest: str) -> Path:
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
        for folder, result in self._all("stages/*/done.json", StageResult):
            if not folder.name.endswith(".work"):
                yield folder.name, result

    # --- evaluations and runs of recipes

    def evaluation(self, run: str) -> Path:
        return self.folder / "evals" / run

    def evaluations(self) -> list[tuple[Path, Manifest]]:
        """Folders and manifests of finished evaluations, newest first."""
        every = self._all("evals/*/manifest.json", Manifest)
        return sorted(every, key=lambda entry: entry[1].date, reverse=True)

    def save(self, record: RunRecord) -> Path:
        """Keep the record of a finished recipe; returns the file."""
        file = self._recipes / record.run / "run.json"
        write_whole(file, record.model_dump_json(indent=1) + "\n")
        return file

    def recipes(self) -> list[tuple[Path, RunRecord]]:
        """Folders and records of finished recipes, newest first."""
        every = self._all("recipes/*/run.json", RunRecord)
        return sorted(every, key=lambda e: (e[1].manifest.date, (e[0] / "run.json").stat().st_mtime_ns), reverse=True)

    @contextmanager
    def wanting(self, run: str, digests: Iterable[str], command: str = "") -> Iterator[None]:
        """While a recipe runs, and some days after it failed, ``runs gc`` keeps these stages. To be entered first."""
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
        with about(file), suppress(filelock.Timeout), filelock.FileLock(file, timeout=0):
            return False
        return True

    # --- stages that nobody needs

    def stage_folders(self, days: float) -> list[StageFolder]:
        """All stages. Recipes that began but did not finish keep theirs for ``days``, and while they run."""
        why = self._reasons(days)
        folders = sorted(self.stages.iterdir()) if self.stages.is_dir() else []
        out = []
        for folder in filter(Path.is_dir, folders):
            size = 0
            for file in folder.rglob("*"):
                with suppress(FileNotFoundError):  # it vanished meanwhile
                    size += file.stat().st_size if file.is_file() else 0
            try:
                result = None if folder.name.endswith(".work") else self.result(folder.name)
                name = "unfinished" if result is None else result.name
            except HarnessError:
                name = "unreadable"
            out.append(StageFolder(folder=folder, name=name, bytes=size, why=why(folder)))
        return out

    def collect(self, stages: Iterable[StageFolder], days: float) -> list[StageFolder]:
        """Delete these stages, but none that a process works on or that is needed by now; returns what was deleted."""
        import filelock

        deleted = []
        for stage in stages:
            with about(stage.folder), suppress(filelock.Timeout), filelock.FileLock(self.lock(stage.digest), timeout=0):
                if not self._reasons(days)(stage.folder):
                    shutil.rmtree(stage.folder)
                    deleted.append(stage)
        return deleted

    def _reasons(self, days: float) -> Callable[[Path], str]:
        """Why the stage in a folder is kept, by that folder; empty where it need not be."""
        kept: dict[str, str] = {}
        finished = self.recipes()
        readable = {folder for folder, _ in finished}
        for folder, wanted in self._all("recipes/*/wanted.json", Wanted):
            begun, why = f"wanted by '{wanted.command}', begun {wanted.date:%Y-%m-%d %H:%M}", ""
            if folder in readable:
                continue
            if (folder / "run.json").exists():
                why = f"of run {folder.name}, whose record cannot be read"
            elif datetime.now(UTC) - wanted.date < timedelta(days=days):
                why = f"{begun}, which did not finish yet"
            elif self.is_running(folder.name):
                why = f"{begun}, which is running"
            readable.add(folder)
            kept |= dict.fromkeys(wanted.digests, why) if why else {}
        for folder, record in finished:
            kept |= dict.fromkeys(record.manifest.stages, f"of recipe {record.title}, run {folder.name}")
        present = {file.parent for name in ("run", "wanted") for file in self._recipes.glob(f"*/{name}.json")}
        broken = sorted(present - readable)
        unreadable = f"the record in {broken[0]} cannot be read, and may name it" if broken else ""

        def why_kept(folder: Path) -> str:
            working = folder.name.endswith(".work")
            return kept.get(folder.name.removesuffix(".work"), "" if working else unreadable)

        return why_kept

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
        """All records of a kind with their folders; those that cannot be read are noted once and passed over."""
        for file in sorted(self.folder.glob(pattern)):
            try:
                yield file.parent, read_kept(file, model)
            except HarnessError as error:
                if file not in self._noted:
                    self._note(f"skipped: {error}")
                    self._noted.add(file)


def read_kept(file: Path, model: type[_Model]) -> _Model:
    """A record that a store keeps. Raises BadFile."""
    return read_record(file, model, "move its folder away, or run it again", unnumbered=SCHEMA)
