"""Append-only JSONL: every line is flushed, a torn last line is dropped on opening, one writer holds the lock.

A process killed at any moment loses at most the line it was writing.
"""

import json
import mmap
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import Incomplete, JournalBroken
from harness.files import about, reason_of

_Model = TypeVar("_Model", bound=BaseModel)
Row = dict[str, Any]  # of whatever the writer puts into it


def read(path: Path, whole: bool = False) -> Iterator[Row]:
    """Rows of a journal in order. A broken line raises JournalBroken, and in a ``whole`` file also a torn last one."""
    if path.exists():
        with about(path), path.open("rb") as file:
            yield from rows_of(file, path, whole)


def rows_of(lines: Iterable[bytes], path: Path, whole: bool = False) -> Iterator[Row]:
    """Rows of an opened journal; ``path`` is for messages."""
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            if whole:
                raise JournalBroken(f"{path}: the last line has no end; was the file cut or edited?")
            return
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _broken(path, number, f"not JSON ({getattr(error, 'msg', None) or str(error)[:80]})") from None
        if not isinstance(row, dict):
            raise _broken(path, number, "not a JSON object")
        yield row


def read_records(path: Path, model: type[_Model]) -> Iterator[_Model]:
    """Rows of a journal as records. Raises JournalBroken for rows of another shape."""
    for number, row in enumerate(read(path), 1):
        try:
            yield model.model_validate(row)
        except ValidationError as error:
            raise _broken(path, number, f"not a {model.__name__} of this version ({reason_of(error)})") from None


def _broken(path: Path, number: int, why: str) -> JournalBroken:
    return JournalBroken(
        f"{path}:{number}: {why}; the file was edited or the disk failed: delete that line to lose it alone, or move "
        "the file away to start afresh"
    )


def row_line(row: Row) -> str:
    """A row as its line of JSON."""
    return json.dumps(row, ensure_ascii=False) + "\n"


class Journal:
    """The writer of one journal file; a context manager. ``wait``: seconds to wait for another writer.

    ``torn``: bytes of a torn last line that were dropped when the journal was opened.
    """

    def __init__(self, path: Path, wait: float = 30.0) -> None:
        import filelock

        self.path = path
        with about(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(f"{path}.lock")
            try:
                self._lock.acquire(timeout=wait)
            except filelock.Timeout:
                raise Incomplete(f"{path}: another process is writing it; wait for it to end or stop it") from None
            self.torn = _drop_torn_line(path)
            self._file = path.open("a", encoding="utf-8")

    def append(self, rows: Iterable[Row], encode: Callable[[Row], str] = row_line) -> None:
        """Write rows, one line each as ``encode`` gives it, in one flush."""
        text = "".join(encode(row) for row in rows)
        with about(self.path):
            self._file.write(text)
            self._file.flush()

    @property
    def size(self) -> int:
        """Bytes of the journal."""
        return self._file.tell()

    def rewrite(self, rows: Iterable[Row]) -> None:
        """Put ``rows`` in the place of all that was written; a kill leaves the old journal or the new one."""
        write_rows(self.path, rows)
        self._file.close()
        self._file = self.path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Write what is left and give the lock back. Raises NotWritten."""
        try:
            with about(self.path):
                self._file.close()
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _drop_torn_line(path: Path) -> int:
    with path.open("ab+") as file:
        size = end = file.seek(0, os.SEEK_END)
        if size:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                end = content.rfind(b"\n") + 1
        if end < size:
            file.truncate(end)
        return size - end


@contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A file to write text into that takes the place of ``path`` when the context ends well, and vanishes otherwise.

    Readers see the old content or the new one, never a part. Raises NotWritten and BadFile.
    """
    with about(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")  # several hosts may share a folder
        try:
            with aside.open("w", encoding="utf-8") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that readers see the old content or the new one, never a part (write aside, then rename)."""
    with replacing(path) as file:
        file.write(text)


def check_writable(folder: Path) -> None:
    """Raise BadFile where nothing can be written, before hours of work find it out."""
    write_whole(folder / ".probe", "writable")
    (folder / ".probe").unlink()


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a whole JSONL file atomically, row by row."""
    with replacing(path) as file:
        file.writelines(map(row_line, rows))
