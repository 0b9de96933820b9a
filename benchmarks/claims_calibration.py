"""Is the claims test calibrated? Simulated trainings with a known truth, through the product's own test.

False positives: two arms of equal expected accuracy, each training's level drawn at random (both arms, one, or none),
items of different difficulty on which the arms differ at random, two samples of each; also with items in clusters of
five. Power: plain DPO leaves answers out as in the five trainings of results/ablation_full.tiny.json: 2 in 5 collapse
to 48, 37 and 23% without an answer on the three families, the others leave out what is left of the means there (28, 16
and 11%), SFT as there; resolved at the level of the strictest of eight claims.

    python benchmarks/claims_calibration.py [--runs 10000] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
from itertools import product

import numpy as np

from harness.results.crossed import Array, Table, difference
from harness.results.statistics import wilson

ITEMS, SAMPLES, CLAIMS = 300, 2, 8
SEEDS = (3, 5, 7, 10)
SPREADS = {"both arms vary": (0.4, 0.4), "one arm varies": (0.8, 0.0), "none varies": (0.0, 0.0)}  # logits
SHARED, DIFFICULTY, ITEM_EFFECT, CLUSTER = 0.2, 1.5, 0.5, 5
COLLAPSED, OTHERS, CONTROL, CHANCE = (0.48, 0.37, 0.23), (0.147, 0.024, 0.032), (0.0027, 0.0007, 0.0003), 0.4
SCATTER = 0.2  # logits, of a training around its kind's rate; an assumption, for five trainings do not tell it


def scores(rng: np.random.Generator, logits: Array) -> Array:
    return rng.binomial(SAMPLES, 1 / (1 + np.exp(-logits))) / SAMPLES


def equal_arms(rng: np.random.Generator, trainings: int, spreads: tuple[float, float], size: int) -> list[Table]:
    """Two arms on one task, with items in clusters of ``size``; trainings of a seed share part of their level."""
    groups = ITEMS // size
    common = rng.normal(0, DIFFICULTY, groups).repeat(size) + (rng.normal(0, 0.5, ITEMS) if size > 1 else 0)
    apart = rng.normal(0, ITEM_EFFECT, groups).repeat(size) / 2
    shared = rng.normal(0, SHARED, (trainings, 1))
    clusters = np.arange(float(groups)).repeat(size) if size > 1 else None
    out = []
    for sign, spread in zip((1, -1), spreads, strict=True):
        level = common + sign * apart + shared + spread * rng.normal(size=(trainings, 1))
        out.append(Table(scores=scores(rng, level), samples=SAMPLES, clusters=clusters))
    return out


def collapsing(rng: np.random.Generator, trainings: int) -> tuple[list[Table], list[Table]]:
    """No-answer scores of plain DPO and of SFT on three tasks; whether a training collapses is one draw for all."""
    collapsed = rng.random(trainings) < CHANCE
    jitter = SCATTER * rng.normal(size=trainings)
    ours, others = [], []
    for bad, good, rate in zip(COLLAPSED, OTHERS, CONTROL, strict=True):
        rates = np.where(collapsed, bad, good)
        level = (np.log(rates / (1 - rates)) + jitter)[:, None] + rng.normal(0, 0.5, ITEMS)
        ours.append(Table(scores=scores(rng, level), samples=SAMPLES))
        control = np.log(rate / (1 - rate)) + np.zeros((trainings, ITEMS))
        others.append(Table(scores=scores(rng, control), samples=SAMPLES))
    return ours, others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="simulated runs of each setting")
    parser.add_argument("--quick", action="store_true", help="4,000 runs of each setting")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = 4000 if options.quick else options.runs
    rng = np.random.default_rng(0)
    rates: dict[str, float] = {}
    signs: dict[str, float] = {}
    for (name, spreads), trainings, size in product(SPREADS.items(), SEEDS, (1, CLUSTER)):
        key = f"{name}, {trainings} seeds{', clusters' if size > 1 else ''}"
        found = []
        for _ in range(runs):
            a, b = equal_arms(rng, trainings, spreads, size)
            found.append(difference([a], [b]))
        rates[key] = sum(effect.p < 0.05 for effect in found) / runs
        signs[key] = sum((effect.p_signs or 1) < 0.05 for effect in found) / runs
    power = {}
    for trainings in (5, 7, 10):
        tests = [difference(*collapsing(rng, trainings)) for _ in range(runs)]
        power[trainings] = sum(effect.p < 0.05 / CLAIMS for effect in tests) / runs
    result = {
        "worst_false_positive": max(rates.values()), "least_false_positive": min(rates.values()),
        "power_collapse_7": power[7], "runs": runs, "false_positives": rates, "sign_flip": signs,
        "power_collapse": power,
    }  # fmt: skip
    if options.json:
        print(json.dumps(result))
        return
    print(f"{runs:,} runs a setting; false positives at a nominal 5% [95% interval of the simulation]; sign flips")
    for key, value in rates.items():
        low, high = wilson(value * runs, runs)
        print(f"  {key:<36} {100 * value:4.1f}% [{100 * low:.1f}, {100 * high:.1f}]  {100 * signs[key]:4.1f}%")
    print(f"power for a collapse of 2 in 5 trainings, at 5% / {CLAIMS} claims")
    for trainings, value in power.items():
        print(f"  {trainings:>2} seeds {100 * value:5.1f}%")


if __name__ == "__main__":
    main()
