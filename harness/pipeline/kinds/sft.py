"""SFT on the correct chains of a search or of a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.chains.spec import SftRule
from harness.pipeline.trained import TrainedStage, Training, TrainingScale, fields_of

if TYPE_CHECKING:
    from harness.pipeline.job import Job, Params, Report


class SftStage(TrainedStage, SftRule):
    """SFT on the correct chains of a search or of a teacher."""

    kind: Literal["sft"]

    @property
    def length(self) -> str:
        return self.rule


class SftScale(TrainingScale):
    """The dose of SFT."""


class Sft(Training):
    name = "sft"
    stage = SftStage
    scale = SftScale

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        from harness.pipeline.training import train_sft

        return train_sft(rule=fields_of(SftRule, job.params), **self.given(job, folder, inputs, report))

    def summary(self, figures: Params) -> str:
        f = figures
        return f"{f['rows']} rows of {f['mean_tokens']:g} tokens, {f['steps']} steps, loss {f['loss']:g}"


KIND = Sft()
