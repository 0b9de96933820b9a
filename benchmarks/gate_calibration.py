"""Is the regression gate calibrated? Simulated pairs of runs with a known truth, through the real gate.

Null pairs: both models have the same rates, so every "regression" is false (target: at most 5%). Pairs at the margin:
one metric of one task is really worse by exactly the margin, so every "pass" is false (target: at most 5%). The runs'
verdicts on an item are correlated, as they are for two checkpoints of one model.

    python benchmarks/gate_calibration.py [--pairs 1000] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np

from harness.records import Grade
from harness.results.gate import Margins, baseline, gate
from harness.results.records import Manifest
from harness.results.statistics import wilson

TASKS = {"math": (0.45, 0.05), "blocks": (0.6, 0.1), "rules": (0.8, 0.02)}  # accuracy, no-answer rate

GRADES = {v: Grade(verdict=v, reason="") for v in ("correct", "wrong", "unfinished")}


def samples(right: np.ndarray, missing: np.ndarray, tokens: np.ndarray, task: str) -> list[Any]:
    """What the gate reads of samples with these outcomes, one or more (second axis) for each item."""
    out: list[Any] = []
    for item in range(right.shape[0]):
        for index in range(right.shape[1]):
            verdict = "unfinished" if missing[item, index] else "correct" if right[item, index] else "wrong"
            out.append(
                SimpleNamespace(
                    task=task, problem_id=f"{task}{item}", index=index, token_ids=(), answer_tokens=0,
                    thinking_tokens=int(tokens[item, index]), grade=GRADES[verdict],
                )
            )  # fmt: skip
    return out


def pair(rng: np.random.Generator, n: int, k: int, flip: float, loss: dict[str, float]) -> tuple[list[Any], Any]:
    """A baseline and a run of three tasks; the first task of the run is worse by ``loss`` (metric: amount).

    ``flip``: share of an item's outcome that is drawn afresh in each run, rather than shared.
    """
    ours: list[Any] = []
    theirs: list[Any] = []
    for task, (accuracy, absent) in TASKS.items():
        worse = loss if task == "math" else {}
        shared = rng.random((n, k)), rng.random((n, k))
        length = rng.lognormal(5, 0.5, (n, k))
        for side, change in ((theirs, {}), (ours, worse)):
            fresh = rng.random((n, k)) < flip, rng.random((n, k)) < flip
            draws = [np.where(f, rng.random((n, k)), s) for f, s in zip(fresh, shared, strict=True)]
            missing = draws[1] < absent + change.get("no_answer", 0.0)
            # Accuracy counts all items: among the answered the rate is higher, so that the whole is as asked.
            whole = accuracy - change.get("accuracy", 0.0)
            right = ~missing & (draws[0] < whole / (1 - absent - change.get("no_answer", 0.0)))
            noise = rng.lognormal(0, 0.3 * flip, (n, k)) / np.exp((0.3 * flip) ** 2 / 2)
            tokens = np.round(length * noise * (1 + change.get("tokens", 0.0)))
            side += samples(right, missing, tokens, task)
    return ours, baseline(theirs, Manifest())


def outcomes(pairs: int, n: int, k: int, flip: float, loss: dict[str, float], seed: int) -> Counter[str]:
    margins = Margins()
    seen: Counter[str] = Counter()
    for number in range(pairs):
        ours, theirs = pair(np.random.default_rng((seed, number)), n, k, flip, loss)
        seen[gate(ours, theirs, margins).outcome] += 1
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="200 pairs, fewer settings")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    pairs = 200 if arguments.quick else arguments.pairs
    margins = Margins()
    losses = {name: {name: getattr(margins, name)} for name in ("accuracy", "no_answer", "tokens")}
    settings = [(300, 1, 0.3)] if arguments.quick else [(100, 1, 0.1), (300, 1, 0.3), (1000, 1, 0.1), (100, 4, 0.5)]
    gc.freeze()  # statsmodels collects garbage in every correction; what is imported need not be looked at each time
    started = time.monotonic()
    rows = []
    for n, k, flip in settings:
        for name, loss in {"null": {}, **losses}.items():
            seen = outcomes(pairs, n, k, flip, loss, seed=len(rows))
            wrong = "regression" if name == "null" else "pass"
            low, high = wilson(seen[wrong], pairs)
            rows.append({
                "items": n, "samples": k, "flip": flip, "truth": name, **{o: seen[o] / pairs for o in
                ("pass", "inconclusive", "regression")}, "false": seen[wrong] / pairs, "low": low, "high": high,
            })  # fmt: skip
            if not arguments.json:
                r = rows[-1]
                truth = "no difference" if name == "null" else f"{name} worse by its margin"
                shares = "  ".join(f"{o} {r[o]:.3f}" for o in ("pass", "inconclusive", "regression"))
                print(f"n={n}, samples={k}, flip={flip}; {truth}: {shares}; ", end="")
                print(f"false {wrong} {r['false']:.3f} [{low:.3f}, {high:.3f}]", flush=True)
    result = {
        "false_regression": max(r["false"] for r in rows if r["truth"] == "null"),
        "false_pass": max(r["false"] for r in rows if r["truth"] != "null"),
        "pairs": pairs, "seconds": round(time.monotonic() - started, 1), "rows": rows,
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"worst false-regression rate {result['false_regression']:.3f}, ", end="")
        print(f"worst false-pass rate {result['false_pass']:.3f}")


if __name__ == "__main__":
    main()
