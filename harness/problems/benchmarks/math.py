"""GSM8K (arXiv 2110.14168), MATH-500 (arXiv 2305.20050) and AIME: question, gold answer, reference solution."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from harness.problems.benchmarks.files import counted, from_hub, read
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
    rows = read(data_dir, "gsm8k/test.jsonl") if data_dir else from_hub("openai/gsm8k", "main", "test")
    problems = []
    for number, row in enumerate(rows):
        answer = row["answer"].rsplit("####", 1)[1].strip().replace(",", "")
        problems.append(_problem("gsm8k", f"{number:04d}", row["question"], answer, row["answer"]))
    return counted("gsm8k", problems, 1319)


def math500(data_dir: str | None) -> list[Problem]:
    """500 test problems of MATH."""
    hub = "HuggingFaceH4/MATH-500"
    rows = read(data_dir, "math/math500_test.jsonl") if data_dir else from_hub(hub, None, "test")
    problems = []
    for row in rows:
        ident = row["unique_id"].removeprefix("test/").removesuffix(".json")
        problems.append(_problem("math500", ident, row["problem"], row["answer"], row["solution"]))
    return counted("math500", problems, 500)


def aime_year(year: int, data_dir: str | None) -> list[Problem]:
    """AIME I and II of one year: 30 problems, answers from 0 to 999."""
    hub, split = {2024: ("HuggingFaceH4/aime_2024", "train"), 2025: ("math-ai/aime25", "test")}[year]
    rows = read(data_dir, f"aime/aime_{year}.jsonl") if data_dir else from_hub(hub, None, split)
    problems = []
    for row in rows:
        ident = str(row["id"]) if str(row["id"]).startswith(str(year)) else f"{year}-{row['id']}"
        reference = f"\\boxed{{{row['answer']}}}"
        problems.append(_problem("aime", ident, row["problem"], str(int(row["answer"])), reference, AIME_FORMAT))
    return counted(f"aime_{year}", problems, 30)


def aime(data_dir: str | None) -> list[Problem]:
    """The 60 problems of 2024 and 2025."""
    return [*aime_year(2024, data_dir), *aime_year(2025, data_dir)]


LOADERS: dict[str, Callable[[str | None], list[Problem]]] = {
    "gsm8k": gsm8k,
    "math500": math500,
    "aime": aime,
    "aime_2024": partial(aime_year, 2024),
    "aime_2025": partial(aime_year, 2025),
}
