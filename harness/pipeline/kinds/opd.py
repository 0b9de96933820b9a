"""On-policy distillation: the student's own answers to the problems of the search, under a teacher's distribution."""

from typing import Literal

from harness.pipeline.online import Online, OnlineScale
from harness.pipeline.training import LearningStage
from harness.spec import knob
from harness.training.spec import OpdObjective, OpdSwitches


class OpdStage(LearningStage, OpdSwitches):
    kind: Literal["opd"]
    says = "{kind} from {teacher}, on {share:.0%} of each answer"
    needs = {"model": "model", "teacher": "model"}
    teacher: str = knob("teacher", "A model of the same vocabulary, of the profile or a stage.")


class OpdScale(OnlineScale):
    """The dose of on-policy distillation."""


class Opd(Online):
    name = "opd"
    line = (
        "{rows} prompts, {sampled_tokens:,} tokens sampled, {steps} steps, divergence {loss:g}; at the end "
        "{end[share_cut]:.0%} of the answers cut"
    )
    stage = OpdStage
    scale = OpdScale
    objective = OpdObjective
