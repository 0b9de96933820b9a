"""A search on disk: an append-only journal of results, and segments of finished trees.

    journal.jsonl        one line per begun problem, per expansion with its verdict, per finished problem
    trees-000000.jsonl   finished problems, one per line with all its results; written whole, then renamed
    search.json          what the search is: grammar, goals, policy, seed, models (``Settings``)
    order.json           in which order its trees receive results (``order``)

The tree is the fold of its lines. Compaction moves finished problems from the journal into a new segment; killed
between its two steps it leaves a problem in both, and the segment counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import orjson

from harness.errors import BadFile, JournalBroken, SearchMismatch
from harness.files import about, read_record
from harness.journal import Journal, read, rows_of, write_rows, write_whole
from harness.models.base import seed_of
from harness.records import Problem
from harness.search import rows as lines
from harness.search.grammar.schema import Grammar
from harness.search.rows import NodeRow, Stored
from harness.search.spec import Goals
from harness.search.tree.core import Reward, Tree
from harness.search.tree.marco_o1 import OriginalTree
from harness.search.tree.policies import POLICIES
from harness.spec import Spec, knob

COMPACT_BYTES = 16 << 20
# Where a problem is: in memory (from a journal), or file, number and offset of its line.
_Place = Stored | tuple[Path, int, int]


class Settings(Spec):
    """What a search is, on disk: all that a tree depends on beside its problem. ``names`` are for readers alone."""

    schema_version: int = 1
    grammar: Grammar
    goals: Goals
    policy: str = "mcts"
    seed: int = 0
    in_flight: int = knob(4, "Nodes of a tree at once.")
    reward: Reward = "verdict"
    models: dict[str, str] = knob({}, "What identifies each role's model: a digest of its weights.")
    names: dict[str, str] = knob({}, "What each role's model was called on the command line.", how=True)

    def tree(self, problem: str, prompt_tokens: int = 0) -> Tree:
        """The tree of a problem, with nothing written yet."""
        seed = seed_of(self.seed, problem)
        if self.policy == "original":
            return OriginalTree(self.grammar, self.goals, seed=seed, prompt_tokens=prompt_tokens)
        return Tree(
            self.grammar, self.goals, seed=seed, policy=POLICIES[self.policy], prompt_tokens=prompt_tokens,
            reward=self.reward, whole=self.policy == "chain_first",
        )  # fmt: skip

    def fold(self, stored: Stored) -> Tree:
        """The tree that the rows of a problem make."""
        tree = self.tree(stored.problem.id, stored.prompt_tokens)
        if self.policy == "original":
            known = {row["node"]: row for row in stored.rows}
            while (asked := tree.ask()) is not None and asked.node in known:
                tree.tell(asked.node, lines.result(known[asked.node]))
            return tree
        for row in stored.rows:
            tree.tell(row["node"], lines.result(row))
        return tree

    def differences(self, other: Settings) -> list[str]:
        """Every setting that two searches do not share, as "name: this one's, now the other's"."""
        ours, others = (each.model_dump(mode="json", exclude={"names"}) for each in (self, other))
        return _different(ours, others)


def _different(old: dict[str, Any], new: dict[str, Any], under: str = "") -> list[str]:
    out = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            out += _different(a, b, f"{under}{key}.")
        elif a != b:
            out.append(f"{under}{key}: {json.dumps(a)[:40]}, now {json.dumps(b)[:40]}")
    return out


class Store:
    """The writer of one search folder; a context manager. Raises SearchMismatch and Incomplete on entering.

    ``finished``: ids of the problems that are done. ``torn``: bytes of a torn last line that were dropped.
    """

    def __init__(self, folder: Path, settings: Settings, wait: float = 30.0) -> None:
        self.folder = folder
        self.settings = settings
        self._wait = wait

    def __enter__(self) -> Store:
        with about(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if next(self.folder.glob("*/search.json"), None):
            raise SearchMismatch(f"{self.folder}: holds the shards of a search; give their --shards, or another folder")
        self._journal = Journal(self.folder / "journal.jsonl", self._wait)
        self.torn, self._kept = self._journal.torn, 0
        try:
            self._same_search()
            # The text of each problem, as a hash: of 100,000 problems the texts would not fit.
            self._texts = {stored.problem.id: _text(stored.problem) for _, stored in _segments(self.folder)}
            self._archived = set(self._texts)
            journalled = self._journalled()
            self._texts |= {name: _text(stored.problem) for name, stored in journalled.items()}
            self._unfinished = {name: stored for name, stored in journalled.items() if not stored.why}
            self.finished = self._archived | (journalled.keys() - self._unfinished.keys())
        except BaseException:
            self._journal.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._journal.close()

    def _same_search(self) -> None:
        file = self.folder / "search.json"
        if not file.exists() or not (self._journal.size or self.segments):
            write_whole(file, self.settings.model_dump_json(indent=1) + "\n")
        elif different := settings_of(self.folder).differences(self.settings):
            raise SearchMismatch(
                f"{self.folder}: holds a search with other settings ({'; '.join(different[:4])}); use another folder"
            )

    def _journalled(self) -> dict[str, Stored]:
        file = self.folder / "journal.jsonl"
        return lines.of_journal(read(file), file, self._archived)

    def earlier(self, problem: str) -> list[NodeRow]:
        """Rows that an interrupted run left of a problem; they are handed out once."""
        stored = self._unfinished.pop(problem, None)
        return stored.rows if stored else []

    @property
    def unfinished(self) -> bool:
        """Whether an earlier run left a problem half done."""
        return bool(self._unfinished)

    @property
    def segments(self) -> int:
        """Number of segments written so far."""
        return len(_segment_files(self.folder))

    def archived(self, segments: int) -> set[str]:
        """Ids of the problems in the first so many segments."""
        return {stored.problem.id for _, stored in _segments(self.folder, segments)}

    def checked(self, problem: Problem) -> Problem:
        """``problem``, which must be the one that is stored under its id, if any. Raises SearchMismatch."""
        if self._texts.setdefault(problem.id, _text(problem)) != _text(problem):
            raise SearchMismatch(
                f"{self.folder}: problem {problem.id} is stored with another text, family or gold answer; use another "
                "folder"
            )
        return problem

    def begin(self, problem: Problem, prompt_tokens: int) -> None:
        """Write down that work on a problem begins."""
        self._journal.append([_begun(problem, prompt_tokens)])

    def write(self, rows: Iterable[tuple[str, NodeRow]]) -> None:
        """Append rows, each with the id of its problem, in one flush. Raises NotWritten."""
        self._journal.append(({"problem": problem, **row} for problem, row in rows), _encoded)

    def finish(self, problem: str, why: str) -> None:
        """Write down that a problem is done."""
        self._journal.append([{"problem": problem, "done": why}])
        self.finished.add(problem)
        # Counted from the last compaction: what belongs to problems at work is not rewritten for each that ends.
        if self._journal.size > self._kept + COMPACT_BYTES:
            self.compact()

    def compact(self) -> None:
        """Move finished problems into a segment of their own."""
        journalled = self._journalled().values()
        done = [stored for stored in journalled if stored.why]
        if not done:
            return
        files = _segment_files(self.folder)
        number = int(files[-1].stem.rpartition("-")[2]) + 1 if files else 0
        write_rows(self.folder / f"trees-{number:06d}.jsonl", (stored.entry() for stored in done))
        self._archived |= {stored.problem.id for stored in done}
        self._journal.rewrite(row for stored in journalled if not stored.why for row in _journal_lines(stored))
        self._kept = self._journal.size


def _begun(problem: Problem, prompt_tokens: int) -> dict[str, Any]:
    return {"problem": problem.id, "record": problem.model_dump(), "tokens": prompt_tokens}


def _journal_lines(stored: Stored) -> Iterator[dict[str, Any]]:
    yield _begun(stored.problem, stored.prompt_tokens)
    for row in stored.rows:
        yield {"problem": stored.problem.id, **row}


def _encoded(row: Mapping[str, Any]) -> str:
    """A result's line; it holds texts and whole numbers alone, which the faster library writes as json would."""
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE).decode()
    except TypeError:  # half of a surrogate pair
        return json.dumps(row) + "\n"


def _text(problem: Problem) -> int:
    return hash((problem.family, problem.prompt, json.dumps(problem.gold, sort_keys=True)))


def settings_of(folder: Path) -> Settings:
    """The settings of the search in ``folder``. Raises BadFile for a file of another version."""
    return read_record(folder / "search.json", Settings, "it does not describe a search; was it edited?")


class Forest:
    """The trees of searches and their shards, read one at a time and in any order. ``ids``: the problems, sorted.

    Holds where each finished problem's line is, and what is still in the journals. Of a problem in several shards the
    finished one counts. Raises BadFile without a search, SearchMismatch for a problem in two different searches.
    """

    def __init__(self, *roots: Path) -> None:
        self._settings: dict[Path, Settings] = {}
        self.places: dict[str, tuple[Path, _Place]] = {}  # finished problems first
        for root in roots:
            folders = sorted(file.parent for file in root.glob("**/search.json"))
            if not folders:
                raise BadFile(f"{root}: holds no search (no search.json); 'harness search run' makes one")
            self._settings |= {folder: settings_of(folder) for folder in folders}
        unfinished: list[tuple[Path, Stored]] = []
        for folder in self._settings:
            for place, stored in _problems(folder):
                if stored.why:
                    self._add(folder, stored.problem.id, place)
                else:
                    unfinished.append((folder, stored))
        for folder, stored in unfinished:
            self._add(folder, stored.problem.id, stored)
        self.ids = sorted(self.places)

    @property
    def settings(self) -> Settings:
        """Those of the first folder."""
        return next(iter(self._settings.values()))

    def _add(self, folder: Path, name: str, place: _Place) -> None:
        other = self.places.setdefault(name, (folder, place))[0]
        if other != folder and self._settings[other].differences(self._settings[folder]):
            raise SearchMismatch(f"problem {name} is in two searches, {other} and {folder}; name one of them")

    def stored(self, problem: str) -> tuple[Stored, Settings]:
        """A problem and the settings of its search. Raises KeyError for an unknown id."""
        folder, place = self.places[problem]
        if not isinstance(place, Stored):
            file, number, offset = place
            with about(file), file.open("rb") as opened:
                opened.seek(offset)
                place = lines.of_segment(next(rows_of([opened.readline()], file)), file, number)
        return place, self._settings[folder]

    def folded(self, problem: str) -> tuple[Stored, Tree]:
        """A problem and its tree. Raises KeyError for an unknown id."""
        stored, settings = self.stored(problem)
        return stored, settings.fold(stored)


def trees(root: Path) -> Iterator[Stored]:
    """Every problem of a search and its shards, each once: finished ones first."""
    forest = Forest(root)
    return (forest.stored(name)[0] for name in forest.places)


def folded(root: Path) -> Iterator[tuple[Stored, Tree, Settings]]:
    """Every problem of a search and its shards with its tree."""
    forest = Forest(root)
    for name in forest.places:
        stored, settings = forest.stored(name)
        yield stored, settings.fold(stored), settings


def _problems(folder: Path) -> Iterator[tuple[_Place, Stored]]:
    """Every problem of one folder, and where it is."""
    names = set()
    journal = folder / "journal.jsonl"
    # Opened first: what a running search moves into a segment meanwhile is still in this file.
    with about(journal):
        opened = journal.open("rb") if journal.exists() else None
    for place, stored in _segments(folder):
        names.add(stored.problem.id)
        yield place, stored
    if opened is not None:
        with opened:
            yield from ((each, each) for each in lines.of_journal(rows_of(opened, journal), journal, names).values())


def _segment_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("trees-*.jsonl"))


def _segments(folder: Path, first: int | None = None) -> Iterator[tuple[tuple[Path, int, int], Stored]]:
    """What the (first so many) segments hold, and where. Raises JournalBroken for one that was cut."""
    for file in _segment_files(folder)[:first]:
        offset, sizes = 0, list[int]()
        with about(file), file.open("rb") as opened:
            for number, row in enumerate(rows_of(_measured(opened, sizes), file), 1):
                yield (file, number, offset), lines.of_segment(row, file, number)
                offset += sizes.pop()
        if offset != file.stat().st_size:
            raise JournalBroken(f"{file}: the last line has no end; was the file cut or edited?")


def _measured(opened: IO[bytes], sizes: list[int]) -> Iterator[bytes]:
    for line in opened:
        sizes.append(len(line))
        yield line
