"""Trees and pairs against stock TRL on the same rows: step time and peak memory, as ratios of one run.

Random weights in the shapes of Qwen2.5 0.5B and 1.5B, random trees; on a GPU the forward pass in bfloat16. The two
sides alternate and the faster round of each counts; the first step of a round, where kernels are chosen, is in none.
A side for whose step memory is short takes it in more micro-batches; the result says in how many.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.train_shared_prefix import arm, synthetic, timed, tree_cases

ROUNDS = 2
NAMES = {"tree_sft": "SFT on trees", "pair": "DPO on pairs", "tree_dpo": "DPO on whole trees"}
SHAPES = {"qwen2.5-0.5b": 2, "qwen2.5-1.5b": 1}  # trees a step


def peak_mib() -> float:
    """On a GPU what tensors took at most, else the resident size of this process at its largest (Linux)."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / 2**20
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def start_peak() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def once(case: Any, shape: str, parts: int) -> dict[str, float]:
    kind, rows, batch, more = case
    start_peak()  # what the trainer before this one held is free before this one's weights are drawn
    trainer = arm(kind, rows, batch, shape, parts=parts, **more)
    start_peak()
    found = timed(trainer)
    return found | {"peak_mib": peak_mib()}


def fitting(case: Any, shape: str, parts: int) -> tuple[dict[str, float], int]:
    """A round, and in how many micro-batches its steps fitted."""
    while True:
        try:
            return once(case, shape, parts), parts
        except torch.OutOfMemoryError:
            if 2 * parts > case[2]:
                raise
        parts *= 2  # beyond the handler, whose frames hold the memory


def compare(comparison: Any, shape: str) -> dict[str, Any]:
    *cases, tokens = comparison
    sides, parts = dict(zip(("ours", "stock"), cases, strict=True)), {"ours": 1, "stock": 1}
    rounds: dict[str, list[dict[str, float]]] = {"ours": [], "stock": []}
    for number in range(ROUNDS):
        for side in ("stock", "ours") if number % 2 else ("ours", "stock"):
            found, parts[side] = fitting(sides[side], shape, parts[side])
            rounds[side].append(found)
    out: dict[str, Any] = {}
    for side, each in rounds.items():
        best = min(each, key=lambda found: found["seconds"])
        share = best["steps"] / (best["steps"] + 1)  # the first step is in no time
        out[side] = {
            "step_seconds": best["seconds"] / best["steps"],
            "tokens_per_second": tokens * share / best["seconds"],  # of the stock rows, so that one can compare
            "peak_mib": min(found["peak_mib"] for found in each),
            "micro_batches": parts[side],
            "step_seconds_of_rounds": [found["seconds"] / found["steps"] for found in each],
        }
        if side == "ours":
            out["tokens_ratio"] = tokens * share / best["network"]
    ours, stock = out["ours"], out["stock"]
    ratios = {
        "speedup": stock["step_seconds"] / ours["step_seconds"], "memory_ratio": stock["peak_mib"] / ours["peak_mib"]
    }  # fmt: skip
    return ratios | out


def measurements(quick: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    out: dict[str, Callable[[], dict[str, Any]]] = {}
    for shape, trees in {"quick": 1}.items() if quick else SHAPES.items():
        made = synthetic(3 if quick else 6 * trees, random.Random(0), node=15 if quick else 150)
        for name, comparison in tree_cases(made, trees).items():
            out[f"{NAMES[name]}, {shape}"] = partial(compare, comparison, shape)
    return out
