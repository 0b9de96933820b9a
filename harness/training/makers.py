"""Which trainer an objective has, for callers that learn the objective as they run.

A kind of stage names the one of its own, so that its digest follows no more than what it runs.
"""

from __future__ import annotations

from harness.training.spec import AnyObjective, KtoObjective, Sampling
from harness.training.train import Maker


def maker_of(objective: AnyObjective) -> Maker:
    if isinstance(objective, KtoObjective):
        from harness.training import kto

        return kto.trainer_of
    if isinstance(objective, Sampling):
        from harness.training import online

        return online.trainer_of
    from harness.training import trainer

    return trainer.trainer_of
