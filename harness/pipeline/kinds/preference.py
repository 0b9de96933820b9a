"""DPO in any of its variants, on pairs of a search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.chains.spec import LengthRule, PairRule
from harness.pipeline.trained import TrainedStage, Training, TrainingScale, fields_of
from harness.spec import knob
from harness.training.spec import Objective

if TYPE_CHECKING:
    from harness.pipeline.job import Job, Params, Report


class ArmObjective(Objective):
    """Switches of the preference objective; beta comes with the dose, the same for every arm that names none."""

    beta: float | None = knob(None, "Strength of the pull to the reference; default: the profile's.", gt=0)  # type: ignore[assignment]


class PreferenceStage(TrainedStage, PairRule):
    """DPO in any of its variants, on pairs of a search."""

    kind: Literal["preference"]
    needs: ClassVar[Mapping[str, str]] = {"model": "model", "chains": "pairs"}
    chosen: LengthRule = knob("longest", "Which of a problem's correct chains is the chosen one, by length.")
    objective: ArmObjective = knob(ArmObjective(), "The switches of this arm.")

    @property
    def length(self) -> str:
        return self.chosen


class PreferenceScale(TrainingScale):
    """The dose of preference training."""

    beta: float = knob(0.1, "Strength of the pull to the reference.", gt=0)


class Preference(Training):
    name = "preference"
    stage = PreferenceStage
    scale = PreferenceScale

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        from harness.pipeline.training import train_preference

        switches = job.params["objective"]
        beta = switches["beta"] or job.params["dose"]["beta"]
        return train_preference(  # arms that differ in the objective alone share what is computed of their reference
            rule=fields_of(PairRule, job.params), objective=Objective(**{**switches, "beta": beta}),
            reference=folder.parent.parent / "reference", **self.given(job, folder, inputs, report),
        )  # fmt: skip

    def summary(self, figures: Params) -> str:
        f = figures
        lengths = f"{f['chosen_tokens']:g} against {f['rejected_tokens']:g} tokens"
        return f"{f['pairs']} pairs, {lengths}, {f['steps']} steps, loss {f['loss']:g}"


KIND = Preference()
