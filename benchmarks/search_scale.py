"""Memory and cost of the search's driver in the number of problems, on models that answer at once.

    python benchmarks/search_scale.py [--problems 100000] [--quick] [--json]

Prints processor seconds per problem at 1,000 problems and at --problems, their ratio, and the peak memory of the
process at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.simulated.arms import BoxVerifier
from benchmarks.simulated.world import PRESETS, World, read_prompt
from harness.models.base import Completion, Request
from harness.models.loading import load_tokenizer, resolve
from harness.records import Problem
from harness.search.grammar import load
from harness.search.launch import run as run_search
from harness.search.run.roles import Role
from harness.search.run.work import Search
from harness.search.spec import Goals
from harness.search.store import Settings, Store


class AtOnce:
    """A model of the simulated world that takes no time."""

    digest = "world"
    lockstep = False

    def __init__(self, world: World, tokenizer: Any) -> None:
        self.world = world
        self.tokenizer = tokenizer

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(0)
        number, spans, kind, prefill = read_prompt(self.tokenizer.decode(request.prompt_ids))
        text = self.world.write(number, spans, kind, prefill, request.seed, 24)
        ids = self.tokenizer.encode(text.text, add_special_tokens=False)
        return Completion(text.text, tuple(ids), "stop", len(request.prompt_ids))


def problems(world: World, number: int) -> Iterator[Problem]:
    for i in range(number):
        gold = {"answer": world.gold(i)}
        yield Problem(id=f"p{i}", family="number", prompt=world.question(i), gold=gold, split="search")


def cost(number: int, tokenizer: Any, settings: Settings) -> tuple[float, int]:
    """Processor seconds per problem, and bytes written."""
    world = World(PRESETS["mixture"])
    role = Role([AtOnce(world, tokenizer)], tokenizer, slots=128)
    folder = Path(tempfile.mkdtemp())
    try:
        started = time.process_time()
        with Store(folder, settings) as store:
            search = Search(settings=settings, roles={"generator": role, "critic": role}, verifier=BoxVerifier())
            run_search(search, problems(world, number), store)
        spent = time.process_time() - started
        return spent / number, sum(file.stat().st_size for file in folder.iterdir())
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="8,000 problems")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    number = 8_000 if told.quick else told.problems
    tokenizer = load_tokenizer(resolve("shipped:generator-qwen2"))
    settings = Settings(grammar=load("embedded"), goals=Goals(correct=1, wrong=0, rollouts=3, reflections=1))
    cost(200, tokenizer, settings)  # imports and caches
    few, _ = cost(1_000, tokenizer, settings)
    many, written = cost(number, tokenizer, settings)
    result = {
        "problems": number,
        "ms_per_problem_at_1000": round(1000 * few, 3),
        "ms_per_problem": round(1000 * many, 3),
        "cost_ratio": round(many / few, 3),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "mib_written": round(written / 2**20),
    }
    if told.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:<24}{value:>12}")
    print("targets: cost_ratio at most 1.2, peak_mib under 1024")


if __name__ == "__main__":
    main()
