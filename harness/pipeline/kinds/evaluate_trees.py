"""The score of an arm whose answers to a problem are all drawn from one tree (arXiv 2503.01461, Table 7)."""

from harness.models.base import Sampler
from harness.pipeline.kind import Job, Params, Planner
from harness.pipeline.kinds.evaluate import Evaluate
from harness.pipeline.sources import SearchScale
from harness.search.decode import Trees
from harness.search.grammar import load


class EvaluateTrees(Evaluate):
    name = "eval tree"
    scale = None  # that of plain sampling

    def more(self, plan: Planner) -> tuple[Params, list[str]]:
        grammar = plan.scale(SearchScale).grammar
        return {"tree": grammar}, [load(grammar).model_dump_json()]

    def sampler(self, job: Job) -> Sampler:
        return Trees(budget=job.params["samples"], grammar=job.params["tree"])
