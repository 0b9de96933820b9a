"""Learning curves of a recipe's run: a leaderboard's figures, of models on the way through their training."""

from __future__ import annotations

from harness.records import Record
from harness.results import board as boards
from harness.results.board import Cell
from harness.results.records import MAIN, RunRecord
from harness.results.store import Store


class Point(Record):
    """An arm's model after a share of the steps of its stage (0: what it starts from; 1: the arm) on one task.

    ``cell``: figures over all trainings; its difference is to the first point of the curve.
    """

    share: float
    cell: Cell
    retention: bool


class Curve(Record):
    """The points of an arm, by share and task. ``decoding``: how answers were drawn."""

    arm: str
    decoding: str
    points: list[Point]

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(point.cell.task for point in self.points))


def curves(record: RunRecord, store: Store) -> list[Curve]:
    """The curves of a recorded run. Raises NoRuns where samples are gone."""
    out = []
    for arm, digests in record.curves.items():
        known = boards.decodings(record)
        decoding = next((name for name in known if known[name].get(arm) == digests[1.0]), MAIN)
        named = {str(share): runs for share, runs in digests.items()}
        made = boards.build(record.title, next(iter(named)), named, boards.samples_of(store, named))
        points = []
        for cell in made.rows:
            of_arm, beside = cell.model_copy(update={"arm": arm}), cell.task in record.retention
            points.append(Point(share=float(cell.arm), cell=of_arm, retention=beside))
        out.append(Curve(arm=arm, decoding=decoding, points=points))
    return out
