"""KTO on all verified chains of the trees of a search: the correct ones are desirable, the wrong ones are not."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from harness.pipeline.kind import Job, Params
from harness.pipeline.training import ChainsStage, Row, Switches, Training, TrainingScale, fitting
from harness.records import Chain
from harness.spec import knob
from harness.training.spec import KtoObjective


class KtoStage(ChainsStage):
    kind: Literal["kto"]
    says = "{kind} on {chains}"
    needs = {"model": "model", "chains": "pairs"}
    objective: KtoObjective = knob(KtoObjective(), "The switches of this arm.")


class KtoScale(TrainingScale):
    """The dose of KTO."""

    learning_rate: float = knob(1e-6, "Peak, after the warm-up.", gt=0)


class Kto(Training):
    name = "kto"
    line = "{desirable} desirable and {undesirable} undesirable chains, {steps} steps, loss {loss:g}"
    stage = KtoStage
    scale = KtoScale

    def data(self, job: Job, folder: Path, chains: Iterator[Chain]) -> tuple[list[Row], Switches, Params]:
        sides: dict[bool, list[Row]] = {True: [], False: []}
        for chain in chains:
            sides[chain.correct].append({"prompt_ids": chain.prompt_ids, "completion_ids": chain.token_ids})
        sides = {side: fitting(job, rows, "correct chains" if side else "wrong chains") for side, rows in sides.items()}
        rows = [row | {"desirable": side} for side, of in sides.items() for row in of]
        counts = {"desirable": len(sides[True]), "undesirable": len(sides[False])}
        return rows, KtoObjective(**job.params["objective"]), counts

    def maker(self) -> Any:
        from harness.training.kto import trainer_of

        return trainer_of

    def items(self, job: Job, inputs: Mapping[str, int | None]) -> int | None:
        return None  # how many chains the trees hold is not known before
