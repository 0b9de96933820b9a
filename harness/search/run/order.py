"""Which problems a search in rounds works on, so that a resumed one forms the same batches.

Rounds are a function of the problems, the window and the batch size that they began with. Until all of these problems
are finished, the search goes on with the same ones; then others may follow, without those that are done.

    order.json    rounds, asked or arrived: in which order half-done trees are told results
    rounds.json   window, batch size and digest of the problems; segments written before; whether all are finished
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from harness.errors import SearchMismatch
from harness.journal import write_whole
from harness.records import Problem
from harness.search.store import Store

_FILE = "rounds.json"
_ORDERS = {
    "rounds": "a model in this process",
    "asked": "a server and results in the order of asking",
    "arrived": "a server and results as they come (--free)",
}


def enter(store: Store, order: str) -> None:
    """Say in which order the trees of ``store`` are told results; half done it must be the order they began with.

    Raises SearchMismatch.
    """
    file = store.folder / "order.json"
    old = json.loads(file.read_text())["order"] if file.exists() else order
    if old != order and store.unfinished:
        raise SearchMismatch(
            f"{store.folder}: half done with {_ORDERS[old]}, now with {_ORDERS[order]}; end it as it began, then the "
            "other may follow"
        )
    if old != order and old == "rounds":
        end(store)
    if old != order or not file.exists():
        write_whole(file, json.dumps({"order": order}) + "\n")


def begin(store: Store, problems: Sequence[Problem], window: int, batch: int) -> list[Problem]:
    """The problems of the rounds that ``store`` is in, or of new ones. Raises SearchMismatch."""
    file = store.folder / _FILE
    old = json.loads(file.read_text()) if file.exists() else None
    if old is None or old["done"]:
        store.compact()
        todo = [problem for problem in problems if problem.id not in store.finished]
        if todo:
            new = _described(todo, window, batch) | {"segments": store.segments, "done": False}
            write_whole(file, json.dumps(new) + "\n")
        return todo
    before = store.archived(old["segments"])
    todo = [problem for problem in problems if problem.id not in before]
    now = _described(todo, window, batch)
    said = {"problems": "problems", "window": "--window", "batch": "--concurrency", "digest": "problems"}
    different = dict.fromkeys(said[key] for key in now if now[key] != old[key])
    if different:
        raise SearchMismatch(
            f"{store.folder}: half done with other {' and '.join(different)}: {old['problems']} problems, "
            f"--window {old['window']}, --concurrency {old['batch']}; end it with those, then others may follow"
        )
    return todo


def end(store: Store) -> None:
    """Every problem of these rounds is finished."""
    file = store.folder / _FILE
    if file.exists():
        write_whole(file, json.dumps(json.loads(file.read_text()) | {"done": True}) + "\n")


def _described(problems: Sequence[Problem], window: int, batch: int) -> dict[str, object]:
    names = "\x1f".join(problem.id for problem in problems)
    digest = hashlib.sha256(names.encode()).hexdigest()[:16]
    return {"problems": len(problems), "digest": digest, "window": window, "batch": batch}
