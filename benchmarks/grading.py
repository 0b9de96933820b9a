"""Grading speed, and the hostile corpus: ordinary GSM8K answers per second, and what hostile text costs at most.

python benchmarks/grading.py [--answers 10000] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.grading.grade import Grader

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "grading"))
from hostile import corpus  # type: ignore[import-not-found]  # the corpus of the tests


def ordinary(number: int) -> tuple[str, str]:
    """(gold, response): worked solutions of ordinary length in the styles that models use."""
    rng = random.Random(number)
    gold = rng.randrange(1, 5000)
    stated = gold if rng.random() < 0.7 else gold + rng.choice((1, 10, -2))
    steps = " ".join(f"{a} + {b} = {a + b}." for a, b in ((rng.randrange(99), rng.randrange(99)) for _ in range(20)))
    ending = rng.choice(("\\boxed{%s}", "#### %s", "The answer is $%s.", "So she has **%s** eggs left."))
    return str(gold), f"<think>{steps}</think>{steps} {ending % f'{stated:,}'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true", help="2,000 answers, scaled to 10,000")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    n = 2_000 if told.quick else told.answers
    rows = [ordinary(i) for i in range(n)]
    with Grader(workers=2) as grader, ThreadPoolExecutor(4) as threads:
        grader.grade("gsm8k", {"answer": "1"}, "1")
        started = time.perf_counter()
        grades = list(threads.map(lambda row: grader.grade("gsm8k", {"answer": row[0]}, row[1]), rows))
        seconds = (time.perf_counter() - started) * 10_000 / n
    right = sum(grade.correct for grade in grades) / n
    with Grader(workers=2) as grader:
        for family, gold in (("math", "1"), ("number", "1")):
            grader.grade(family, {"answer": gold}, "\\boxed{1}")
        grader.grade("mini_rules", {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}, "x")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        spent = []
        for family, gold, text in corpus():
            started = time.perf_counter()
            grader.grade(family, gold, text)
            spent.append(time.perf_counter() - started)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    result = {
        "gsm8k_seconds_per_10000": round(seconds, 2), "gsm8k_right": right, "hostile_inputs": len(spent),
        "hostile_mean_ms": round(1000 * statistics.fmean(spent), 1), "hostile_max_s": round(max(spent), 2),
        "main_process_growth_mib": round(grown, 1),
    }  # fmt: skip
    if told.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name}: {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
