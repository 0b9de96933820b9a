"""Which problems a search in rounds works on, so that a resumed one forms the same batches.

Rounds are a function of the problems, the window and the batch size that they began with. Until all of these problems
are finished, the search goes on with the same ones; then others may follow, without those that are done.

    order.json    rounds, asked or arrived: in which order half-done trees receive results
    rounds.json   window, batch size and digest of the problems; segments written before; whether all are finished
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pydantic import BaseModel

from harness.errors import SearchMismatch
from harness.files import read_record
from harness.journal import write_whole
from harness.records import Problem
from harness.search.store import Store

_EDITED = "was it edited?"
_ORDERS = {
    "rounds": "a model in this process",
    "asked": "a server and results in the order of asking",
    "arrived": "a server and results as they come (--free)",
}


class Order(BaseModel):
    """The content of order.json."""

    order: str


class Rounds(BaseModel):
    """The content of rounds.json."""

    problems: int
    digest: str
    window: int
    batch: int
    segments: int
    done: bool


def enter(store: Store, order: str) -> None:
    """Write down in which order the trees of ``store`` receive results. Raises SearchMismatch for half-done others."""
    file = store.folder / "order.json"
    old = read_record(file, Order, _EDITED).order if file.exists() else ""
    if old == order:
        return
    if old and store.unfinished:
        raise SearchMismatch(
            f"{store.folder}: half done with {_ORDERS.get(old, old)}, now with {_ORDERS[order]}; end it as it began, "
            "then the other may follow"
        )
    if old == "rounds":
        end(store)
    write_whole(file, Order(order=order).model_dump_json() + "\n")


def begin(store: Store, problems: Sequence[Problem], window: int, batch: int) -> list[Problem]:
    """The problems of the rounds that ``store`` is in, or of new ones. Raises SearchMismatch."""
    old = _read(store)
    new = old is None or old.done
    if new:
        store.compact()
    segments = store.segments if old is None or new else old.segments
    before = store.finished if new else store.archived(segments)
    todo = [problem for problem in problems if problem.id not in before]
    digest = hashlib.sha256("\x1f".join(problem.id for problem in todo).encode()).hexdigest()[:16]
    now = Rounds(problems=len(todo), digest=digest, window=window, batch=batch, segments=segments, done=False)
    if old is None or new:
        if todo:
            _write(store, now)
        return todo
    names = {"problems": "problems", "window": "--window", "batch": "--concurrency", "digest": "problems"}
    different = dict.fromkeys(names[key] for key in names if getattr(now, key) != getattr(old, key))
    if different:
        raise SearchMismatch(
            f"{store.folder}: half done with other {' and '.join(different)}: {old.problems} problems, "
            f"--window {old.window}, --concurrency {old.batch}; end it with those, then others may follow"
        )
    return todo


def end(store: Store) -> None:
    """Every problem of these rounds is finished."""
    if rounds := _read(store):
        _write(store, rounds.model_copy(update={"done": True}))


def _read(store: Store) -> Rounds | None:
    file = store.folder / "rounds.json"
    return read_record(file, Rounds, _EDITED) if file.exists() else None


def _write(store: Store, rounds: Rounds) -> None:
    write_whole(store.folder / "rounds.json", rounds.model_dump_json() + "\n")
