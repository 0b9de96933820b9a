"""DPO in any of its variants, on pairs of a search."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from harness.chains.select import LengthRule, PairRule, pairs
from harness.journal import write_rows
from harness.pipeline.kind import Job, Params, part_of
from harness.pipeline.training import Row, Switches, TrainedStage, Training, TrainingScale, fitting
from harness.records import Chain
from harness.spec import knob
from harness.training.spec import Objective
from harness.view import trainings


class ArmObjective(Objective):
    """Switches of the preference objective; beta comes with the dose, the same for every arm that names none."""

    beta: float | None = knob(None, "Strength of the pull to the reference; default: the profile's.", gt=0)  # type: ignore[assignment]


class PreferenceStage(TrainedStage, PairRule):
    kind: Literal["preference"]
    says = "{kind} on {chains}, {chosen}"
    needs = {"model": "model", "chains": "pairs"}
    chosen: LengthRule = knob("longest", "Which of a problem's correct chains is the chosen one, by length.")
    objective: ArmObjective = knob(ArmObjective(), "The switches of this arm.")


class PreferenceScale(TrainingScale):
    """The dose of preference training."""

    beta: float = knob(0.1, "Strength of the pull to the reference.", gt=0)


class Preference(Training):
    name = "preference"
    line = "{pairs} pairs, {chosen_tokens:g} against {rejected_tokens:g} tokens, {steps} steps, loss {loss:g}"
    stage = PreferenceStage
    scale = PreferenceScale
    sides = 2

    def data(self, job: Job, folder: Path, chains: Iterator[Chain]) -> tuple[list[Row], Switches, Params]:
        picked = pairs(chains, part_of(PairRule, job.params), job.params["seed"])
        write_rows(folder / "pairs.jsonl", (pair.model_dump() for pair in picked))
        columns = {"prompt_ids", "chosen_ids", "rejected_ids"}
        rows = fitting(job, [pair.model_dump(include=columns) for pair in picked], "pairs")
        switches = job.params["objective"]
        objective = Objective(**{**switches, "beta": switches["beta"] or job.params["dose"]["beta"]})
        totals = {
            "chosen_tokens": sum(len(p.chosen_ids) for p in picked),
            "rejected_tokens": sum(len(p.rejected_ids) for p in picked),
            "shared_tokens": sum(p.fork for p in picked),
        }
        means: Params = {name: round(total / len(picked), 1) for name, total in totals.items()}
        return rows, objective, means | {"length_normalized": objective.length_normalized}

    def summary(self, figures: Params) -> str:
        return ", ".join(part for part in (super().summary(figures), trainings.line(figures)) if part)
