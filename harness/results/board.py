"""The leaderboard: arms by rows, tasks by columns, paired differences to the control arm; and a recipe's claims.

A claim of a paper about two arms is reproduced, contradicted or left undecided by a run: a paired test over the items
of each task, the spread between training seeds added to its error, Holm-corrected over all tests (docs/statistics.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from statistics import fmean, variance
from typing import Literal, get_args

from pydantic import BaseModel, Field, ValidationError

from harness.errors import NoRuns
from harness.evaluation.plan import load_samples
from harness.files import published_rows, read_json, reason_of
from harness.records import Record, Sample
from harness.results import statistics as tests
from harness.results.records import Claim, Data, Gap, RunRecord, Summary
from harness.results.runs import load as load_run
from harness.results.store import Store
from harness.results.summary import row

Verdict = Literal["reproduced", "contradicted", "undecided"]
VERDICTS = get_args(Verdict)
Samples = Mapping[str, Sequence[Sequence[Sample]]]  # of each arm, one list for each training seed


class _Place(BaseModel):
    run: str
    arm: str
    task: str


class Cell(Summary, _Place):
    """One arm on one task. ``difference``: to the control arm; None for the control itself."""

    difference: Gap | None


class Board(Record):
    """``rows``: every arm on every task. It is what ``harness leaderboard --json`` prints."""

    title: str
    control: str
    rows: list[Cell] = Field(min_length=1)

    @property
    def arms(self) -> list[str]:
        return list(dict.fromkeys(row.arm for row in self.rows))

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(row.task for row in self.rows))

    @property
    def cells(self) -> dict[tuple[str, str], Cell]:
        """By arm and task."""
        return {(row.arm, row.task): row for row in self.rows}


def saved(store: Store, name: str | None = None) -> RunRecord:
    """The newest run of recipe ``name`` (None: of any), or the run whose id begins so. Raises NoRuns."""
    recipes = store.recipes()
    for folder, record in recipes:
        if name is None or record.recipe == name or (name and folder.name.startswith(name)):
            return record
    known = ", ".join(sorted({record.recipe for _, record in recipes}))
    hint = f"there are {known}" if known else f"run 'harness run-recipe {name or 'ablation_full'}' first"
    raise NoRuns(f"no finished recipe {f'of {name!r} ' if name else ''}in {store.folder}; {hint}")


def of_record(record: RunRecord, store: Store) -> Board:
    """The board of a recorded run, from the samples of its evaluations. Raises NoRuns where samples are gone."""
    return build(record.title, record.control, record.arms, samples_of(store, record.arms))


def of_file(file: Path) -> Board:
    """The board that ``harness leaderboard --json`` wrote to a file. Raises NoRuns for anything else."""
    try:
        board = Board.model_validate(read_json(file))
        wanted = ((arm, task) for arm in (board.control, *board.arms) for task in board.tasks)
        if gap := next((" on ".join(cell) for cell in wanted if cell not in board.cells), ""):
            raise ValueError(f"no row of {gap}")
    except ValueError as error:
        reason = reason_of(error) if isinstance(error, ValidationError) else error
        raise NoRuns(f"{file}: not what 'harness leaderboard --json' writes ({reason})") from None
    return board


def samples_of(store: Store, arms: Mapping[str, Sequence[str]]) -> dict[str, list[list[Sample]]]:
    """The samples of each arm, one list for each training seed. Raises NoRuns where some are gone."""
    for arm, digest in ((arm, digest) for arm, digests in arms.items() for digest in digests):
        if not (store.stage(digest) / "samples.jsonl").exists():
            raise NoRuns(f"{arm}: the samples of run {digest} are gone from {store.folder}; run the recipe again")
    return {arm: [load_samples(store.stage(digest)) for digest in digests] for arm, digests in arms.items()}


def of_runs(store: Store, names: Sequence[str]) -> Board:
    """A board of single evaluations, the first as control, over the tasks that all have. Raises NoRuns."""
    runs = [load_run(store, name) for name in names]
    folders = [run.folder.resolve() for run in runs]
    for name, folder in zip(names, folders, strict=True):
        if folders.count(folder) > 1:
            raise NoRuns(f"{name}: given more than once; name each run once")
    shared = [task for task in runs[0].tasks if all(task in run.tasks for run in runs)]
    if not shared:
        raise NoRuns(f"no task in all of {', '.join(names)}")
    for task in shared:
        items = [{s.problem_id for s in run.of(task)} for run in runs]
        if odd := items[0].union(*items) - items[0].intersection(*items):
            raise NoRuns(f"{task}: {len(odd)} items are not in all runs, for example {min(odd)}; evaluate the same")
    arms = dict(zip(labels(folders), runs, strict=True))
    samples = {arm: [[s for s in run.samples if s.task in shared]] for arm, run in arms.items()}
    return build("evaluations", next(iter(arms)), {arm: [run.name] for arm, run in arms.items()}, samples)


def labels(folders: Sequence[Path]) -> list[str]:
    """A short name for each of these different folders: unlike all others, of 12 letters where that is enough."""
    depth = 1
    names = [folder.name for folder in folders]
    while len(set(names)) < len(names):  # folders of one name: with as many of those around them as it takes
        depth += 1
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
    length = 12 if depth == 1 else max(map(len, names))
    return [next(n[:k] for k in count(length) if sum(m[:k] == n[:k] for m in names) == 1) for n in names]


def build(title: str, control: str, runs: Mapping[str, Sequence[str]], samples: Samples) -> Board:
    """A board from the samples of each arm, one list for each training seed."""
    tasks = dict.fromkeys(sample.task for sample in next(iter(samples.values()))[0])
    of = {(arm, task): [tests.of_task(one, task) for one in seeds] for arm, seeds in samples.items() for task in tasks}
    scores = {place: tests.scores_by_item([sample for one in seeds for sample in one]) for place, seeds in of.items()}
    rows = []
    for (arm, task), seeds in of.items():
        gap = None if arm == control else tests.paired(scores[arm, task], scores[control, task])
        run = "+".join(name[:8] for name in runs[arm])
        rows.append(Cell(run=run, arm=arm, task=task, difference=gap, **_summary(seeds)))
    return Board(title=title, control=control, rows=rows)


def _summary(seeds: list[list[Sample]]) -> Data:
    """Figures over all seeds. The interval counts items, not samples: seeds of one item are no new evidence."""
    figures = row([sample for one in seeds for sample in one])
    items = len({sample.problem_id for sample in seeds[0]})
    low, high = tests.wilson(figures.accuracy * items, items)
    # No pass@k: over the samples of all seeds it would be of different models.
    changes: Data = {"n": items, "seeds": len(seeds), "low": low, "high": high, "test_at": None}
    answers = len(seeds[0]) // items
    if answers > 1:  # Test@N of each training
        changes |= {"answers": answers, "solved": fmean(x for one in seeds for [x] in tests.solved(one).values())}
    return figures.model_dump() | changes


class Finding(Record):
    """A claim on one task. Differences are arm minus against, from -1 to 1; ``smallest`` would show in 80% of runs."""

    claim: str
    task: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    smallest: float
    seeds: tuple[int, int] = Field(description="trainings of either arm")
    verdict: Verdict


def findings(claims: Mapping[str, Claim], arms: Samples) -> list[Finding]:
    """Every claim about arms that were run, on every task. ``arms``: by arm a list of samples per training seed."""
    drafts = []
    for name, claim in claims.items():
        if claim.arm in arms and claim.against in arms:
            for task in dict.fromkeys(sample.task for sample in arms[claim.arm][0]):
                sides = [[tests.of_task(one, task) for one in arms[arm]] for arm in (claim.arm, claim.against)]
                drafts.append(_if_resolved(name, claim, task, *sides))
    corrected = tests.holm([draft.p for draft in drafts])
    decided = [{"p_holm": p, **({"verdict": "undecided"} if p >= 0.05 else {})} for p in corrected]
    return [draft.model_copy(update=each) for draft, each in zip(drafts, decided, strict=True)]


def _if_resolved(name: str, claim: Claim, task: str, ours: list[list[Sample]], others: list[list[Sample]]) -> Finding:
    """A claim on one task, with the verdict that it has if its p value stays small among all."""
    from scipy.stats import t

    known = {"accuracy": tests.scores_by_item, "no_answer": tests.no_answers, "solved": tests.solved}
    scores = known[claim.metric]
    a, b = (scores([sample for one in side for sample in one]) for side in (ours, others))
    gaps = tests.item_gaps(a, b)
    difference = fmean(gaps.values())
    centre, item_error, items = tests.adjusted(gaps, tests.clusters_of(ours[0]))
    # Training again gives another model: the arms' means differ between seeds on the same items.
    spread = sum(_seed_error(scores, side) for side in (ours, others))
    error = math.hypot(item_error, math.sqrt(spread))
    freedom = float(items)
    if spread:  # Satterthwaite
        freedom = error**4 / (item_error**4 / freedom + spread**2 / (len(ours) - 1 + len(others) - 1))
    if claim.expect == "same":
        p, holds = tests.sameness(centre, error, freedom, claim.margin), abs(centre) < claim.margin
    else:
        p, holds = float(2 * t.sf(abs(centre) / error, freedom)), (difference > 0) == (claim.expect == "higher")
    half = float(t.ppf(0.975, freedom)) * error
    return Finding(
        claim=name, task=task, difference=difference, low=min(max(-1.0, centre - half), difference),
        high=max(min(1.0, centre + half), difference), p=p, p_holm=p,
        smallest=float(t.ppf(0.975, freedom) + t.ppf(0.8, freedom)) * error, seeds=(len(ours), len(others)),
        verdict="reproduced" if holds else "contradicted",
    )  # fmt: skip


def _seed_error(scores: tests.Measure, side: list[list[Sample]]) -> float:
    """Squared standard error of an arm's mean by its training seeds; 0 where there is but one."""
    means = [fmean(fmean(item) for item in scores(one).values()) for one in side]
    return variance(means) / len(means) if len(means) > 1 else 0.0


def published(claim: Claim) -> dict[str, float]:
    """Published differences by the paper's tasks, in points; empty where the claim names no rows."""
    rows = published_rows(claim.published)["rows"] if claim.published else {}
    ours, others = rows.get(claim.arm, {}), rows.get(claim.against, {})
    shared = [task for task in ours if claim.metric in ours[task] and claim.metric in others.get(task, {})]
    return {task: round(ours[task][claim.metric] - others[task][claim.metric], 2) for task in shared}
