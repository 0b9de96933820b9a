"""The leaderboard: arms by rows, tasks by columns, paired differences to the control arm.

Where arms were trained several times, intervals and differences count the spread between trainings by the test that
decides claims (``results.crossed``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel, Field, ValidationError

from harness.errors import NoRuns
from harness.evaluation.plan import load_samples
from harness.files import read_json, reason_of
from harness.records import Record, Sample
from harness.results import crossed
from harness.results import statistics as tests
from harness.results.records import MAIN, Data, Gap, RunRecord, Summary
from harness.results.runs import load as load_run
from harness.results.statistics import Samples
from harness.results.store import Store
from harness.results.summary import row


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
    decoding: str = Field(default="", description="how answers were drawn, where a run has several ways")
    rows: list[Cell] = Field(min_length=1)
    retention: list[Cell] = Field(
        default=[], exclude_if=lambda rows: not rows, description="the arms on tasks that nothing was trained on"
    )

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


def decodings(record: RunRecord) -> dict[str, dict[str, list[str]]]:
    """Digests of a recorded run's evaluations, by decoding (the main one first) and arm.

    Where a further decoding is the same as the main one, as in a profile that is greedy throughout, it gives its name.
    """
    same = next((name for name, runs in record.decodings.items() if runs == record.arms), MAIN)
    return {same: record.arms} | {name: runs for name, runs in record.decodings.items() if name != same}


def of_record(record: RunRecord, store: Store, decoding: str = "") -> Board:
    """The board of a recorded run under one decoding (empty: the main one). Raises NoRuns where samples are gone, or
    for an unknown decoding."""
    known = decodings(record)
    decoding = decoding or next(iter(known))
    if decoding not in known:
        raise NoRuns(f"{record.title}: no decoding {decoding!r}; there are {', '.join(known)}")
    return of_samples(record, decoding, *_split(record, samples_of(store, known[decoding])))


def of_samples(record: RunRecord, decoding: str, samples: Samples, retention: Samples | None = None) -> Board:
    """The board of a recorded run under one decoding, from what its arms answered to the suite, and beside it."""
    known = decodings(record)
    runs = known[decoding]
    control = record.control if record.control in runs else next(iter(runs))
    made = build(record.title, control, runs, samples)
    apart = build(record.title, control, runs, retention).rows if retention else []
    return made.model_copy(update={"decoding": "" if [*known] == [MAIN] else decoding, "retention": apart})


def all_samples(record: RunRecord, store: Store) -> tuple[dict[str, Samples], dict[str, Samples]]:
    """The samples of a recorded run by decoding and arm. Raises NoRuns.

    First those of the suite, on which alone claims are tested; then those of the tasks beside it, empty without any.
    """
    split = {name: _split(record, samples_of(store, runs)) for name, runs in decodings(record).items()}
    suite = {name: samples for name, (samples, _) in split.items()}
    return suite, {name: samples for name, (_, samples) in split.items() if samples}


def _split(record: RunRecord, samples: Samples) -> tuple[Samples, Samples]:
    """Samples of the suite, and of the tasks beside it."""
    if not record.retention:
        return samples, {}
    beside = {*record.retention}
    suite, retention = (
        {arm: [[s for s in one if (s.task in beside) is kept] for one in seeds] for arm, seeds in samples.items()}
        for kept in (False, True)
    )
    return suite, retention


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


def samples_of(store: Store, arms: Mapping[str, Sequence[str]]) -> Samples:
    """The samples of each arm, one list for each training seed. Raises NoRuns where some are gone."""
    for arm, digest in ((arm, digest) for arm, digests in arms.items() for digest in digests):
        if not (store.stage(digest) / "samples.jsonl").exists():
            raise NoRuns(f"{arm}: the samples of run {digest} are gone from {store.folder}; run the recipe again")
    known = cache(lambda digest: load_samples(store.stage(digest)))  # greedy answers of the base: one for all seeds
    return {arm: [known(digest) for digest in digests] for arm, digests in arms.items()}


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
    rows = []
    for (arm, task), seeds in of.items():
        gap = None if arm == control else _gap(seeds, of[control, task])
        run = "+".join(name[:8] for name in dict.fromkeys(runs[arm]))
        rows.append(Cell(run=run, arm=arm, task=task, difference=gap, **_summary(seeds)))
    return Board(title=title, control=control, rows=rows)


def _gap(ours: list[list[Sample]], others: list[list[Sample]]) -> Gap:
    """A cell's difference to the control's; between single trainings over items alone."""
    if len(ours) == len(others) == 1:
        a, b = (tests.scores_by_item(side[0]) for side in (ours, others))
        return tests.paired(a, b, tests.clusters_of(ours[0]))
    return crossed.gap(*crossed.of_arm(ours), *crossed.of_arm(others))


def _summary(seeds: list[list[Sample]]) -> Data:
    """Figures over all trainings; where there are several, the interval counts them and the items."""
    figures = row([sample for one in seeds for sample in one])
    items = len({sample.problem_id for sample in seeds[0]})
    # No pass@k: over the samples of all seeds it would be of different models.
    changes: Data = {"n": items, "seeds": len(seeds), "test_at": None}
    if len(seeds) > 1:
        _, low, high = crossed.rate(crossed.of_arm(seeds))
        changes |= {"low": low, "high": high}
    answers = len(seeds[0]) // items
    if answers > 1:  # Test@N of each training
        changes |= {"answers": answers, "solved": fmean(x for one in seeds for [x] in tests.solved(one).values())}
    return figures.model_dump() | changes
