"""SFT on the correct chains of a search or of a teacher, or of two sources by a ratio."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from harness.chains.select import LengthRule, SftRule, sft_chains
from harness.pipeline.kind import Job, Params, Profiled, part_of
from harness.pipeline.training import Row, Switches, TrainedStage, Training, TrainingScale, fitting
from harness.records import Chain
from harness.spec import Spec, knob
from harness.training.spec import SftObjective


class Mix(Spec):
    """Further chains, in the place of some of the stage's own (arXiv 2502.12143: long with short, large with small)."""

    chains: str = knob(..., "The stage that yields them.")
    share: float = knob(..., "Their share of the rows.", gt=0, lt=1)
    rule: LengthRule | None = knob(None, "Length of these; default: the stage's rule.")


class SftStage(TrainedStage, SftRule):
    kind: Literal["sft"]
    says = "{kind} on {chains}, {rule}"
    mix: Mix | None = knob(None, "A second source of chains.")
    objective: SftObjective = knob(SftObjective(), "The switches of this arm.")

    @property
    def sources(self) -> dict[str, str]:
        return super().sources | ({"mix": self.mix.chains} if self.mix else {})

    def takes(self) -> dict[tuple[str, ...], tuple[str, str]]:
        return super().takes() | ({("mix", "chains"): (self.mix.chains, "chains")} if self.mix else {})

    def line(self, plan: Profiled) -> str:
        mixed = f"; {self.mix.share:.0%} on {self.mix.chains}, {self.mix.rule or self.rule}" if self.mix else ""
        return super().line(plan) + mixed


class SftScale(TrainingScale):
    """The dose of SFT."""


class Sft(Training):
    name = "sft"
    line = "{rows} rows of {mean_tokens:g} tokens, {steps} steps, loss {loss:g}"
    stage = SftStage
    scale = SftScale

    def data(
        self, job: Job, folder: Path, chains: Iterator[Chain], mix: Iterable[Chain] = ()
    ) -> tuple[list[Row], Switches, Params]:
        params, figures = job.params, Params()
        rows = _rows(job, chains, {})
        if added := params.get("mix"):
            others = _rows(job, mix, {"rule": added["rule"] or params["rule"]})
            rows, figures["mixed"] = mixed(rows, others, added["share"], params["seed"])
        figures["mean_tokens"] = round(sum(len(row["completion_ids"]) for row in rows) / len(rows), 1)
        return rows, SftObjective(**params.get("objective", {})), figures

    def summary(self, figures: Params) -> str:
        return super().summary(figures) + (f", {figures['mixed']} of them mixed in" if "mixed" in figures else "")


def _rows(job: Job, chains: Iterable[Chain], changes: dict[str, Any]) -> list[Row]:
    chosen = sft_chains(chains, part_of(SftRule, job.params | changes), job.params["seed"])
    return fitting(job, [{"prompt_ids": c.prompt_ids, "completion_ids": c.token_ids} for c in chosen], "correct chains")


def mixed(rows: list[Row], others: list[Row], share: float, seed: int) -> tuple[list[Row], int]:
    """As many rows as ``rows``, of which ``share`` are drawn from ``others``; how many these are.

    Fewer rows where there are too few others, so that the share is kept.
    """
    total = min(len(rows), int(len(others) / share + 0.5))
    added, rng = min(max(round(total * share), 1), len(others)), random.Random(f"mix/{seed}")
    return rng.sample(rows, total - added) + rng.sample(others, added), added
