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
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.simulated import over_http
from benchmarks.simulated.arms import Outcome, drive, rejection
from benchmarks.simulated.released import run_released
from benchmarks.simulated.world import PRESETS, World
from harness.models.hf import load_tokenizer
from harness.models.shipped import resolve
from harness.search.grammar import load
from harness.search.nodes import Goals
from harness.search.store import Settings

# The original's thresholds: done at 8 correct chains. Ours may spend 40 rollouts and 40 reflections (the original up to
# 130 rollouts), and gives up after 24 that brought nothing.
GOALS = Goals(correct=8, wrong=1, rollouts=40, reflections=40, requests=300, give_up=24)
WINDOW = 40
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
    goals = replace(GOALS, requests=0) if policy == "original" else GOALS  # it stops by rules of its own
    return Settings(load("marco_o1_demo"), goals, policy, seed, in_flight)


def one_seed(preset: str, seed: int, told: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All arms on one world; figures by arm."""
    world, tokenizer = World(PRESETS[preset], seed), load_tokenizer(resolve("shipped:generator-qwen2"))
    slots = {"generator": round(0.7 * told.slots), "critic": told.slots - round(0.7 * told.slots)}

    def ours(number: int, window: int, in_flight: int = 4, policy: str = "mcts", deterministic: bool = True) -> Outcome:
        how = settings(policy, in_flight, seed)
        return drive(world, how, number, tokenizer, slots, window, deterministic, told.cache)

    arms: dict[str, Outcome] = {}
    few = 12
    arms["original, re-implemented"] = ours(few, 1, 2, "original")
    if told.original is not None:
        arms["original as released"] = run_released(told.original, world, few)
    arms["ours"] = ours(told.problems, WINDOW)
    arms["rejection, equal tokens"] = rejection(world, settings(seed=seed), arms["ours"].tokens_by_problem or {})
    if not (told.quick or told.main_arms) and preset == "reflection":  # what each part of ours brings, in one world
        arms["original, k processes"] = ours(min(told.slots, 32), told.slots, 2, "original")
        arms["ours, 1 in flight"] = ours(few, 1, 1)
        arms["ours, 1 tree"] = ours(few, 1, 16)
        arms["ours, results as they come"] = ours(told.problems, WINDOW, deterministic=False)
    return {name: row(outcome) for name, outcome in arms.items()}


def row(outcome: Outcome) -> dict[str, float]:
    f, meters = outcome.figures, outcome.meters.values()
    generated = max(1, outcome.tokens)
    first = outcome.first_chain
    return {
        "chains_per_second": outcome.chains_per_second,
        "tokens_per_chain": outcome.tokens_per_chain,
        "pairs_per_1000_tokens": f["pairs_per_1000_tokens"] or 0.0,
        "never_visited": f["never_visited"],
        "reflections_followed": f["reflections_followed"] / f["reflections"] if f["reflections"] else math.nan,
        "idle": outcome.idle,
        "occupancy": outcome.occupancy,
        "chains_per_problem": f["correct_chains"] / f["problems"],
        "problems_with_correct": f["with_correct"],
        "computed_prompt_per_token": sum(m.uncached_tokens for m in meters) / generated,
        "seconds_to_first_chain": first[len(first) // 2] if first else math.nan,
        "seconds_to_first_chain_p99": first[int(0.99 * (len(first) - 1))] if first else math.nan,
    }


def interval(values: list[float]) -> list[float]:
    """Mean with its 95% t interval over seeds."""
    from scipy import stats

    values = [v for v in values if not math.isnan(v)]
    if not values:
        return [math.nan] * 3
    mean = statistics.fmean(values)
    if len(values) == 1:
        return [mean, math.nan, math.nan]
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return [mean, mean - half, mean + half]


def ratio(found: list[dict[str, dict[str, float]]], a: str, b: str, key: str) -> list[float]:
    """Geometric mean of a / b over seeds with its interval."""
    logs = [math.log(each[a][key] / each[b][key]) for each in found if each[a][key] > 0 and each[b][key] > 0]
    return [math.exp(v) for v in interval(logs)]


def summary(found: list[dict[str, dict[str, float]]], original: str) -> dict[str, Any]:
    arms = {name: {key: interval([f[name][key] for f in found]) for key in found[0][name]} for name in found[0]}
    return {
        "arms": arms,
        "chains_per_second_vs_original": ratio(found, "ours", original, "chains_per_second"),
        "tokens_per_chain_vs_original": ratio(found, "ours", original, "tokens_per_chain"),
        "chains_vs_rejection": ratio(found, "rejection, equal tokens", "ours", "tokens_per_chain"),
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
        cells = (f"{figures[k][0]:.3g} ±{(figures[k][2] - figures[k][1]) / 2:.2g}" for k in keys)
        print(f"{arm:<28}" + "".join(f"{cell if 'nan ' not in cell else '–':>16}" for cell in cells))
    for key in ("chains_per_second_vs_original", "tokens_per_chain_vs_original", "chains_vs_rejection"):
        mean, low, high = result[key]
        print(f"{key}: {mean:.3g} [{low:.3g}, {high:.3g}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", type=Path, help="a checkout of AIDC-AI/Marco-o1")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--slots", type=int, default=128, help="of both servers together, shared 70 to 30")
    parser.add_argument("--presets", default=",".join(PRESETS))
    parser.add_argument("--no-cache", dest="cache", action="store_false", help="servers without a prefix cache")
    parser.add_argument("--main-arms", action="store_true", help="leave out the arms that take ours apart")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="3 seeds, fewer problems and arms, one preset")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    if told.quick:
        told = argparse.Namespace(**vars(told) | {"seeds": 4, "problems": 56, "presets": "reflection"})
    original = "original as released" if told.original else "original, re-implemented"
    results = {}
    with ProcessPoolExecutor(told.workers, mp_context=get_context("spawn")) as pool:
        for preset in told.presets.split(","):
            found = list(pool.map(one_seed, [preset] * told.seeds, range(told.seeds), [told] * told.seeds))
            results[preset] = summary(found, original)
            print(f"{preset}: {told.seeds} seeds done", file=sys.stderr)
            if not told.json:
                show(preset, results[preset])
    http = over_http.measure(
        replace(settings(), seed=1), 12 if told.quick else 120, told.slots, WINDOW, 0.05 if told.quick else 0.1
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
