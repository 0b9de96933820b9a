"""A search on disk: an append-only journal of results, and segments of finished trees.

    journal.jsonl        one line per begun problem, per expansion with its verdict, per finished problem
    trees-000000.jsonl   finished problems, one per line with all its results; written whole, then renamed
    search.json          what the search is: grammar, goals, policy, seed, models (``Settings``)
    order.json           in which order its trees receive results (``rounds``)

The tree is the fold of its lines. Compaction moves finished problems from the journal into a new segment; killed
between its two steps it leaves a problem in both, and the segment counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import orjson
from pydantic import ValidationError

from harness.errors import BadFile, JournalBroken, SearchMismatch
from harness.files import about, read_record, reason_of
from harness.grading.families import FAMILIES
from harness.journal import Journal, read, rows_of, write_rows, write_whole
from harness.models.base import seed_of
from harness.records import Problem
from harness.search.grammar import Grammar
from harness.search.spec import Goals
from harness.search.tree.core import Reward, Tree
from harness.search.tree.nodes import Result
from harness.search.tree.policies import POLICIES, OriginalTree
from harness.spec import Spec, knob

COMPACT_BYTES = 16 << 20


class NodeRow(TypedDict):
    """A node as it was written. An answer has its verdict; ``answer`` is what the grader read.

    The first node of a model call has its id ``node``, the ``role`` that wrote it, tokens ``generated``, and ``rest``:
    the nodes that followed in the call, which have their ``kind``.
    """

    node: NotRequired[str]
    role: NotRequired[str]
    generated: NotRequired[int]
    text: str
    ids: list[int]
    finish: str
    kind: NotRequired[str]
    verdict: NotRequired[str]
    reason: NotRequired[str]
    answer: NotRequired[str]
    rest: NotRequired[list[NodeRow]]


@dataclass(kw_only=True)
class Stored:
    """One problem of a search: its record, its rows in the order of writing, and why it ended ("" if it has not)."""

    problem: Problem
    prompt_tokens: int
    rows: list[NodeRow] = field(default_factory=list)
    why: str = ""

    def entry(self) -> dict[str, Any]:
        """The line of a segment."""
        return {"problem": self.problem.model_dump(), "tokens": self.prompt_tokens, "why": self.why, "rows": self.rows}

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines of a journal, without the ending."""
        name = self.problem.id
        yield {"problem": name, "record": self.problem.model_dump(), "tokens": self.prompt_tokens}
        yield from ({"problem": name, **row} for row in self.rows)


# Where a problem is: in memory (from a journal), or file, number and offset of its line.
_Place = Stored | tuple[Path, int, int]


def result(row: NodeRow) -> Result:
    """A row of the journal as the tree takes it."""
    return Result(
        text=row["text"], token_ids=tuple(row["ids"]), finish=row["finish"], verdict=row.get("verdict", ""),
        reason=row.get("reason", ""), answer=row.get("answer", ""), generated=row.get("generated", 0),
        rest=tuple((part.get("kind", ""), result(part)) for part in row.get("rest", ())),
    )  # fmt: skip


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

    def tree(self, problem: Problem, prompt_tokens: int = 0) -> Tree:
        """The tree of a problem, with nothing written yet."""
        seed, grammar = seed_of(self.seed, problem.id), self.grammar.of(problem.family)
        if self.policy == "original":
            tree: Tree = OriginalTree(grammar, self.goals, seed=seed, prompt_tokens=prompt_tokens)
        else:
            tree = Tree(
                grammar, self.goals, seed=seed, policy=POLICIES[self.policy], prompt_tokens=prompt_tokens,
                reward=self.reward, whole=self.policy == "chain_first",
            )  # fmt: skip
        tree.quotes = FAMILIES.get(problem.family) not in ("plan", "instructions", "reasoning_gym", "translation")
        return tree

    def fold(self, stored: Stored) -> Tree:
        """The tree that the rows of a problem make."""
        tree = self.tree(stored.problem, stored.prompt_tokens)
        if self.policy == "original":
            known = {row["node"]: row for row in stored.rows}
            while (asked := tree.ask()) is not None and asked.node in known:
                tree.tell(asked.node, result(known[asked.node]))
            return tree
        for row in stored.rows:
            tree.tell(row["node"], result(row))
        return tree

    def differences(self, other: Settings) -> list[str]:
        """Every setting that two searches do not share, as "name: this one's, now the other's"."""
        old, new = (_flat(each.model_dump(mode="json", exclude={"names"})) for each in (self, other))
        return [
            f"{key}: {json.dumps(old.get(key))[:40]}, now {json.dumps(new.get(key))[:40]}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]


def _flat(data: Mapping[str, Any], under: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in data.items():
        out |= _flat(value, f"{under}{key}.") if isinstance(value, dict) else {under + key: value}
    return out


class Store(Journal):
    """The writer of one search folder; a context manager. Raises SearchMismatch and Incomplete.

    ``finished``: ids of the problems that are done. ``unfinished``: what an earlier run left half done, by problem.
    """

    def __init__(self, folder: Path, settings: Settings, wait: float = 30.0) -> None:
        if next(folder.glob("*/search.json"), None):
            raise SearchMismatch(f"{folder}: holds the shards of a search; give their --shards, or another folder")
        super().__init__(folder / "journal.jsonl", wait)
        self.folder, self.settings, self._kept = folder, settings, 0
        try:
            file = folder / "search.json"
            if not file.exists() or not (self.size or segment_files(folder)):
                write_whole(file, settings.model_dump_json(indent=1) + "\n")
            elif different := settings_of(folder).differences(settings):
                raise SearchMismatch(
                    f"{folder}: holds a search with other settings ({'; '.join(different[:4])}); use another folder"
                )
            # The text of each problem, as a hash: of 100,000 problems the texts would not fit.
            self._texts = {stored.problem.id: _text(stored.problem) for _, stored in segments(folder)}
            self._archived = set(self._texts)
            journalled = _of_journal(read(self.path), self.path, self._archived)
            self._texts |= {name: _text(stored.problem) for name, stored in journalled.items()}
            self.unfinished = {name: stored for name, stored in journalled.items() if not stored.why}
            self.finished = self._archived | (journalled.keys() - self.unfinished.keys())
        except BaseException:
            self.close()
            raise

    def checked(self, problem: Problem) -> Problem:
        """``problem``, which must be the one that is stored under its id, if any. Raises SearchMismatch."""
        if self._texts.setdefault(problem.id, _text(problem)) != _text(problem):
            raise SearchMismatch(
                f"{self.folder}: problem {problem.id} is stored with another text, family or gold answer; use another "
                "folder"
            )
        return problem

    def begin(self, problem: Problem, prompt_tokens: int) -> None:
        """Write down that work on a problem begins, once."""
        if problem.id not in self.finished and problem.id not in self.unfinished:
            self.append(Stored(problem=problem, prompt_tokens=prompt_tokens).lines())

    def write(self, rows: Iterable[tuple[str, NodeRow]]) -> None:
        """Append rows, each with the id of its problem, in one flush. Raises NotWritten."""
        self.append(({"problem": problem, **row} for problem, row in rows), _encoded)

    def finish(self, problem: str, why: str) -> None:
        """Write down that a problem is done."""
        self.append([{"problem": problem, "done": why}])
        self.finished.add(problem)
        # Counted from the last compaction: what belongs to problems at work is not rewritten for each that ends.
        if self.size > self._kept + COMPACT_BYTES:
            self.compact()

    def compact(self) -> None:
        """Move finished problems into a segment of their own."""
        journalled = _of_journal(read(self.path), self.path, self._archived).values()
        done = [stored for stored in journalled if stored.why]
        if not done:
            return
        files = segment_files(self.folder)
        number = int(files[-1].stem.rpartition("-")[2]) + 1 if files else 0
        write_rows(self.folder / f"trees-{number:06d}.jsonl", (stored.entry() for stored in done))
        self._archived |= {stored.problem.id for stored in done}
        self.rewrite(line for stored in journalled if not stored.why for line in stored.lines())
        self._kept = self.size


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

    ``settings``: those of the first folder. Holds where each finished problem's line is, and what is still in the
    journals. Of a problem in several shards the finished one counts. Raises BadFile without a search, SearchMismatch
    for a problem in two different searches.
    """

    def __init__(self, *roots: Path) -> None:
        self._settings: dict[Path, Settings] = {}
        self.places: dict[str, tuple[Path, _Place]] = {}  # finished problems first
        for root in roots:
            folders = sorted(file.parent for file in root.glob("**/search.json"))
            if not folders:
                raise BadFile(f"{root}: holds no search (no search.json); 'harness search run' makes one")
            self._settings |= {folder: settings_of(folder) for folder in folders}
        found = [
            (not stored.why, stored.problem.id, folder, place)
            for folder in self._settings
            for place, stored in _problems(folder)
        ]
        for _, name, folder, place in sorted(found, key=lambda each: each[0]):
            other = self.places.setdefault(name, (folder, place))[0]
            if other != folder and self._settings[other].differences(self._settings[folder]):
                raise SearchMismatch(f"problem {name} is in two searches, {other} and {folder}; name one of them")
        self.ids, self.settings = sorted(self.places), next(iter(self._settings.values()))

    def stored(self, problem: str) -> tuple[Stored, Settings]:
        """A problem and the settings of its search. Raises KeyError for an unknown id."""
        folder, place = self.places[problem]
        if not isinstance(place, Stored):
            file, number, offset = place
            with about(file), file.open("rb") as opened:
                opened.seek(offset)
                place = _of_segment(next(rows_of([opened.readline()], file)), file, number)
        return place, self._settings[folder]

    def folded(self, problem: str) -> tuple[Stored, Tree, Settings]:
        """A problem, its tree, and the settings of its search. Raises KeyError for an unknown id."""
        stored, settings = self.stored(problem)
        return stored, settings.fold(stored), settings


def trees(root: Path) -> Iterator[Stored]:
    """Every problem of a search and its shards, each once: finished ones first."""
    forest = Forest(root)
    return (forest.stored(name)[0] for name in forest.places)


def folded(root: Path) -> Iterator[tuple[Stored, Tree, Settings]]:
    """Every problem of a search and its shards with its tree."""
    forest = Forest(root)
    return map(forest.folded, forest.places)


def _problems(folder: Path) -> Iterator[tuple[_Place, Stored]]:
    """Every problem of one folder, and where it is."""
    names, journal = set[str](), folder / "journal.jsonl"
    # Opened first: what a running search moves into a segment meanwhile is still in this file.
    with about(journal):
        opened = journal.open("rb") if journal.exists() else None
    for place, stored in segments(folder):
        names.add(stored.problem.id)
        yield place, stored
    if opened is not None:
        with opened:
            yield from ((each, each) for each in _of_journal(rows_of(opened, journal), journal, names).values())


def segment_files(folder: Path) -> list[Path]:
    """The segments that were written, oldest first."""
    return sorted(folder.glob("trees-*.jsonl"))


def segments(folder: Path, first: int | None = None) -> Iterator[tuple[tuple[Path, int, int], Stored]]:
    """What the (first so many) segments hold, and where. Raises JournalBroken for one that was cut."""
    for file in segment_files(folder)[:first]:
        offset = 0
        with about(file), file.open("rb") as opened:
            for number, row in enumerate(rows_of(opened, file), 1):
                yield (file, number, offset), _of_segment(row, file, number)
                offset = opened.tell()
        if offset != file.stat().st_size:
            raise JournalBroken(f"{file}: the last line has no end; was the file cut or edited?")


def _of_segment(line: Mapping[str, Any], path: Path, number: int) -> Stored:
    """A problem with all its rows: a line of a segment. Raises JournalBroken for another shape."""
    try:
        _check(line, rows=list, why=str, tokens=int)
        rows, problem = [_node(row) for row in line["rows"]], Problem.model_validate(line["problem"])
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, number, error) from None
    return Stored(problem=problem, prompt_tokens=line["tokens"], rows=rows, why=line["why"])


def _of_journal(lines: Iterable[dict[str, Any]], path: Path, without: set[str]) -> dict[str, Stored]:
    """The problems of a journal but those in ``without``. Raises JournalBroken for rows of another shape."""
    out: dict[str, Stored] = {}
    for number, line in enumerate(lines, 1):
        try:
            _check(line, problem=str)
            name = line.pop("problem")
            if name in without:
                continue
            if "record" in line:
                _check(line, tokens=int)
                record = Problem.model_validate(line["record"])
                out.setdefault(name, Stored(problem=record, prompt_tokens=line["tokens"]))
            elif name not in out:
                raise ValueError(f"a result of problem {name[:60]!r}, but not the problem")
            elif "done" in line:
                _check(line, done=str)
                out[name].why = line["done"]
            else:
                out[name].rows.append(_node(line))
        except (KeyError, TypeError, ValueError) as error:
            raise _broken(path, number, error) from None
    return out


def _broken(path: Path, number: int, error: Exception) -> JournalBroken:
    why = reason_of(error) if isinstance(error, ValidationError) else str(error)
    return JournalBroken(
        f"{path}:{number}: not a row of a search ({' '.join(why.split())[:160]}); the file was edited or the disk "
        "failed: delete that line to lose it alone, or use another folder"
    )


def _node(row: Any) -> NodeRow:
    _check(row, node=str, role=str, generated=int)
    for part in (row, *row.get("rest", ())):
        _check(part, text=str, finish=str, ids=list)
        _check(part, **dict.fromkeys(part.keys() & {"verdict", "reason", "answer"}, str))
        if not set(map(type, part["ids"])) <= {int}:
            raise ValueError("ids: not whole numbers")
    for part in row.get("rest", ()):
        _check(part, kind=str)
    return row  # type: ignore[no-any-return]


def _check(row: Any, **kinds: type) -> None:
    for name, kind in kinds.items():
        if not isinstance(row, dict) or name not in row:
            raise ValueError(f"has no {name}")
        if type(row[name]) is not kind:
            raise ValueError(f"{name}: not {kind.__name__}")
