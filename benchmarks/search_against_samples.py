"""A search beside plain samples of its generator: which problems either solves, and for how many tokens.

    harness search run --model GENERATOR --critic CRITIC --problems problems.jsonl --grammar math ... --out TREES
    harness eval --model GENERATOR --task-path TASKS --tasks NAME --samples 8 --temperature 0.7 --top-p 0.95 --out RUN
    python benchmarks/search_against_samples.py TREES RUN [--json]

The task's problems have the ids of the search's. docs/search.md, Real models, shows both commands in full.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from harness.evaluation.plan import load_samples
from harness.search.store import folded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()

    samples = defaultdict(list)
    for sample in load_samples(told.run):
        samples[sample.problem_id].append(sample)
    chain, spent = dict[str, bool](), dict[str, int]()
    for stored, tree, _ in folded(told.trees):
        name = stored.problem.id
        chain[name] = any(node.result.verdict == "correct" for node in tree.written() if node.result)
        spent[name] = sum(row["generated"] for row in stored.rows)
    if missing := chain.keys() - samples.keys():
        raise SystemExit(f"{told.run}: has no sample of {len(missing)} problems of {told.trees}, first {min(missing)}")
    solved = {name for name in chain if any(each.grade.verdict == "correct" for each in samples[name])}
    tokens = {name: sum(len(each.token_ids) for each in samples[name]) for name in chain}
    both = [name for name in solved if chain[name]]
    figures = {
        "problems": len(chain),
        "samples_each": len(next(iter(samples.values()))),
        "solved_by_samples": len(solved),
        "with_verified_chain": sum(chain.values()),
        "of_solved_with_chain": len(both) / max(1, len(solved)),
        "of_solved_with_chain_at_no_more_tokens": sum(spent[n] <= tokens[n] for n in both) / max(1, len(solved)),
        "tokens_of_samples": sum(tokens.values()),
        "tokens_of_search": sum(spent.values()),
    }
    print(json.dumps(figures, indent=1) if told.json else "\n".join(f"{k}: {v:.4g}" for k, v in figures.items()))


if __name__ == "__main__":
    main()
