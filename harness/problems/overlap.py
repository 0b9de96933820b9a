"""Which texts of a training set stand in a suite: the same question, or runs of 13 of its words (arXiv 2005.14165, C).

Words are compared without case, punctuation, spacing and forms of Unicode; in a whole question signs of arithmetic
count, too. A run of words that more than ten problems of a task share is its wording and says nothing. Problems made by
rule (the embedded families, letter_count) or that state facts in a fixed form (PlanBench) share runs with all others of
their kind: they are compared whole, facts in any order.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import DataError, Usage
from harness.grading.gym import GYM
from harness.problems.embedded import FAMILIES, mini_premise
from harness.problems.load import is_ours, load
from harness.problems.registry import SUITES, select, tasks
from harness.records import Problem

RUN = 13  # words; questions of 8 to 12 are one run
SHORTEST = 8
WORDING = 10  # problems of a task; a run in more of them is its wording
SHARE = 0.5  # of the runs of a question, from which on a text overlaps with it

_BY_RULE = (*FAMILIES, mini_premise.NAME, "letter_count")
_CJK = "\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff"
_WORD = re.compile(rf"[{_CJK}]|\d+|[^\W\d_{_CJK}]+")
_SIGN_OR_WORD = re.compile(rf"[+*/^=<>%×÷≤≥≠]|-(?=\s*(?:\d|[a-z]\b))|{_WORD.pattern}")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_STATEMENT = re.compile(r"\[statement\](.*?)\bmy\s+goal\s+is\s+to\s+have\s+that\b([^.\[]*)", re.DOTALL)
_FACT = re.compile(r"\bthat\b|,|\band\b")
_TEXTS = 2000  # at once
_BITS = 24  # of the table that most runs are looked up in


def words(text: str) -> list[str]:
    """The words of a text: runs of letters, runs of digits, single characters of Chinese and Japanese."""
    return _WORD.findall(_plain(text))


def wholes(text: str) -> list[str]:
    """What a text says as a whole, its words and signs of arithmetic without any spacing.

    Of a PlanBench prompt: what each of its statements says, as it is and then with its facts in order.
    """
    if not (found := _STATEMENT.findall(_plain(text))):
        return [_joined(text)]
    parts = [[[_joined(fact) for fact in _FACT.split(part)] for part in each] for each in found]
    return ["|".join("".join(part) for part in way) for each in parts for way in (each, map(sorted, each))]


def _joined(text: str) -> str:
    return "".join(_SIGN_OR_WORD.findall(_plain(text)))


def _plain(text: str) -> str:
    """Without differences of case and of forms of Unicode, and without what is not seen."""
    if not text.isascii():
        text = _UNSEEN.sub("", unicodedata.normalize("NFKC", text).replace("\u2212", "-"))
    return text.casefold()


class Match(NamedTuple):
    """Text number ``text`` (from 0) overlaps with a problem; ``share`` of its runs are in it, 1.0: the whole question.

    ``shown``: words of the problem that stand in the text.
    """

    text: int
    task: str
    problem: str
    share: float
    shown: str


class _Asked(NamedTuple):
    task: str
    problem: str
    words: list[str]


class Index:
    """Questions of a suite by their words. ``counts``: problems of each task; ``missing``: why others are not in it."""

    def __init__(self, problems: Mapping[str, Sequence[Problem]], missing: Mapping[str, str] | None = None) -> None:
        import numpy as np

        self.counts = {task: len(each) for task, each in problems.items()}
        self.missing = dict(missing or {})
        self._asked: list[_Asked] = []
        self._wholes: dict[str, list[int]] = {}
        self._values: dict[str, int] = {}  # of each word that a question has
        self._draw = partial(random.Random(RUN).randrange, 1, 1 << 64)
        found: list[tuple[int, int, int]] = []
        for task, each in problems.items():
            found += self._add(task, each)
        found.sort()
        self._hashes = np.array([run for run, _, _ in found], np.uint64)
        self._owners, self._places = ([each[part] for each in found] for part in (1, 2))
        self._runs = Counter(self._owners)  # of each question, those that count
        self._lengths = sorted({min(RUN, len(self._asked[owner].words)) for owner in self._runs})
        self._table = np.zeros(1 << _BITS, bool)
        self._table[self._hashes >> np.uint64(64 - _BITS)] = True

    def _add(self, task: str, problems: Sequence[Problem]) -> list[tuple[int, int, int]]:
        """Take in the questions of a task; returns (hash, question, place) of each run of theirs that counts."""
        runs: list[dict[int, int]] = []
        first = len(self._asked)
        for problem in problems:
            said = words(question := problem.source or problem.prompt)
            for key in {*wholes(question)[-2:], *wholes(problem.prompt)[-2:]}:
                self._wholes.setdefault(key, []).append(len(self._asked))
            self._asked.append(_Asked(task, problem.id, said))
            drawn = task in _BY_RULE or task.startswith(GYM)
            compared = len(said) >= SHORTEST and not drawn and not _STATEMENT.search(_plain(question))
            for word in said if compared else ():
                if word not in self._values:
                    self._values[word] = self._draw()
            each = next(_hashes(self._ids([said])[:-1], [min(RUN, len(said))])) if compared else []
            runs.append({int(run): place for place, run in reversed(list(enumerate(each)))})
        shared = Counter(run for each in runs for run in each)
        return [
            (run, first + number, place)
            for number, each in enumerate(runs) for run, place in each.items() if shared[run] <= WORDING
        ]  # fmt: skip

    def _ids(self, texts: Sequence[list[str]]) -> Any:
        """A number for each word, 0 for those of no question and after each text (no run goes over its end)."""
        import numpy as np

        get = self._values.get
        return np.array([value for text in texts for value in (*(get(word, 0) for word in text), 0)], np.uint64)

    def matches(self, texts: Iterable[str], share: float = SHARE) -> Iterator[Match]:
        """Each text with each question that it overlaps with: the same whole, or ``share`` of its runs of words."""
        rest = iter(texts)
        for first in count(0, _TEXTS):
            if not (group := list(islice(rest, _TEXTS))):
                return
            yield from self._matches(group, first, share)

    def _matches(self, texts: Sequence[str], first: int, share: float) -> list[Match]:
        import numpy as np

        said = [words(text) for text in texts]
        ends = np.cumsum([len(each) + 1 for each in said])
        best = {
            (number, owner): 1.0
            for number, text in enumerate(texts) for key in wholes(text) for owner in self._wholes.get(key, ())
        }  # fmt: skip
        hits: dict[tuple[int, int], set[int]] = {}
        ids = self._ids(said)
        for length, hashes in zip(self._lengths, _hashes(ids, self._lengths), strict=True):
            for spot in np.flatnonzero(self._table[hashes >> np.uint64(64 - _BITS)]):
                low, high = (int(np.searchsorted(self._hashes, hashes[spot], side)) for side in ("left", "right"))
                if low == high:
                    continue
                number = int(np.searchsorted(ends, spot, "right"))
                start = int(spot) - int(ends[number - 1] if number else 0)
                for at in range(low, high):
                    owner, place = self._owners[at], self._places[at]
                    if said[number][start : start + length] == self._asked[owner].words[place : place + length]:
                        hits.setdefault((number, owner), set()).add(place)
        for key, places in hits.items():
            best[key] = max(best.get(key, 0.0), len(places) / self._runs[key[1]])
        return [
            Match(first + number, asked.task, asked.problem, part, self._shown(asked, hits.get((number, owner))))
            for (number, owner), part in sorted(best.items()) if part >= share and (asked := self._asked[owner])
        ]  # fmt: skip

    def _shown(self, asked: _Asked, places: set[int] | None) -> str:
        place = min(places or {0})
        return " ".join(asked.words[place : place + RUN])


def _hashes(ids: Any, lengths: Sequence[int]) -> Iterator[Any]:
    """For each length, a hash of each run of so many numbers, modulo 2**64."""
    import numpy as np

    base = np.full(len(ids), 0x9E3779B97F4A7C15, np.uint64)
    inverse = np.full(len(ids), pow(0x9E3779B97F4A7C15, -1, 2**64), np.uint64)
    base[:1] = inverse[:1] = 1
    power, back = np.cumprod(base, dtype=np.uint64), np.cumprod(inverse, dtype=np.uint64)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(ids * power, dtype=np.uint64)])
    for length in lengths:
        many = max(0, len(ids) - length + 1)
        yield (sums[length : length + many] - sums[:many]) * back[:many]


def index_of(names: str = "", data_dir: Path | None = None) -> Index:
    """An index of tasks and suites, separated by commas; without any, of all tasks of ours. Raises Usage as ``named``.

    Tasks whose data are not to be had are in its ``missing``.
    """
    found, missing = dict[str, Sequence[Problem]](), dict[str, str]()
    for task in named(names) or [name for name in tasks() if is_ours(name)]:
        try:
            found[task] = load(task, data_dir=data_dir)
        except DataError as error:
            missing[task] = str(error)
    return Index(found, missing)


def named(names: str) -> list[str]:
    """Tasks and suites, separated by commas, as tasks. Raises Usage for names that are none, or no task of ours."""
    given = [name.strip() for name in names.split(",") if name.strip()]
    wanted = [task for name in given for task in SUITES.get(name, (name,))]
    found = [task.name for task in select(wanted, None)] if wanted else []
    if foreign := [name for name in found if not is_ours(name)]:
        raise Usage(f"{foreign[0]}: no task of ours; its problems cannot be compared with")
    return found
