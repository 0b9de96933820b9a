"""GSM8K (arXiv 2110.14168), MATH-500 (arXiv 2305.20050) and AIME: question, gold answer, reference solution."""

from __future__ import annotations

from functools import partial

from harness.problems.benchmarks.files import Loaders, published
from harness.records import Problem

FORMAT = "\nThink step by step, then put the final answer in \\boxed{}."
AIME_FORMAT = "\nThink step by step, then put the final answer, an integer from 0 to 999, in \\boxed{}."


def _problem(task: str, ident: str, question: str, answer: str, reference: str, form: str = FORMAT) -> Problem:
    return Problem(
        id=f"{task}-{ident}", family=task, prompt=question.strip() + form,
        gold={"answer": answer, "reference": reference}, native_id=ident, source=question.strip(),
    )  # fmt: skip


def gsm8k(data_dir: str | None) -> list[Problem]:
    """1319 test problems. The gold is the number after ``####``."""
    problems = []
    rows = published("gsm8k", 1319, data_dir, "gsm8k/test.jsonl", "openai/gsm8k", "main", "test")
    for number, row in enumerate(rows):
        answer = row["answer"].rsplit("####", 1)[1].strip().replace(",", "")
        problems.append(_problem("gsm8k", f"{number:04d}", row["question"], answer, row["answer"]))
    return problems


def math500(data_dir: str | None) -> list[Problem]:
    """500 test problems of MATH."""
    problems = []
    for row in published("math500", 500, data_dir, "math/math500_test.jsonl", "HuggingFaceH4/MATH-500", None, "test"):
        ident = row["unique_id"].removeprefix("test/").removesuffix(".json")
        problems.append(_problem("math500", ident, row["problem"], row["answer"], row["solution"]))
    return problems


def aime(years: tuple[int, ...], data_dir: str | None) -> list[Problem]:
    """AIME I and II: 30 problems a year, answers from 0 to 999."""
    hubs = {2024: ("HuggingFaceH4/aime_2024", None, "train"), 2025: ("math-ai/aime25", None, "test")}
    problems = []
    for year in years:
        for row in published(f"aime_{year}", 30, data_dir, f"aime/aime_{year}.jsonl", *hubs[year]):
            ident = str(row["id"]) if str(row["id"]).startswith(str(year)) else f"{year}-{row['id']}"
            reference = f"\\boxed{{{row['answer']}}}"
            problems.append(_problem("aime", ident, row["problem"], str(int(row["answer"])), reference, AIME_FORMAT))
    return problems


LOADERS: Loaders = {
    "gsm8k": gsm8k,
    "math500": math500,
    "aime": partial(aime, (2024, 2025)),
    "aime_2024": partial(aime, (2024,)),
    "aime_2025": partial(aime, (2025,)),
}
