"""The search against the original generator and against rejection sampling, over a simulated pair of models.

    python benchmarks/search_throughput.py [--original DIR] [--seeds 20] [--no-cache] [--quick] [--json]

Simulated time: two servers with slots, a queue and a prefix cache; texts and answers depend on the path (simulated/).
``--original DIR``: a checkout of AIDC-AI/Marco-o1, run unmodified; without it our re-implementation of its policy
stands in. Client processor time comes from one more run over real HTTP with the real grader.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.simulated import over_http
from benchmarks.simulated.arms import Outcome, drive, rejection
from benchmarks.simulated.released import run_released
from benchmarks.simulated.world import PRESETS, World
from harness.models.loading import load_tokenizer, resolve
from harness.search.grammar import load
from harness.search.spec import Goals
from harness.search.store import Settings

# The original's thresholds: done at 8 correct chains. Ours may spend 40 rollouts and 40 reflections (the original up to
# 130 rollouts), and gives up after 24 that brought nothing.
GOALS = Goals(correct=8, wrong=1, rollouts=40, reflections=40, requests=300, give_up=24)
TARGETS = {
    "chains_per_second_vs_original": ("at least", 40.0),
    "tokens_per_chain_vs_original": ("at most", 0.5),
    "chains_vs_rejection": ("at least", 1.3),
    "never_visited": ("at most", 0.1),
    "reflections_followed": ("at least", 0.9),
    "idle": ("at most", 0.05),
    "cpu_ms_per_request": ("at most", 1.0),
}


def settings(policy: str = "mcts", in_flight: int = 4, seed: int = 0) -> Settings:
    goals = GOALS.model_copy(update={"requests": 0}) if policy == "original" else GOALS  # it stops by rules of its own
    return Settings(
        grammar=load("marco_o1_demo"), goals=goals, policy=policy, seed=seed, in_flight=in_flight
    )  # fmt: skip


def one_seed(preset: str, seed: int, told: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All arms on the same questions of one world; what each found and spent, by arm."""
    world, tokenizer = World(PRESETS[preset], seed), load_tokenizer(resolve("shipped:generator-qwen2"))
    slots = {"generator": round(0.7 * told.slots), "critic": told.slots - round(0.7 * told.slots)}

    def ours(window: int, in_flight: int = 4, policy: str = "mcts", deterministic: bool = True) -> Outcome:
        how = settings(policy, in_flight, seed)
        return drive(world, how, told.problems, tokenizer, slots, window, deterministic, told.cache)

    arms: dict[str, Outcome] = {"original, re-implemented": ours(1, 2, "original")}
    if told.original is not None:
        arms["original as released"] = run_released(told.original, world, told.problems)
    arms["ours"] = ours(told.window)
    arms["rejection, equal tokens"] = rejection(world, settings(seed=seed), arms["ours"].tokens_by_problem or {})
    if not told.quick and preset == "reflection":  # what each part of ours brings, in one world
        arms["original, k processes"] = ours(told.slots, 2, "original")
        arms["ours, 1 in flight"] = ours(1, 1)
        arms["ours, 1 tree"] = ours(1, 16)
        arms["ours, results as they come"] = ours(told.window, deterministic=False)
    return {name: row(outcome) for name, outcome in arms.items()}


def row(outcome: Outcome) -> dict[str, float]:
    f, meters = outcome.figures, outcome.meters.values()
    first = outcome.first_chain
    return {
        "problems": f["problems"],
        "chains": f["correct_chains"],
        "tokens": outcome.tokens,
        "seconds": outcome.seconds,
        "pairs": (f["pairs_per_1000_tokens"] or 0.0) * outcome.tokens / 1000,
        "nodes_never_visited": f["never_visited"],
        "reflections": f["reflections"],
        "followed": f["reflections_followed"],
        "idle": outcome.idle,
        "occupancy": outcome.occupancy,
        "with_correct": f["with_correct"],
        "computed_prompt": sum(m.uncached_tokens for m in meters),
        "first_chain": first[len(first) // 2] if first else math.nan,
        "first_chain_p99": first[int(0.99 * (len(first) - 1))] if first else math.nan,
    }


Rows = list[dict[str, float]]
FIGURES: dict[str, Callable[[Rows], float]] = {
    "chains_per_second": lambda r: total(r, "chains") / total(r, "seconds"),
    "tokens_per_chain": lambda r: total(r, "tokens") / total(r, "chains"),
    "pairs_per_1000_tokens": lambda r: 1000 * total(r, "pairs") / total(r, "tokens"),
    "never_visited": lambda r: statistics.fmean(x["nodes_never_visited"] for x in r),
    "reflections_followed": lambda r: total(r, "followed") / total(r, "reflections"),
    "idle": lambda r: statistics.fmean(x["idle"] for x in r),
    "occupancy": lambda r: statistics.fmean(x["occupancy"] for x in r),
    "chains_per_problem": lambda r: total(r, "chains") / total(r, "problems"),
    "problems_with_correct": lambda r: statistics.fmean(x["with_correct"] for x in r),
    "computed_prompt_per_token": lambda r: total(r, "computed_prompt") / total(r, "tokens"),
    "seconds_to_first_chain": lambda r: statistics.fmean(x["first_chain"] for x in r),
    "seconds_to_first_chain_p99": lambda r: statistics.fmean(x["first_chain_p99"] for x in r),
}


def total(rows: Rows, key: str) -> float:
    return sum(row[key] for row in rows)


def over_seeds(figure: Callable[[list[int]], float], seeds: int) -> list[float]:
    """A figure of all seeds together with its 95% interval, by bootstrap over seeds."""
    rng = random.Random(0)
    try:
        drawn = sorted(figure(rng.choices(range(seeds), k=seeds)) for _ in range(2000))
        return [figure(list(range(seeds))), drawn[49], drawn[1949]]
    except ZeroDivisionError:
        return [math.nan] * 3


def summary(found: list[dict[str, dict[str, float]]], original: str) -> dict[str, Any]:
    def of(arm: str, name: str) -> Callable[[list[int]], float]:
        return lambda seeds: FIGURES[name]([found[seed][arm] for seed in seeds])

    def ratio(arm: str, against: str, name: str) -> list[float]:
        return over_seeds(lambda seeds: of(arm, name)(seeds) / of(against, name)(seeds), len(found))

    return {
        "arms": {arm: {name: over_seeds(of(arm, name), len(found)) for name in FIGURES} for arm in found[0]},
        "chains_per_second_vs_original": ratio("ours", original, "chains_per_second"),
        "tokens_per_chain_vs_original": ratio("ours", original, "tokens_per_chain"),
        "chains_vs_rejection": ratio("rejection, equal tokens", "ours", "tokens_per_chain"),
    }


def show(preset: str, result: dict[str, Any]) -> None:
    print(f"\n{preset}: {PRESETS[preset].about}")
    keys = {
        "chains_per_second": "chains/s", "tokens_per_chain": "tokens/chain", "pairs_per_1000_tokens": "pairs/1k",
        "never_visited": "unvisited", "reflections_followed": "followed", "idle": "idle", "occupancy": "occupied",
        "chains_per_problem": "chains/problem", "seconds_to_first_chain": "s to first",
    }  # fmt: skip
    print(f"{'arm':<28}" + "".join(f"{name:>16}" for name in keys.values()))
    for arm, figures in result["arms"].items():
        cells = (f"{figures[k][0]:.3g} ±{(figures[k][2] - figures[k][1]) / 2:.1g}" for k in keys)
        print(f"{arm:<28}" + "".join(f"{cell if 'nan' not in cell else '–':>16}" for cell in cells))
    for key in ("chains_per_second_vs_original", "tokens_per_chain_vs_original", "chains_vs_rejection"):
        mean, low, high = result[key]
        print(f"{key}: {mean:.3g} [{low:.3g}, {high:.3g}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", type=Path, help="a checkout of AIDC-AI/Marco-o1")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--problems", type=int, default=48)
    parser.add_argument("--slots", type=int, default=128, help="of both servers together, shared 70 to 30")
    parser.add_argument("--presets", default=",".join(PRESETS))
    parser.add_argument("--no-cache", dest="cache", action="store_false", help="servers without a prefix cache")
    parser.add_argument("--records", type=Path, help="append every seed's figures here as they come (JSONL)")
    parser.add_argument("--window", type=int, default=40, help="problems that ours works on at once")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="4 seeds of 36 problems, one preset, the main arms")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    if told.quick:
        told = argparse.Namespace(**vars(told) | {"seeds": 4, "problems": 36, "presets": "reflection", "window": 28})
    original = "original as released" if told.original else "original, re-implemented"
    results = {}
    with ProcessPoolExecutor(told.workers, mp_context=get_context("spawn")) as pool:
        for preset in told.presets.split(","):
            found = []
            for seed, arms in enumerate(
                pool.map(one_seed, [preset] * told.seeds, range(told.seeds), [told] * told.seeds)
            ):
                found.append(arms)
                if told.records is not None:
                    with told.records.open("a", encoding="utf-8") as file:
                        file.write(json.dumps({"preset": preset, "seed": seed, "arms": arms}) + "\n")
            results[preset] = summary(found, original)
            if not told.json:
                show(preset, results[preset])
    http = over_http.measure(
        settings().model_copy(update={"seed": 1}),
        12 if told.quick else 120,
        told.slots,
        told.window,
        0.05 if told.quick else 0.1,
    )
    helps = results.get("reflection") or next(iter(results.values()))
    ours = helps["arms"]["ours"]
    figures = {name: helps[name][0] for name in list(TARGETS)[:3]}
    figures |= {name: ours[name][0] for name in ("never_visited", "reflections_followed", "idle")}
    figures |= {"cpu_ms_per_request": http["cpu_ms_per_request"]}
    report = {
        **figures,
        "original": original,
        "slots": told.slots,
        "seeds": told.seeds,
        "http": http,
        "presets": results,
    }
    if told.json:
        print(json.dumps(_finite(report), indent=1))
        return
    print(f"\nover real HTTP: {json.dumps(http)}")
    for name, value in figures.items():
        which, bound = TARGETS[name]
        met = value >= bound if which == "at least" else value <= bound
        print(f"{name:<32}{value:10.3f}   target: {which} {bound:g}   {'met' if met else 'MISSED'}")


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


if __name__ == "__main__":
    main()
