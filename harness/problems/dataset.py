"""A file of problems to search: one source, each question once, compared with the suites that models are tested on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pydantic import BaseModel

from harness.errors import DataError
from harness.files import file_digest
from harness.grading.families import gold_defect
from harness.journal import write_rows
from harness.problems import overlap
from harness.problems.overlap import Index
from harness.problems.registry import BEYOND, SUITES
from harness.records import Problem
from harness.spec import Spec, knob

FILE = "problems.jsonl"
REPEATED, UNUSABLE, DROPPED = "asked before", "without a gold answer to grade by", "overlapping with a suite"
_AT_ONCE = 512


class DataRules(Spec):
    """Which problems of a source are written, and what they must not be in."""

    count: int = knob(1000, "Problems.", ge=1)
    seed: int = knob(0, "Which problems are drawn, and their order.", ge=0)
    against: str = knob("", "Tasks and suites to compare with, separated by commas; default: all of them.")
    allow: str = knob("", "Tasks and suites whose overlap or absence is no failure, separated by commas.")
    drop: bool = knob(False, "Leave overlapping problems out and go on to further ones.")
    share: float = knob(overlap.SHARE, "Of a suite problem's 13-word runs, to overlap; 0: any run.", ge=0, le=1)


class Overlap(BaseModel):
    """A written problem and one of a suite. ``share``: of its runs of words, 1.0: all of it; ``shown``: words of it."""

    ours: str
    task: str
    problem: str
    share: float
    shown: str


class DataFigures(BaseModel):
    """What a file of problems holds. ``compared``: problems of each task that it was compared with.

    ``missing``: why a task was not compared with; ``left_out``: how many problems, and why; ``words``: of a prompt,
    shortest, median, longest; ``digest``: of the file. What is not allowed by name: ``failing``, problems that overlap
    with a task, and ``unseen``, tasks of a suite or named ones that were not compared with.
    """

    source: str
    rules: DataRules
    problems: int
    families: dict[str, int]
    levels: dict[int, int]
    words: tuple[int, int, int]
    left_out: dict[str, int]
    compared: dict[str, int]
    missing: dict[str, str]
    overlaps: list[Overlap]
    failing: dict[str, int]
    unseen: list[str]
    digest: str


def write_data(source: str, problems: Iterator[Problem], out: Path, index: Index, rules: DataRules) -> DataFigures:
    """Write the first ``rules.count`` usable problems as ``problems.jsonl`` into ``out``, whole or not at all.

    Raises DataError where the source holds fewer, BadFile and NotWritten.
    """
    allowed, left_out = overlap.named(rules.allow), Counter[str]()
    kept: list[Problem] = []
    overlaps: list[Overlap] = []
    fresh = _distinct(problems, left_out)
    while len(kept) < rules.count:
        wanted = min(_AT_ONCE, rules.count - len(kept))
        if not (group := list(islice(fresh, wanted))):
            raise DataError(f"{source}: holds {len(kept):,} problems of use ({_told(left_out)}); lower --count")
        texts = [problem.source or problem.prompt for problem in group]
        found = [
            Overlap(ours=group[match.text].id, **{k: v for k, v in match._asdict().items() if k != "text"})
            for match in index.matches(texts, rules.share)
        ]
        if rules.drop:
            out_of_use = {each.ours for each in found}
            left_out[DROPPED] += len(out_of_use)
            group, found = [problem for problem in group if problem.id not in out_of_use], []
        kept += group
        overlaps += found
    write_rows(out / FILE, (problem.document() for problem in kept))
    asked = overlap.named(rules.against) or [task for suite, of in SUITES.items() if suite not in BEYOND for task in of]
    pairs = {(each.ours, each.task) for each in overlaps if each.task not in allowed}
    lengths = sorted(len(problem.prompt.split()) for problem in kept)
    return DataFigures(
        source=source, rules=rules, problems=len(kept), compared=index.counts, missing=index.missing,
        families=dict(Counter(problem.family for problem in kept)),
        levels=dict(sorted(Counter(problem.level for problem in kept).items())),
        words=(lengths[0], lengths[len(lengths) // 2], lengths[-1]),
        left_out={why: number for why, number in left_out.items() if number}, overlaps=overlaps,
        failing=dict(sorted(Counter(task for _, task in pairs).items())),
        unseen=[task for task in index.missing if task in asked and task not in allowed],
        digest=file_digest(out / FILE),
    )  # fmt: skip


def _distinct(problems: Iterator[Problem], left_out: Counter[str]) -> Iterator[Problem]:
    """Problems that can be graded and whose question is none of those before, but for spacing, case and punctuation."""
    seen: set[str] = set()
    for problem in problems:
        key = overlap.wholes(problem.source or problem.prompt)[-1]
        if gold_defect(problem.family, problem.gold):
            left_out[UNUSABLE] += 1
        elif key in seen:
            left_out[REPEATED] += 1
        else:
            seen.add(key)
            yield problem


def _told(left_out: Counter[str]) -> str:
    return ", ".join(f"{number:,} {why}" for why, number in left_out.items() if number) or "none left out"
