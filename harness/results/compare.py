"""Two runs on the same items: paired differences, flips, token ratios, and how many items would settle it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pydantic import Field

from harness.errors import NotComparable
from harness.records import Record, Sample
from harness.results import budget
from harness.results.records import Gap, Manifest
from harness.results.statistics import bootstrap, clusters_of, holm, needed, no_answers, of_task, paired, scores_by_item
from harness.thoughts import common_prefix


class Flip(Record):
    """One item on which the runs differ: mean scores and the reasons of their first samples."""

    problem_id: str
    ours: float
    theirs: float
    reason: str
    their_reason: str


class Ratio(Record):
    """A ratio of totals with its 95% interval."""

    ratio: float
    low: float
    high: float


class Comparison(Record):
    """Two runs on one task; all differences are ours - others."""

    task: str
    accuracy: Gap
    no_answer: Gap
    p_holm: float = Field(description="of accuracy, Holm-corrected over the tasks")
    aes: float | None = Field(description="accuracy-efficiency score (budget.aes)")
    needed: int | None = Field(description="items at which the observed difference would be seen; None: it is zero")
    same_texts: float = Field(description="share of samples with equal tokens")
    token_ratio: Ratio | None = Field(description="tokens, ours over others, on what both solve; None: nothing")
    first_divergence: float | None = Field(
        description="median token at which the other samples part; None: none does, or the seeds differ"
    )
    flips: list[Flip]


def compare(ours: Sequence[Sample], others: Sequence[Sample], tasks: Sequence[str]) -> list[Comparison]:
    """Compare every task of ``tasks``; p values are Holm-corrected over them. Raises NotComparable on other items."""
    compared = [_one(task, of_task(ours, task), of_task(others, task)) for task in tasks]
    corrected = holm([one.accuracy.p for one in compared])
    return [one.model_copy(update={"p_holm": p}) for one, p in zip(compared, corrected, strict=True)]


def _one(task: str, ours: list[Sample], others: list[Sample]) -> Comparison:
    if not ours or not others:
        raise NotComparable(f"{task}: not in {'both runs' if not ours and not others else 'one of the runs'}")
    sides = scores_by_item(ours), scores_by_item(others)
    if odd := sorted(set(sides[0]) ^ set(sides[1])):
        raise NotComparable(
            f"{task}: {len(odd)} items are in one run only, for example {odd[0]}; evaluate both on the same"
        )
    clusters = clusters_of(ours)
    gap = paired(*sides, clusters)
    a, b = ({item: statistics.fmean(scores) for item, scores in side.items()} for side in sides)
    reasons = {s.problem_id: s.grade.reason for s in reversed(others)}
    flips = [
        Flip(
            problem_id=s.problem_id, ours=a[s.problem_id], theirs=b[s.problem_id], reason=s.grade.reason,
            their_reason=reasons[s.problem_id],
        )
        for s in ours
        if s.index == 0 and a[s.problem_id] != b[s.problem_id]
    ]  # fmt: skip
    known = {(s.problem_id, s.index): s for s in others}
    matched = [(s, known[s.problem_id, s.index]) for s in ours if (s.problem_id, s.index) in known]
    apart = [common_prefix(x.token_ids, y.token_ids) for x, y in matched if x.token_ids != y.token_ids]
    same_seeds = all(x.seed == y.seed for x, y in matched)
    tokens = [statistics.fmean(map(budget.length, side)) for side in (ours, others)]
    return Comparison(
        task=task,
        accuracy=gap,
        no_answer=paired(no_answers(ours), no_answers(others), clusters),
        p_holm=gap.p,
        aes=budget.aes((statistics.fmean(a.values()), tokens[0]), (statistics.fmean(b.values()), tokens[1])),
        needed=needed(gap.error, gap.n, gap.difference) if gap.difference else None,
        same_texts=(len(matched) - len(apart)) / len(matched) if matched else 0.0,
        token_ratio=_token_ratio(matched),
        first_divergence=statistics.median(apart) if apart and same_seeds else None,
        flips=flips,
    )


def _token_ratio(matched: Sequence[tuple[Sample, Sample]]) -> Ratio | None:
    """Ratio of tokens over the samples that both solve, with a paired bootstrap interval over their items."""
    spent: dict[str, tuple[int, int]] = {}
    for x, y in matched:
        if x.grade.correct and y.grade.correct:
            a, b = spent.get(x.problem_id, (0, 0))
            spent[x.problem_id] = (a + budget.length(x), b + budget.length(y))
    if not spent:
        return None

    def ratio(pairs: Sequence[tuple[int, int]]) -> float:
        return sum(x for x, _ in pairs) / max(sum(y for _, y in pairs), 1)

    both = list(spent.values())
    low, high = bootstrap(both, ratio, draws=2_000)
    return Ratio(ratio=ratio(both), low=low, high=high)


def setting_differences(a: Manifest, b: Manifest) -> list[str]:
    """How two runs differ beyond their verdicts. Raises NotComparable when they were graded by other graders."""
    if a.grader is not None and b.grader is not None and a.grader != b.grader:
        odd = ", ".join(sorted(n for n in a.grader | b.grader if a.grader.get(n) != b.grader.get(n)))
        raise NotComparable(f"graded by different graders ({odd}); run 'harness rescore' on the older run first")
    names = ("model", "model_digest", "backend", "decoding", "prompting", "prompt_ids_hash", "packages", "machine")
    one, other = a.known(), b.known()
    notes = []
    for name in names:
        x, y = one.get(name), other.get(name)
        if isinstance(x, dict) and isinstance(y, dict):
            notes += [f"{name}.{k}: {x.get(k)} against {y.get(k)}" for k in {**x, **y} if x.get(k) != y.get(k)]
        elif x is not None and y is not None and x != y:
            notes.append(f"{name}: {x} against {y}")
    return notes
