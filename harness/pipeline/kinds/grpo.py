"""GRPO on the problems of the search, with the verdicts of our graders as reward."""

from typing import Literal

from harness.pipeline.online import Online, OnlineScale
from harness.pipeline.training import LearningStage
from harness.training.spec import Grouped, GrpoObjective, GrpoSwitches


class GrpoStage(LearningStage, GrpoSwitches):
    kind: Literal["grpo"]
    says = "{kind} by verdicts, weight of length {length:g}"


class GrpoScale(OnlineScale, Grouped):
    """The dose of GRPO; a step has ``batch_size`` prompts with ``answers`` each."""


class Grpo(Online):
    name = "grpo"
    line = (
        "{rows} prompts, {sampled_tokens:,} tokens sampled, {steps} steps; at the end {end[correct]:.0%} correct, "
        "{end[share_cut]:.0%} cut, {end[share_zero_variance]:.0%} of the groups without a difference"
    )
    stage = GrpoStage
    scale = GrpoScale
    objective = GrpoObjective
