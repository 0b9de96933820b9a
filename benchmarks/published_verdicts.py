"""Do our verdicts agree with published ones, on published responses?

Reads every ``*.jsonl`` below the folders given and takes the rows of three kinds (others are passed over):

- what IFEval's own evaluator writes (``eval_results_strict.jsonl``), where the prompt is one of the 541;
- the same verdicts in the form of lvbotenbest/Router_Getting_data (``*_IFEVAL_merged.jsonl``);
- samples of Qwen2.5-Math's evaluation (QwenLM/Qwen2.5-Math, ``eval_rm_maj_example/math_cot_100.jsonl``), against the
  gold answer as that evaluation reads it (``gt``).

Prints the agreement of each file.

    python benchmarks/published_verdicts.py FOLDER [FOLDER ...] --data-dir DATA [--show]
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.grading.grade import Grader
from harness.problems.load import load
from harness.records import Gold, Problem


class Published(NamedTuple):
    name: str
    family: str
    gold: Gold
    text: str
    correct: bool


def published(file: Path, problems: dict[str, Problem]) -> Iterator[Published]:
    seen = set()
    for row in map(json.loads, (line for line in file.read_text().split("\n") if line.startswith("{"))):
        if {"code", "score", "gt", "idx"} <= row.keys():
            for number, (text, score) in enumerate(zip(row["code"], row["score"], strict=True)):
                yield Published(f"{row['idx']}:{number}", "math", {"answer": row["gt"]}, text, bool(score))
            continue
        prompt, text = row.get("original_prompt", row.get("prompt")), row.get("response")
        correct = row.get("result", row.get("follow_all_instructions"))
        if correct is None or not isinstance(text, str) or prompt in seen:  # one verdict for each prompt
            continue
        seen.add(prompt)
        problem = problems.get(prompt)
        if problem is not None and problem.gold["instruction_id_list"] == row["instruction_id_list"]:
            yield Published(problem.id, "ifeval", problem.gold, text, correct)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--data-dir", type=Path, help="IFEval's prompts and NLTK's data")
    parser.add_argument("--show", action="store_true", help="each disagreement")
    options = parser.parse_args()
    problems = {problem.prompt: problem for problem in load("ifeval", data_dir=options.data_dir)}
    total, same = Counter[str](), Counter[str]()
    nltk_data = options.data_dir and options.data_dir / "nltk_data"
    with Grader(workers=1, nltk_data=nltk_data) as grader:
        for file in sorted(file for folder in options.folders for file in folder.rglob("*.jsonl")):
            for row in published(file, problems):
                grade = grader.grade(row.family, row.gold, row.text)
                for name in (str(file), f"all {row.family}"):
                    total[name] += 1
                    same[name] += grade.correct == row.correct
                if options.show and grade.correct != row.correct:
                    print(f"{file} {row.name}: published {row.correct}, {grade.verdict}: {grade.reason}")
    for name, number in total.items():
        print(f"{name}: {same[name]} of {number} ({100 * same[name] / number:.2f} %)")


if __name__ == "__main__":
    main()
