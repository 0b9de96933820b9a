"""Two runs on the same items: paired differences, flips, token ratios, and how many items would settle it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import NotComparable
from harness.records import Sample
from harness.results import budget
from harness.results.statistics import Gap, bootstrap, holm, needed, paired
from harness.results.summary import scores_by_item
from harness.tokens import common_prefix


@dataclass(frozen=True)
class Flip:
    """One item on which the runs differ: mean scores and the reasons of their first samples."""

    problem_id: str
    ours: float
    theirs: float
    reason: str
    their_reason: str


@dataclass(frozen=True)
class Comparison:
    """One task. ``token_ratio``: ours over theirs on items that both solve, with its interval; None if there are none.

    ``needed``: items at which the observed difference would be seen; None where it is zero. ``same_texts``: share of
    samples with equal tokens; ``first_divergence``: median token at which the others part (same prompts and seeds).
    """

    task: str
    accuracy: Gap
    no_answer: Gap
    p_holm: float
    token_ratio: tuple[float, float, float] | None
    aes: float | None
    needed: int | None
    flips: list[Flip]
    same_texts: float
    first_divergence: float | None

    def as_dict(self) -> dict[str, Any]:
        ratio = self.token_ratio
        return {
            "task": self.task, "accuracy": self.accuracy.as_dict(), "no_answer": self.no_answer.as_dict(),
            "p_holm": self.p_holm, "aes": self.aes, "needed": self.needed, "same_texts": self.same_texts,
            "token_ratio": None if ratio is None else dict(zip(("ratio", "low", "high"), ratio, strict=True)),
            "first_divergence": self.first_divergence,
            "flips": [vars(flip) for flip in self.flips],
        }  # fmt: skip


def no_answers(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Each item's samples without an answer, as 0/1 scores."""
    out: dict[str, list[float]] = {}
    for sample in samples:
        out.setdefault(sample.problem_id, []).append(float(sample.grade.verdict not in ("correct", "wrong")))
    return out


def clusters_of(samples: Sequence[Sample]) -> dict[str, str]:
    """Items that share a source: turns and languages of one Multi-IF base prompt (``1019:16:en#2``: 1019)."""
    shared = [s.problem_id for s in samples if s.task.startswith("multi_if") and ":" in s.problem_id]
    return {name: name.split(":")[0] for name in shared}


def compare(ours: Sequence[Sample], theirs: Sequence[Sample], tasks: Sequence[str]) -> list[Comparison]:
    """Compare every task of ``tasks``; p values are Holm-corrected over them. Raises NotComparable on other items."""
    pairs = []
    for task in tasks:
        mine, other = [s for s in ours if s.task == task], [s for s in theirs if s.task == task]
        a, b = scores_by_item(mine), scores_by_item(other)
        if not a or not b:
            raise NotComparable(f"{task}: not in {'both runs' if not a and not b else 'one of the runs'}")
        if set(a) != set(b):
            odd = sorted(set(a) ^ set(b))
            raise NotComparable(
                f"{task}: {len(odd)} items are in one run only, for example {odd[0]}; evaluate both on the same"
            )
        pairs.append((task, mine, other, paired(a, b, clusters_of(mine))))
    adjusted = holm([gap.p for *_, gap in pairs])
    return [_one(*pair, p) for pair, p in zip(pairs, adjusted, strict=True)]


def _one(task: str, mine: list[Sample], other: list[Sample], gap: Gap, p_holm: float) -> Comparison:
    a, b = scores_by_item(mine), scores_by_item(other)
    where = {s.problem_id: s for s in reversed(other)}
    flips = [
        Flip(
            s.problem_id, statistics.fmean(a[s.problem_id]), statistics.fmean(b[s.problem_id]), s.grade.reason,
            where[s.problem_id].grade.reason,
        )
        for s in mine
        if s.index == 0 and statistics.fmean(a[s.problem_id]) != statistics.fmean(b[s.problem_id])
    ]  # fmt: skip
    parted = [_divergence(x, y) for x, y in _matched(mine, other)]
    apart = [place for place in parted if place is not None]
    greedy = all(s.seed == o.seed for s, o in _matched(mine, other))
    means = [statistics.fmean(map(budget.length, side)) for side in (mine, other)]
    rates = [statistics.fmean(statistics.fmean(v) for v in side.values()) for side in (a, b)]
    return Comparison(
        task, gap, paired(no_answers(mine), no_answers(other), clusters_of(mine)), p_holm, _tokens(mine, other),
        budget.aes((rates[0], means[0]), (rates[1], means[1])),
        needed(gap.error, gap.n, gap.difference) if gap.difference else None, flips,
        parted.count(None) / len(parted) if parted else 0.0,
        statistics.median(apart) if apart and greedy else None,
    )  # fmt: skip


def _matched(mine: Sequence[Sample], other: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    theirs = {(s.problem_id, s.index): s for s in other}
    return [(s, theirs[s.problem_id, s.index]) for s in mine if (s.problem_id, s.index) in theirs]


def _divergence(a: Sample, b: Sample) -> int | None:
    """The first token at which two samples differ, from 0; None if they are equal."""
    if a.token_ids == b.token_ids:
        return None
    return common_prefix(a.token_ids, b.token_ids)


def _tokens(mine: list[Sample], other: list[Sample]) -> tuple[float, float, float] | None:
    """Ratio of tokens over the samples that both solve, with a paired bootstrap interval over their items."""
    spent: dict[str, list[int]] = {}
    for x, y in _matched(mine, other):
        if x.grade.correct and y.grade.correct:
            sums = spent.setdefault(x.problem_id, [0, 0])
            sums[0], sums[1] = sums[0] + budget.length(x), sums[1] + budget.length(y)
    both = [(a, b) for a, b in spent.values()]
    if not both:
        return None

    def ratio(pairs: Sequence[tuple[int, int]]) -> float:
        return sum(x for x, _ in pairs) / max(sum(y for _, y in pairs), 1)

    low, high = bootstrap(both, ratio, draws=2_000)
    return ratio(both), low, high
