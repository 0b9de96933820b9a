"""The leaderboard: arms by rows, tasks by columns, differences to the control arm with paired intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import NoRuns
from harness.evaluation.plan import load_samples
from harness.records import Sample
from harness.results.runs import load as load_run
from harness.results.statistics import Gap, paired, wilson
from harness.results.summary import row, scores_by_item


@dataclass(frozen=True)
class Cell:
    """One arm on one task: the figures of its row and the difference to the control arm (None for the control)."""

    figures: dict[str, Any]
    difference: Gap | None


@dataclass(frozen=True)
class Board:
    title: str
    control: str
    tasks: list[str]
    runs: dict[str, list[str]]
    cells: dict[tuple[str, str], Cell]

    def rows(self) -> list[dict[str, Any]]:
        """One mapping per arm and task, in the stable form of ``harness leaderboard --json``."""
        out = []
        for arm, runs in self.runs.items():
            for task in self.tasks:
                cell = self.cells[arm, task]
                out.append({"run": "+".join(r[:8] for r in runs), "arm": arm, "task": task, **cell.figures,
                            "difference": cell.difference and cell.difference.as_dict()})  # fmt: skip
        return out


def saved(store: Path, name: str | None = None) -> Path:
    """The newest run of recipe ``name`` (default: of any), or the run whose id begins so. Raises NoRuns."""
    found, known = [], set()
    for file in (store / "recipes").glob("*/run.json"):
        data = json.loads(file.read_text())
        known.add(data["recipe"])
        if name is None or data["recipe"] == name or file.parent.name.startswith(name):
            found.append((data["manifest"]["date"], file.stat().st_mtime_ns, file))
    if not found:
        which = f"of {name!r} " if name else ""
        there = (
            f"there are {', '.join(sorted(known))}"
            if known
            else f"run 'harness run-recipe {name or 'ablation_full'}' first"
        )
        raise NoRuns(f"no finished recipe {which}in {store}; {there}")
    return max(found)[-1]


def title_of(path: Path) -> str:
    """Recipe and profile of a recorded run."""
    data = json.loads(path.read_text())
    return f"{data['recipe']} ({data['profile']})"


def load(store: Path, path: Path) -> Board:
    """Build the board of a saved recipe result from the samples of its runs."""
    data = json.loads(path.read_text())
    return build(title_of(path), data["control"], data["arms"], samples_of(store, data["arms"]))


def of_file(path: Path) -> Board:
    """The board that ``harness leaderboard --json`` wrote to a file. Raises NoRuns for anything else."""
    try:
        data = json.loads(path.read_text())
        rows, control = data["rows"], data["control"]
        cells = {
            (row["arm"], row["task"]): Cell(row, None if row["difference"] is None else Gap(**row["difference"]))
            for row in rows
        }
        runs = {row["arm"]: row["run"].split("+") for row in rows}
        if not rows or not all(row.keys() >= _SHOWN for row in rows):
            raise KeyError("no rows, or rows without the figures of a table")
        return Board(data["title"], control, list(dict.fromkeys(row["task"] for row in rows)), runs, cells)
    except (ValueError, KeyError, TypeError) as error:
        raise NoRuns(f"{path}: not what 'harness leaderboard --json' writes ({error!r})") from None


def samples_of(store: Path, arms: dict[str, list[str]]) -> dict[str, list[list[Sample]]]:
    """The samples of each arm, one list per training seed. Raises NoRuns where some are gone."""
    for arm, digests in arms.items():
        for digest in digests:
            if not (store / "stages" / digest / "samples.jsonl").exists():
                raise NoRuns(f"{arm}: the samples of run {digest} are gone from {store}; run the recipe again")
    return {arm: [load_samples(store / "stages" / digest) for digest in digests] for arm, digests in arms.items()}


def of_runs(store: Path, names: Sequence[str]) -> Board:
    """A board of single evaluations, the first as control, over the tasks that all have. Raises NoRuns."""
    runs = [load_run(store, name) for name in names]
    shared = [task for task in runs[0].tasks if all(task in run.tasks for run in runs)]
    if not shared:
        raise NoRuns(f"no task in all of {', '.join(names)}")
    arms = {run.name[:12]: run for run in runs}
    samples = {arm: [[s for s in run.samples if s.task in shared]] for arm, run in arms.items()}
    for task in shared:
        items = [{s.problem_id for s in run.of(task)} for run in runs]
        odd = {name for some in items for name in some if not all(name in other for other in items)}
        if odd:
            raise NoRuns(
                f"{task}: {len(odd)} items are not in all runs, for example {min(odd)}; evaluate the same ones"
            )
    return build("evaluations", next(iter(arms)), {arm: [run.name] for arm, run in arms.items()}, samples)


def build(title: str, control: str, runs: dict[str, list[str]], samples: dict[str, list[list[Sample]]]) -> Board:
    """A board from the samples of each arm, one list per training seed."""
    first = next(iter(samples.values()))[0]
    tasks = list(dict.fromkeys(sample.task for sample in first))
    cells = {}
    for arm, seeds in samples.items():
        for task in tasks:
            mine = [[s for s in one if s.task == task] for one in seeds]
            theirs = [[s for s in one if s.task == task] for one in samples[control]]
            gap = None if arm == control else paired(_scores(mine), _scores(theirs))
            cells[arm, task] = Cell(_figures(mine), gap)
    return Board(title, control, tasks, runs, cells)


def _figures(seeds: list[list[Sample]]) -> dict[str, Any]:
    """Row figures over all seeds. The interval counts items, not samples: seeds of one item are no new evidence."""
    figures = row([sample for one in seeds for sample in one])
    items = len({sample.problem_id for sample in seeds[0]})
    low, high = wilson(figures["accuracy"] * items, items)
    figures |= {"n": items, "seeds": len(seeds), "low": low, "high": high}
    figures.pop("test_at", None)  # over the samples of all seeds, which are of different models
    answers = len(seeds[0]) // items
    if answers > 1:  # Test@N of each training
        solved = [max(scores) for one in seeds for scores in scores_by_item(one).values()]
        figures |= {"answers": answers, "solved": sum(solved) / len(solved)}
    return figures


def _scores(seeds: list[list[Sample]]) -> dict[str, list[float]]:
    return scores_by_item([sample for one in seeds for sample in one])


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def interval(low: float, high: float, signed: bool = False) -> str:
    form = "{:+.0f}" if signed else "{:.0f}"
    return f"{form.format(100 * low)}…{form.format(100 * high)}"


def cell_lines(cell: Cell) -> Sequence[str]:
    """Three short lines: accuracy, difference to the control, no-answer split with median thinking tokens; Test@N."""
    f, gap = cell.figures, cell.difference
    second = "control"
    if gap is not None:
        mark = "*" if gap.low > 0 or gap.high < 0 else ""
        second = f"Δ {100 * gap.difference:+.1f} [{interval(gap.low, gap.high, True)}]{mark}"
    causes = "".join(f" {label}{percent(f[key], 0)}" for key, label in _CAUSES if f[key] > 0.005)
    missing = percent(f["no_answer"], 1 if f["no_answer"] < 0.1 else 0)
    at_n = (f"@{f['answers']} {percent(f['solved'])}",) if "solved" in f else ()
    return (
        f"{percent(f['accuracy'])} [{interval(f['low'], f['high'])}] |{percent(f['accuracy_answered'])}",
        second,
        f"na {missing}{causes}, {f['median_thinking_tokens']:.0f}t",
        *at_n,
    )


_SHOWN = {
    "accuracy", "accuracy_answered", "low", "high", "no_answer", "unfinished", "empty", "failed", "loops",
    "median_thinking_tokens",
}  # fmt: skip
_CAUSES = (("unfinished", "u"), ("empty", "e"), ("failed", "f"), ("loops", "l"))
LEGEND_AT_N = "@N: solved at least once in N answers, %"
LEGEND = (
    "line 1: accuracy % [95% interval] | accuracy given an answer",
    "line 2: difference to control in points [95% paired interval]; * excludes 0",
    "line 3: no-answer %, of it u unfinished, e empty, f grader failed; l ends in a",
    "        repetition loop; median thinking tokens",
)
