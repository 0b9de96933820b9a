"""Do our verdicts on plans agree with PlanBench's own, on the responses that its authors published?

Reads ``llm_planning_analysis/results`` of a checkout of github.com/karthikv792/LLMs-Planning (MIT): the raw texts
of Blocksworld, Mystery Blocksworld and Logistics. Prints the agreement of each file, and each disagreement.

    python benchmarks/planbench_verdicts.py CHECKOUT [--domain logistics] [--show]
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import DataError
from harness.grading.grade import Grader
from harness.problems.benchmarks.planbench import blocks_gold, logistics_gold
from harness.processes import in_threads
from harness.records import Gold

DOMAINS = ("blocksworld", "blocksworld_3", "mystery_blocksworld", "mystery_blocksworld_3", "logistics")
WORKERS = 2


class Published(NamedTuple):
    file: str
    instance: Any
    family: str
    gold: Gold
    text: str
    correct: bool


def published(folder: Path, domain: str) -> Iterator[Published]:
    for file in sorted((folder / domain).rglob("task_1_*.json")):
        if "backprompt" in file.name or "state_tracking" in file.name:  # dialogues, and another task
            continue
        family = domain.removesuffix("_3")
        for row in json.loads(file.read_text())["instances"]:
            prompt, text, correct = (
                row.get("query"),
                row.get("llm_raw_response"),
                row.get("llm_correct", row.get("correct")),
            )
            if not prompt or not isinstance(text, str) or correct is None:
                continue
            try:
                gold = _gold(prompt, family)
            except DataError:  # a prompt in PDDL of another domain
                continue
            yield Published(
                f"{domain}/{file.parent.name}/{file.stem}", row["instance_id"], family, gold, text, bool(correct)
            )


def _gold(prompt: str, family: str) -> Gold:
    if family != "logistics":
        return blocks_gold(prompt, family)
    _, marked, pddl = prompt.rpartition("[QUERY PROBLEM]")
    pddl = pddl.split("[PLAN]")[0].strip()
    if pddl.count(")") > pddl.count("("):  # as some of these prompts have it
        pddl = pddl[:-1]
    return logistics_gold(pddl if marked else prompt)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--domain", choices=DOMAINS, action="append")
    parser.add_argument("--show", action="store_true", help="each disagreement")
    options = parser.parse_args()
    folder = options.checkout / "llm_planning_analysis" / "results"
    total, same = Counter[str](), Counter[str]()
    with Grader(WORKERS) as grader:
        for domain in options.domain or DOMAINS:
            rows = list(published(folder, domain))
            grades = in_threads(lambda row: grader.grade(row.family, row.gold, row.text), rows, 2 * WORKERS)
            for row, grade in zip(rows, grades, strict=True):
                for name in (row.file, domain, "all"):
                    total[name] += 1
                    same[name] += grade.correct == row.correct
                if options.show and grade.correct != row.correct:
                    print(f"{row.file} {row.instance}: published {row.correct}, {grade.verdict}: {grade.reason}")
    for name, number in total.items():
        print(f"{name}: {same[name]} of {number} ({100 * same[name] / number:.2f} %)")


if __name__ == "__main__":
    main()
