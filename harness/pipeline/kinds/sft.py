"""SFT on the correct chains of a search or of a teacher."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from harness.chains.select import SftRule, sft_chains
from harness.pipeline.kind import Job, Params, part_of
from harness.pipeline.training import Row, Switches, TrainedStage, Training, TrainingScale, fitting
from harness.records import Chain
from harness.training.spec import SftObjective


class SftStage(TrainedStage, SftRule):
    kind: Literal["sft"]
    says = "{kind} on {chains}, {rule}"


class SftScale(TrainingScale):
    """The dose of SFT."""


class Sft(Training):
    name = "sft"
    line = "{rows} rows of {mean_tokens:g} tokens, {steps} steps, loss {loss:g}"
    stage = SftStage
    scale = SftScale

    def data(self, job: Job, folder: Path, chains: Iterator[Chain]) -> tuple[list[Row], Switches, Params]:
        chosen = sft_chains(chains, part_of(SftRule, job.params), job.params["seed"])
        every = [{"prompt_ids": c.prompt_ids, "completion_ids": c.token_ids} for c in chosen]
        rows = fitting(job, every, "correct chains")
        mean = round(sum(len(row["completion_ids"]) for row in rows) / len(rows), 1)
        return rows, SftObjective(), {"mean_tokens": mean}
