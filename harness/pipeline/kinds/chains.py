"""The chains of a search, from the trees of all its shards, in one vocabulary. No stage of a recipe by itself."""

from collections.abc import Mapping
from pathlib import Path

from harness.chains.extract import chains_of_search
from harness.journal import write_rows
from harness.models.loading import load_tokenizer
from harness.pipeline.kind import Job, Kind, Params, Report
from harness.pipeline.sources import problem_count, problems_of
from harness.search.stats import SearchYield
from harness.search.store import Forest


class Chains(Kind):
    name = "chains"
    quick = True

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        vocabulary = job.models["tokenizer"]
        tokenizer = load_tokenizer(vocabulary.tokenizer or vocabulary.model)
        problems, total = problems_of(job), SearchYield()
        forest = Forest(*(inputs[f"shard{shard}"] / "tree" for shard in range(job.params["shards"])))
        by_problem = chains_of_search(forest, [problem.id for problem in problems], tokenizer, total)
        write_rows(folder / "chains.jsonl", (chain.model_dump() for _, chains in by_problem for chain in chains))
        write_rows(folder / "problems.jsonl", (problem.model_dump() for problem in problems))
        return total.figures()

    def summary(self, figures: Params) -> str:
        f = figures
        generator, critic = (f"{f['nodes'][r]:,} nodes, {f['tokens'][r]:,} tokens" for r in ("generator", "critic"))
        families = (
            f"\n  {family}: {each['with_correct']} with a correct chain, {each['with_both']} with both; "
            f"{each['correct_chains']} and {each['wrong_chains']} chains"
            for family, each in f["by_family"].items()
        )
        return (
            f"{f['correct_chains']:,} correct and {f['wrong_chains']:,} wrong chains\n\n"
            f"search: {f['problems']} problems; {100 * f['with_correct']:.1f} % got a verified correct chain,\n"
            f"  {100 * f['with_both']:.1f} % a correct and a wrong one; {f['rollouts']:,} rollouts\n"
            f"  backtracking: {f['reflections']:,} reflections by the critic, {f['reflections_followed']:,} followed\n"
            f"  generator: {generator}; critic: {critic}"
        ) + "".join(families)

    def items(self, job: Job, inputs: Mapping[str, int | None]) -> int | None:
        return problem_count(job)
