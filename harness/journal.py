"""Append-only JSONL: every line is flushed, a torn last line is dropped on opening, one writer holds the lock.

A process killed at any moment loses at most the line it was writing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any


class JournalBroken(ValueError):
    """A journal holds something that is no row; the message says where and what to do."""


class JournalBusy(RuntimeError):
    """Another process writes this journal."""


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a journal in order. A torn last line is passed over; a broken line elsewhere raises JournalBroken."""
    if path.exists():
        with path.open("rb") as file:
            yield from rows_of(file, path)


def read_whole(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a finished file: a last line without its end raises JournalBroken, too, for rows after it may be gone."""
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                raise JournalBroken(f"{path}: the last line has no end; was the file cut or edited?")
    yield from read(path)


def rows_of(lines: Iterable[bytes], path: Path) -> Iterator[dict[str, Any]]:
    """Rows of an opened journal; ``path`` is for messages."""
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            return
        try:
            yield json.loads(line)
        except ValueError as error:
            raise JournalBroken(
                f"{path}:{number}: not JSON ({getattr(error, 'msg', 'not UTF-8')}); the file was edited or the disk "
                "failed: move it away to start afresh"
            ) from None


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


class Journal:
    """The writer of one journal file; a context manager. ``wait``: seconds to wait for another writer.

    ``torn``: bytes of a torn last line that were dropped when the journal was opened.
    """

    def __init__(self, path: Path, wait: float = 30.0) -> None:
        import filelock

        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(f"{path}.lock")
        try:
            self._lock.acquire(timeout=wait)
        except filelock.Timeout:
            raise JournalBusy(f"{path}: another process is writing it; wait for it to end or stop it") from None
        before = path.stat().st_size if path.exists() else 0
        self._drop_torn_line()
        self.torn = before - (path.stat().st_size if path.exists() else 0)
        self._file = path.open("a", encoding="utf-8")

    def _drop_torn_line(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb+") as file:
            end = file.seek(0, os.SEEK_END)
            while end > 0:
                start = max(0, end - 65536)
                file.seek(start)
                cut = file.read(end - start).rfind(b"\n")
                if cut >= 0:
                    file.truncate(start + cut + 1)
                    return
                end = start
            file.truncate(0)

    def append(self, rows: Iterable[dict[str, Any]], encode: Callable[[dict[str, Any]], str] = _line) -> None:
        """Write rows, one line each as ``encode`` gives it, in one flush."""
        self._file.write("".join(encode(row) for row in rows))
        self._file.flush()

    @property
    def size(self) -> int:
        """Bytes of the journal."""
        return self._file.tell()

    def rewrite(self, rows: Iterable[dict[str, Any]]) -> None:
        """Put ``rows`` in the place of all that was written; a kill leaves the old journal or the new one."""
        write_rows(self.path, rows)
        self._file.close()
        self._file = self.path.open("a", encoding="utf-8")

    def close(self) -> None:
        self._file.close()
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def write_whole(path: Path, text: str) -> None:
    """Write a file so that readers see the old content or the new one, never a part (write aside, then rename)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write a whole JSONL file atomically; returns the number of rows."""
    lines = [_line(row) for row in rows]
    write_whole(path, "".join(lines))
    return len(lines)
