"""What an export of training data needs of memory as a search grows: written problem by problem, it should be little.

A search of made-up trees is written as finished segments, each problem with a few correct and wrong chains, then
``harness search export`` runs over it. Peak memory of the export alone is that of its own process.

    python benchmarks/export_scale.py [--problems 100000] [--tokens 400] [--quick] [--json]

Prints ``peak_mib`` (target at 100,000 problems: below 1,024), ``mib_read`` and ``seconds``.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.journal import write_rows
from harness.records import Problem
from harness.search.grammar import load
from harness.search.spec import Goals
from harness.search.store import NodeRow, Settings, Store, Stored

SEGMENT = 2_000  # problems
WORDS = ["add", "subtract", "so", "then", "the", "number", "of", "cards", "is", "now", "and", "we", "have"]


def write_search(folder: Path, problems: int, tokens: int) -> None:
    """A finished search, four chains a problem, two of them correct."""
    settings = Settings(grammar=load("embedded"), goals=Goals(), policy="rejection")
    with Store(folder, settings):
        for number in range(0, problems, SEGMENT):
            some = range(number, min(number + SEGMENT, problems))
            write_rows(folder / f"trees-{number // SEGMENT:06d}.jsonl", (made_up(i, tokens).entry() for i in some))


def made_up(number: int, tokens: int) -> Stored:
    """One problem with its rows."""
    rng = random.Random(number)
    problem = Problem(id=f"p{number:07d}", family="number", prompt=f"How many? {number}", gold={"answer": 1},
                      split="search")  # fmt: skip
    rows = list[NodeRow]()
    for chain in range(4):
        path = f"sub-task.{chain}/thinking.0/answer.0".split("/")
        for depth in range(len(path)):
            text = " ".join(rng.choices(WORDS, k=tokens // len(path))) + f" {chain}"
            row: NodeRow = {"node": "/".join(path[: depth + 1]), "role": "generator", "generated": tokens // len(path),
                            "text": text, "ids": [], "finish": "stop"}  # fmt: skip
            if depth == len(path) - 1:
                row["verdict"], row["reason"], row["answer"] = "correct" if chain % 2 else "wrong", "", "1"
            rows.append(row)
    return Stored(problem=problem, prompt_tokens=10, rows=rows, why="goals")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=100_000)
    parser.add_argument("--tokens", type=int, default=400, help="words of a chain, about")
    parser.add_argument("--quick", action="store_true", help="2,000 problems")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    number = 2_000 if options.quick else options.problems
    folder = Path(tempfile.mkdtemp())
    try:
        write_search(folder / "search", number, options.tokens)
        read = sum(file.stat().st_size for file in (folder / "search").iterdir())
        started = time.monotonic()
        command = [sys.executable, "-m", "harness", "search", "export", str(folder / "search")]
        rest = ["--out", str(folder / "data"), "--tokenizer", "shipped:student", "--json"]
        subprocess.run([*command, *rest], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - this project
        seconds = time.monotonic() - started
    finally:
        shutil.rmtree(folder)
    result = {
        "problems": number,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        "mib_read": round(read / 2**20),
        "seconds": round(seconds, 1),
    }
    print(json.dumps(result) if options.json else "\n".join(f"{name:<12}{value:>12}" for name, value in result.items()))


if __name__ == "__main__":
    main()
