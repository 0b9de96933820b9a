"""The leaderboard: arms by rows, tasks by columns, differences to the control arm with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from harness.errors import NoRuns
from harness.evaluation.plan import load_samples
from harness.files import read_json, reason_of
from harness.records import Record, Sample
from harness.results.records import Gap, RunRecord, Summary
from harness.results.runs import load as load_run
from harness.results.statistics import of_task, paired, scores_by_item, wilson
from harness.results.store import Store
from harness.results.summary import row

Samples = Mapping[str, Sequence[Sequence[Sample]]]  # of each arm, one list for each training seed


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One arm on one task. ``difference``: to the control arm; None for the control itself."""

    summary: Summary
    difference: Gap | None


@dataclass(frozen=True, kw_only=True)
class Board:
    """``runs``: by arm, the names of its runs, one for each training seed. ``cells``: by arm and task."""

    title: str
    control: str
    tasks: list[str]
    runs: dict[str, list[str]]
    cells: dict[tuple[str, str], Cell]

    def rows(self) -> list[dict[str, Any]]:
        """JSON data: one row for each arm and task, in the stable form of ``harness leaderboard --json``."""
        return [
            {"run": "+".join(r[:8] for r in runs), "arm": arm, "task": task, **cell.summary.model_dump(),
             "difference": cell.difference and cell.difference.model_dump()}
            for arm, runs in self.runs.items()
            for task, cell in ((task, self.cells[arm, task]) for task in self.tasks)
        ]  # fmt: skip


class _Row(Summary):
    run: str
    arm: str
    task: str
    difference: Gap | None


class _BoardFile(Record):
    title: str
    control: str
    rows: list[_Row] = Field(min_length=1)


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
        kept = _BoardFile.model_validate(read_json(file))
    except ValidationError as error:
        raise NoRuns(f"{file}: not what 'harness leaderboard --json' writes ({reason_of(error)})") from None
    extra = set(_Row.model_fields) - set(Summary.model_fields)
    cells = {
        (r.arm, r.task): Cell(summary=Summary.model_validate(r.model_dump(exclude=extra)), difference=r.difference)
        for r in kept.rows
    }
    tasks = list(dict.fromkeys(r.task for r in kept.rows))
    runs = {r.arm: r.run.split("+") for r in kept.rows}
    gap = next(((arm, task) for arm in (kept.control, *runs) for task in tasks if (arm, task) not in cells), None)
    if gap is not None:
        raise NoRuns(f"{file}: not what 'harness leaderboard --json' writes (no row of {gap[0]} on {gap[1]})")
    return Board(title=kept.title, control=kept.control, tasks=tasks, runs=runs, cells=cells)


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
        if odd := set.union(*items) - set.intersection(*items):
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
    if depth > 1:
        return names
    return [
        next(name[:k] for k in range(12, 12 + len(name)) if sum(n[:k] == name[:k] for n in names) == 1)
        for name in names
    ]


def build(title: str, control: str, runs: Mapping[str, Sequence[str]], samples: Samples) -> Board:
    """A board from the samples of each arm, one list for each training seed."""
    tasks = list(dict.fromkeys(sample.task for sample in next(iter(samples.values()))[0]))
    cells = {}
    for task in tasks:
        of = {arm: [of_task(one, task) for one in seeds] for arm, seeds in samples.items()}
        scores = {arm: scores_by_item([sample for one in seeds for sample in one]) for arm, seeds in of.items()}
        for arm, seeds in of.items():
            gap = None if arm == control else paired(scores[arm], scores[control])
            cells[arm, task] = Cell(summary=_summary(seeds), difference=gap)
    return Board(title=title, control=control, tasks=tasks, runs={a: list(r) for a, r in runs.items()}, cells=cells)


def _summary(seeds: list[list[Sample]]) -> Summary:
    """Figures over all seeds. The interval counts items, not samples: seeds of one item are no new evidence."""
    figures = row([sample for one in seeds for sample in one])
    items = len({sample.problem_id for sample in seeds[0]})
    low, high = wilson(figures.accuracy * items, items)
    # No pass@k: over the samples of all seeds it would be of different models.
    changes = {"n": items, "seeds": len(seeds), "low": low, "high": high, "test_at": None}
    answers = len(seeds[0]) // items
    if answers > 1:  # Test@N of each training
        solved = [max(scores) for one in seeds for scores in scores_by_item(one).values()]
        changes |= {"answers": answers, "solved": sum(solved) / len(solved)}
    return figures.model_copy(update=changes)
