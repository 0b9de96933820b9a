"""GSM8K (arXiv 2110.14168), MATH-500 (arXiv 2305.20050) and AIME: question, gold answer, reference solution."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from harness.problems.benchmarks.files import counted, from_hub, gold_text, read_rows

FORMAT = "\nThink step by step, then put the final answer in \\boxed{}."
AIME_FORMAT = "\nThink step by step, then put the final answer, an integer from 0 to 999, in \\boxed{}."


def _document(task: str, family: str, ident: str, question: str, gold: dict[str, Any], form: str) -> dict[str, Any]:
    return {
        "id": f"{task}-{ident}", "family": family, "prompt": question.strip() + form, "gold": gold_text(gold),
        "native_id": ident, "source": question.strip(),
    }  # fmt: skip


def gsm8k(data_dir: str | None) -> list[dict[str, Any]]:
    """1319 test problems. The gold is the number after ``####``."""
    rows = from_hub("openai/gsm8k", "main", "test") if data_dir is None else read_rows(data_dir, "gsm8k/test.jsonl")
    documents = []
    for number, row in enumerate(rows):
        answer = row["answer"].rsplit("####", 1)[1].strip().replace(",", "")
        gold = {"answer": answer, "reference": row["answer"]}
        documents.append(_document("gsm8k", "gsm8k", f"{number:04d}", row["question"], gold, FORMAT))
    return counted("gsm8k", documents, 1319)


def math500(data_dir: str | None) -> list[dict[str, Any]]:
    if data_dir is None:
        rows = from_hub("HuggingFaceH4/MATH-500", None, "test")
    else:
        rows = read_rows(data_dir, "math/math500_test.jsonl")
    documents = [
        _document("math500", "math500", row["unique_id"].removeprefix("test/").removesuffix(".json"), row["problem"],
                  {"answer": row["answer"], "reference": row["solution"]}, FORMAT)
        for row in rows
    ]  # fmt: skip
    return counted("math500", documents, 500)


def aime_year(year: int, data_dir: str | None) -> list[dict[str, Any]]:
    """AIME I and II of one year: 30 problems, answers from 0 to 999."""
    if data_dir is None:
        hub, column = {2024: ("HuggingFaceH4/aime_2024", "id"), 2025: ("math-ai/aime25", "id")}[year]
        split = {2024: "train", 2025: "test"}[year]
        rows = [row | {"id": str(row[column])} for row in from_hub(hub, None, split)]
    else:
        rows = read_rows(data_dir, f"aime/aime_{year}.jsonl")
    documents = []
    for row in rows:
        gold = {"answer": str(int(row["answer"])), "reference": f"\\boxed{{{row['answer']}}}"}
        ident = row["id"] if str(row["id"]).startswith(str(year)) else f"{year}-{row['id']}"
        documents.append(_document("aime", "aime", ident, row["problem"], gold, AIME_FORMAT))
    return counted(f"aime_{year}", documents, 30)


def aime(data_dir: str | None) -> list[dict[str, Any]]:
    """The 60 problems of 2024 and 2025."""
    return [*aime_year(2024, data_dir), *aime_year(2025, data_dir)]


LOADERS: dict[str, Callable[[str | None], list[dict[str, Any]]]] = {
    "gsm8k": gsm8k,
    "math500": math500,
    "aime": aime,
    "aime_2024": partial(aime_year, 2024),
    "aime_2025": partial(aime_year, 2025),
}
