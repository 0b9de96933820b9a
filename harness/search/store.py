"""A search on disk: an append-only journal of results, and segments of finished trees.

    journal.jsonl        one line per begun problem, per expansion with its verdict, per finished problem
    trees-000000.jsonl   finished problems, one per line with all its results; written whole, then renamed
    search.json          what the search is: grammar, goals, policy, seed, models
    order.json           in which order its trees are told results (epoch)

The tree is the fold of its lines. Compaction moves finished problems from the journal into a new segment; killed
between its two steps it leaves a problem in both, and the segment counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from harness.errors import JournalBroken, SearchMismatch
from harness.journal import Journal, read, rows_of, write_rows, write_whole
from harness.records import Problem
from harness.search.grammar.schema import Grammar
from harness.search.tree.core import Reward, Tree
from harness.search.tree.nodes import Goals, Result
from harness.search.tree.policies import POLICIES

COMPACT_BYTES = 16 << 20


@dataclass(frozen=True)
class Settings:
    """All that a tree depends on beside its problem, so that a folder can be read by itself.

    ``models`` maps a role to what identifies its model. ``in_flight``: expansions of one tree at once.
    """

    grammar: Grammar
    goals: Goals
    policy: str = "mcts"
    seed: int = 0
    in_flight: int = 4
    reward: Reward = "verdict"
    models: dict[str, str] = field(default_factory=dict)

    def tree(self, problem: str, prompt_tokens: int = 0) -> Tree:
        from harness.models.base import seed_of

        seed = seed_of(self.seed, problem)
        if self.policy == "original":
            from harness.search.tree.marco_o1 import OriginalTree

            return OriginalTree(self.grammar, self.goals, seed, prompt_tokens)
        whole = self.policy == "chain_first"
        return Tree(self.grammar, self.goals, seed, POLICIES[self.policy], prompt_tokens, self.reward, whole)

    def dump(self) -> dict[str, Any]:
        data = asdict(self) | {"grammar": self.grammar.model_dump()}
        return dict(json.loads(json.dumps(data)))

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Settings:
        return cls(**data | {"grammar": Grammar.model_validate(data["grammar"]), "goals": Goals(**data["goals"])})


@dataclass
class Stored:
    """One problem of a search: its record, its rows in the order of writing, and why it ended ("" if it has not)."""

    problem: Problem
    prompt_tokens: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    why: str = ""

    def fold(self, settings: Settings) -> Tree:
        """The tree that these rows make."""
        tree = settings.tree(self.problem.id, self.prompt_tokens)
        if settings.policy == "original":
            known = {row["node"]: row for row in self.rows}
            while (asked := tree.ask()) is not None and asked.node in known:
                tree.tell(asked.node, result(known[asked.node]))
            return tree
        for row in self.rows:
            tree.tell(row["node"], result(row))
        return tree


class Store:
    """The writer of one search folder; a context manager. Raises SearchMismatch and JournalBusy on entering.

    ``finished``: ids of the problems that are done. ``torn``: bytes of a torn last line that were dropped.
    """

    def __init__(self, folder: Path, settings: Settings, wait: float = 30.0) -> None:
        self.folder = folder
        self.settings = settings
        self._wait = wait

    def __enter__(self) -> Store:
        self.folder.mkdir(parents=True, exist_ok=True)
        if next(self.folder.glob("*/search.json"), None):
            raise SearchMismatch(f"{self.folder}: holds the shards of a search; give their --shards, or another folder")
        self._journal = Journal(self.folder / "journal.jsonl", self._wait)
        self.torn, self._kept = self._journal.torn, 0
        try:
            self._same_search()
            # What each problem says, as a hash: of 100,000 problems the texts would not fit.
            self._says = {
                e["problem"]["id"]: _says(Problem.model_validate(e["problem"])) for e in _segments(self.folder)
            }
            self._archived = set(self._says)
            journalled = _journalled(self.folder, self._archived)
            self._says |= {name: _says(stored.problem) for name, stored in journalled.items()}
            self._unfinished = {name: stored for name, stored in journalled.items() if not stored.why}
            self.finished = self._archived | (journalled.keys() - self._unfinished.keys())
        except BaseException:
            self._journal.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._journal.close()

    def _same_search(self) -> None:
        file, mine = self.folder / "search.json", self.settings.dump()
        empty = not self._journal.size and not any(self.folder.glob("trees-*.jsonl"))
        if not file.exists() or empty:
            write_whole(file, json.dumps(mine, indent=1) + "\n")
            return
        different = _different(_settings(file), mine)
        if different:
            raise SearchMismatch(
                f"{self.folder}: holds a search with other settings ({'; '.join(different[:4])}); use another folder"
            )

    def earlier(self, problem: str) -> list[dict[str, Any]]:
        """Rows that an interrupted run left of a problem; they are handed out once."""
        found = self._unfinished.pop(problem, None)
        return found.rows if found else []

    @property
    def unfinished(self) -> bool:
        """Whether an earlier run left a problem half done."""
        return bool(self._unfinished)

    @property
    def segments(self) -> int:
        return len(list(self.folder.glob("trees-*.jsonl")))

    def archived(self, segments: int) -> set[str]:
        """Ids of the problems in the first so many segments."""
        return {entry["problem"]["id"] for entry in _segments(self.folder, segments)}

    def checked(self, problem: Problem) -> Problem:
        """``problem``, which must be the one that is stored under its id, if any. Raises SearchMismatch."""
        if self._says.setdefault(problem.id, _says(problem)) != _says(problem):
            raise SearchMismatch(
                f"{self.folder}: problem {problem.id} is stored with another text, family or gold answer; use another "
                "folder"
            )
        return problem

    def begin(self, problem: Problem, prompt_tokens: int) -> None:
        self._journal.append([{"problem": problem.id, "record": problem.model_dump(), "tokens": prompt_tokens}])

    def write(self, rows: list[dict[str, Any]]) -> None:
        self._journal.append(rows, _encoded)

    def finish(self, problem: str, why: str) -> None:
        self._journal.append([{"problem": problem, "done": why}])
        self.finished.add(problem)
        # Counted from the last compaction: what belongs to problems at work is not rewritten for each that ends.
        if self._journal.size > self._kept + COMPACT_BYTES:
            self.compact()

    def compact(self) -> None:
        """Move finished problems into a segment of their own."""
        found = _journalled(self.folder, self._archived)
        done = [stored for stored in found.values() if stored.why]
        if not done:
            return
        segments = sorted(self.folder.glob("trees-*.jsonl"))
        number = int(segments[-1].stem.rpartition("-")[2]) + 1 if segments else 0
        write_rows(self.folder / f"trees-{number:06d}.jsonl", map(_entry, done))
        self._archived |= {stored.problem.id for stored in done}
        self._journal.rewrite(row for stored in found.values() if not stored.why for row in _lines(stored))
        self._kept = self._journal.size


def _encoded(row: dict[str, Any]) -> str:
    """A result's line; it holds texts and whole numbers alone, which the faster library writes as json would."""
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE).decode()
    except TypeError:  # half of a surrogate pair
        return json.dumps(row) + "\n"


def _different(old: dict[str, Any], new: dict[str, Any], under: str = "") -> list[str]:
    """Every setting that two searches do not share, as "name: old, now new"."""
    out = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            out += _different(a, b, f"{under}{key}.")
        elif a != b:
            out.append(f"{under}{key}: {json.dumps(a)[:40]}, now {json.dumps(b)[:40]}")
    return out


def settings_of(folder: Path) -> Settings:
    """The settings of the search in ``folder``. Raises FileNotFoundError when there is none."""
    file = folder / "search.json"
    if not file.exists():
        raise FileNotFoundError(f"{folder}: holds no search (no search.json); 'harness search run' makes one")
    try:
        return Settings.parse(_settings(file))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, SearchMismatch):
            raise
        raise SearchMismatch(f"{file}: does not describe a search; was it edited?") from None


def _settings(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except (TypeError, ValueError) as error:
        raise SearchMismatch(f"{file}: does not describe a search ({error}); was it edited?") from None


def folders(root: Path) -> list[Path]:
    """The search itself, or its shards: every folder with a search at or under ``root``."""
    found = sorted(file.parent for file in root.glob("**/search.json"))
    if not found:
        raise FileNotFoundError(f"{root}: holds no search (no search.json); 'harness search run' makes one")
    return found


def trees(root: Path) -> Iterator[Stored]:
    """Every problem of a search and its shards, each once: finished ones first. Shards merge by this alone."""
    return (stored for _, stored in _merged(root))


def _merged(root: Path) -> Iterator[tuple[Path, Stored]]:
    seen: dict[str, Path] = {}
    for finished in (True, False):
        for folder in folders(root):
            for stored in own(folder):
                other = seen.get(stored.problem.id)
                # What was finished between the two passes counts in the second.
                if other is None and (stored.why or not finished):
                    seen[stored.problem.id] = folder
                    yield folder, stored
                elif other not in (None, folder) and settings_of(folder) != settings_of(other):
                    raise SearchMismatch(
                        f"problem {stored.problem.id} is in two searches, {other} and {folder}; name one of them"
                    )


def folded(root: Path) -> Iterator[tuple[Stored, Tree, Settings]]:
    """Every problem of a search and its shards with its tree."""
    settings = {folder: settings_of(folder) for folder in folders(root)}
    for folder, stored in _merged(root):
        yield stored, stored.fold(settings[folder]), settings[folder]


def own(folder: Path) -> Iterator[Stored]:
    """Every problem of one folder, without shards below it."""
    names = set()
    journal = folder / "journal.jsonl"
    # Opened first: what a running search moves into a segment meanwhile is still in this file.
    lines = journal.open("rb") if journal.exists() else None
    for entry in _segments(folder):
        names.add(entry["problem"]["id"])
        record = Problem.model_validate(entry["problem"])
        yield Stored(record, entry["tokens"], entry["rows"], entry["why"])
    if lines is not None:
        with lines:
            yield from _folded(rows_of(lines, journal), names).values()


def _says(problem: Problem) -> int:
    return hash((problem.family, problem.prompt, json.dumps(problem.gold, sort_keys=True)))


def _segments(folder: Path, first: int | None = None) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("trees-*.jsonl"))[:first]:
        yield from read(file)


def _journalled(folder: Path, without: set[str]) -> dict[str, Stored]:
    return _folded(read(folder / "journal.jsonl"), without)


def _folded(rows: Iterable[dict[str, Any]], without: set[str]) -> dict[str, Stored]:
    out: dict[str, Stored] = {}
    for row in rows:
        name = row.pop("problem")
        if name in without:
            continue
        if "record" in row:
            out.setdefault(name, Stored(Problem.model_validate(row["record"]), row["tokens"]))
        elif name not in out:
            raise JournalBroken(
                f"a journal has a result of problem {str(name)[:60]!r}, but not the problem; was it edited?"
            )
        elif "done" in row:
            out[name].why = row["done"]
        else:
            out[name].rows.append(row)
    return out


def _entry(stored: Stored) -> dict[str, Any]:
    record = stored.problem.model_dump()
    return {"problem": record, "tokens": stored.prompt_tokens, "why": stored.why, "rows": stored.rows}


def _lines(stored: Stored) -> Iterator[dict[str, Any]]:
    name = stored.problem.id
    yield {"problem": name, "record": stored.problem.model_dump(), "tokens": stored.prompt_tokens}
    for row in stored.rows:
        yield {"problem": name, **row}


def result(row: dict[str, Any]) -> Result:
    """A row of the journal as the tree takes it."""
    rest = tuple((part["kind"], result(part)) for part in row.get("rest", ()))
    verdict, reason, answer = (row.get(key, "") for key in ("verdict", "reason", "answer"))
    return Result(row["text"], tuple(row["ids"]), row["finish"], verdict, reason, answer, row.get("generated", 0), rest)
