"""What evaluation costs beside generation: `harness eval`'s own path against the same requests to the same backend.

Both sides generate the same tokens with the same model in this process; the harness side also builds prompts
through lm-eval, journals, grades, measures and writes its tables. Imports are outside both. Sides alternate; the
ratio is of the best times, which shared machines disturb least.

Overhead is per sample, so it weighs more the shorter the answers are. Reasoning models write hundreds to thousands of
tokens; the shipped student, about 60. By default its end of turn is therefore ignored, on both sides, and every sample
has 512 tokens. --natural takes its own short answers, 7 ms each: the hardest case.

    python benchmarks/eval_overhead.py [--rounds 3] [--count 64] [--natural] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["TQDM_DISABLE"] = os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=64, help="problems of each task")
    parser.add_argument("--natural", action="store_true", help="let the model end its answers")
    parser.add_argument("--quick", action="store_true", help="one round of two batches")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    rounds, count = (1, 42) if told.quick else (told.rounds, told.count)

    from harness.evaluation.evaluate import evaluate
    from harness.evaluation.plan import EvalPlan
    from harness.evaluation.spec import Decoding, ProblemData
    from harness.models.backends.hf import HFCompleter
    from harness.models.base import Request, complete_in_chunks, seed_of
    from harness.models.loading import resolve
    from harness.models.prompts import prompt_ids
    from harness.problems.load import load
    from harness.problems.registry import select

    model = HFCompleter(resolve("shipped:student"), threads=1)
    if not told.natural:
        model._eos = set()
    data = ProblemData(split="eval", count=count)
    tasks = select([], "embedded")
    decoding = Decoding(max_tokens=512, temperature=0.6)
    problems = [problem for task in tasks for problem in load(task.name, **data.given())]
    prompts = [prompt_ids(model.tokenizer, problem.prompt) for problem in problems]
    requests = [Request(ids, 512, 0.6, 1.0, seed=seed_of(0, ids, 0)) for ids in prompts]

    def direct() -> float:
        started = time.perf_counter()
        asyncio.run(complete_in_chunks(model, requests, lambda i: False, lambda results: None))
        return time.perf_counter() - started

    def harness(data: ProblemData = data) -> float:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            plan = EvalPlan(tasks=tasks, decoding=decoding, data=data)
            evaluate(model, model.tokenizer, plan, Path(folder))
            return time.perf_counter() - started

    harness(data.model_copy(update={"count": 2}))  # libraries are loaded, and the allocator is warm, on both sides
    model.generate(requests[:64])
    bare, whole = [], []
    for _ in range(rounds):
        before = model.generated_tokens
        bare.append(direct())
        middle = model.generated_tokens
        whole.append(harness())
        if middle - before != model.generated_tokens - middle:
            raise SystemExit("the sides generated different tokens; the comparison is void")
    ratio = min(whole) / min(bare)
    result = {
        "eval_overhead": round(ratio, 4), "direct_seconds": bare, "harness_seconds": whole, "samples": len(requests),
        "tokens": model.generated_tokens - middle,
    }  # fmt: skip
    if told.json:
        print(json.dumps(result))
    else:
        print(f"{len(requests)} samples: direct {min(bare):.2f} s, ", end="")
        print(f"harness {min(whole):.2f} s")
        print(f"harness eval takes {ratio:.3f} times the time of the bare generation")


if __name__ == "__main__":
    main()
