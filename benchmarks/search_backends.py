"""The search on the shipped tiny models: tokens per second against the bare backend with the same requests.

    python benchmarks/search_backends.py [--vllm COMMAND] [--problems 240] [--quick] [--json]

In process (hf), each model completes the batches of the search once more, with nothing else to do (ratio), and then the
same requests in full batches sorted by length, as if all were known from the start (ratio_sorted). Over a server
(vLLM, where --vllm names its program), the same requests are sent again, as many at once. Searches and replays take
turns, because a shared machine is faster at one minute than at the next.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from harness.grading.grade import Grader
from harness.models.backends import opened
from harness.models.backends.hf import HFCompleter
from harness.models.base import Completion, Request
from harness.models.loading import resolve
from harness.models.spec import ModelSpec
from harness.problems.embedded import FAMILIES, problems
from harness.records import Problem
from harness.search.grammar import load
from harness.search.launch import run as run_search
from harness.search.run.roles import Role
from harness.search.run.work import GraderVerifier, Search
from harness.search.spec import Goals
from harness.search.store import Settings, Store

MODELS = {"generator": "shipped:generator-qwen2", "critic": "shipped:generator-llama"}


class Recorded:
    """A completer that remembers what it was asked."""

    def __init__(self, completer: Any) -> None:
        self.inner = completer
        self.digest = completer.digest
        self.lockstep = completer.lockstep
        self.asked: list[Request] = []
        self.batches: list[list[Request]] = []
        if hasattr(completer, "generate"):
            self._generate, completer.generate = completer.generate, self.generate

    def generate(self, requests: list[Request]) -> list[Completion]:
        self.batches.append(list(requests))
        return self._generate(requests)  # type: ignore[no-any-return]

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request)
        return await self.inner.complete(request)  # type: ignore[no-any-return]


def some(number: int) -> list[Problem]:
    return [p for family in FAMILIES for p in problems(family, "search", number // len(FAMILIES))]


def search(roles: dict[str, Role], number: int, window: int, chunk: int, seed: int = 0) -> tuple[int, float]:
    """(generated tokens, seconds) of a search: grading and journal included, drawing the problems not."""
    settings, asked = Settings(grammar=load("embedded"), goals=Goals(), seed=seed, in_flight=4), some(number)
    with Grader() as grader, tempfile.TemporaryDirectory() as folder:
        grader.load(list(FAMILIES))
        for problem in some(9):
            grader.grade(problem.family, problem.gold, "</think>1")
        with Store(Path(folder), settings) as store:
            started = time.monotonic()
            search = Search(
                settings=settings, roles=roles, verifier=GraderVerifier(grader), window=window, chunk=chunk
            )  # fmt: skip
            run_search(search, asked, store)
            seconds = time.monotonic() - started
    return sum(role.tokens for role in set(roles.values())), seconds


def in_process(number: int, batch: int, rounds: int = 2) -> dict[str, float]:
    completers = {role: Recorded(HFCompleter(resolve(name), batch, threads=2)) for role, name in MODELS.items()}
    roles = {role: Role([completer], completer.inner.tokenizer) for role, completer in completers.items()}
    for completer in completers.values():
        completer.inner.generate([Request((1, 2, 3), 8)] * batch)
    searched, again, ordered = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
    for seed in range(1, rounds + 1):
        for role, completer in completers.items():
            roles[role].tokens, completer.asked, completer.batches = 0, [], []
        _add(searched, search(roles, number, number, batch, seed))
        _add(again, _bare([(c.inner, each) for c in completers.values() for each in list(c.batches)]))
        runs = []
        for completer in completers.values():
            asked = sorted(completer.asked, key=lambda request: len(request.prompt_ids))
            runs += [(completer.inner, asked[start : start + batch]) for start in range(0, len(asked), batch)]
        _add(ordered, _bare(runs))
    requests = sum(len(c.asked) for c in completers.values())
    figures = report("hf", *searched, *again, requests, batch)
    best = ordered[0] / ordered[1]
    figures["hf_ratio_sorted"] = round(searched[0] / searched[1] / best, 3)
    return figures | {"hf_sorted_tokens_per_second": round(best, 1)}


def _bare(batches: list[tuple[Any, list[Request]]]) -> tuple[int, float]:
    started = time.monotonic()
    tokens = sum(len(c.token_ids) for model, requests in batches for c in model.generate(requests))
    return tokens, time.monotonic() - started


def _add(total: list[float], more: tuple[float, float]) -> None:
    total[0], total[1] = total[0] + more[0], total[1] + more[1]


def over_vllm(command: str, number: int, batch: int, rounds: int = 2) -> dict[str, float]:
    """Searches and bare replays in turn on one server, without its prefix cache, which a replay would find filled.

    The server takes ``batch`` sequences at once; both keep as many again waiting there.
    """
    concurrency = 2 * batch
    # Chunked prefill with seeded requests ends vLLM 0.32.0 on CPU ("CPU Generator does not use offset").
    arguments = ("--max-model-len", "1024", "--dtype", "float32", "--gpu-memory-utilization", "0.2")
    arguments += ("--no-enable-chunked-prefill", "--no-enable-prefix-caching", "--max-num-seqs", str(batch))
    spec = ModelSpec(
        model=MODELS["generator"], backend="vllm", concurrency=concurrency, vllm=command, vllm_arguments=arguments
    )
    totals = [0.0, 0.0, 0.0, 0.0]
    with tempfile.TemporaryDirectory() as place, opened(spec, Path(place)) as (completer, tokenizer):
        recorded = Recorded(completer)
        role = Role([recorded], tokenizer, slots=concurrency)
        search({"generator": role, "critic": role}, 30, concurrency, batch)  # compiles, imports
        for seed in range(1, rounds + 1):
            role.tokens, recorded.asked = 0, []
            tokens, seconds = search({"generator": role, "critic": role}, number, concurrency, batch, seed)
            started = time.monotonic()
            found = asyncio.run(all_of(completer, recorded.asked))
            more = (tokens, seconds, sum(len(c.token_ids) for c in found), time.monotonic() - started)
            totals = [total + part for total, part in zip(totals, more, strict=True)]
            requests = len(recorded.asked)
    return report("vllm", *totals, requests, batch)


async def all_of(completer: Any, requests: list[Request]) -> list[Completion]:
    return list(await asyncio.gather(*(completer.complete(request) for request in requests)))


def report(
    name: str, tokens: float, seconds: float, bare_tokens: float, bare: float, requests: int, batch: int
) -> dict[str, float]:
    return {
        f"{name}_requests": requests, f"{name}_at_once": batch,
        f"{name}_tokens_per_second": round(tokens / seconds, 1),
        f"{name}_bare_tokens_per_second": round(bare_tokens / bare, 1),
        f"{name}_ratio": round(tokens / seconds / (bare_tokens / bare), 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vllm", help="the program that serves, as in 'harness eval --vllm'")
    parser.add_argument("--problems", type=int, default=240)
    parser.add_argument("--at-once", type=int, default=32, help="rows of a batch, requests in flight")
    parser.add_argument("--quick", action="store_true", help="120 problems")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    number = 120 if told.quick else told.problems
    result = in_process(number, told.at_once)
    if told.vllm:
        result |= over_vllm(told.vllm, number, told.at_once)
    if told.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:<32}{value:>12}")
    print("target: each ratio at least 0.9")


if __name__ == "__main__":
    main()
