"""The score of an arm whose answers to a problem are all drawn from one tree (arXiv 2503.01461, Table 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.pipeline.kind import Job, Params, Planner
from harness.pipeline.kinds.evaluate import Evaluate
from harness.pipeline.sources import SearchScale

if TYPE_CHECKING:
    from harness.models.base import Sampler


class EvaluateTrees(Evaluate):
    name = "eval tree"
    scale = None  # that of plain sampling

    def more(self, plan: Planner) -> tuple[Params, list[str]]:
        from harness.search.grammar import load

        grammar = plan.scale(SearchScale).grammar
        return {"tree": grammar}, [load(grammar).model_dump_json()]

    def sampler(self, job: Job) -> Sampler:
        from harness.search.decode import Trees

        return Trees(budget=job.params["samples"], grammar=job.params["tree"])


KIND = EvaluateTrees()
