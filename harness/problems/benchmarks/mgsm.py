"""MGSM (arXiv 2210.03057): the first 250 test problems of GSM8K in eleven languages, each asked in its own."""

from __future__ import annotations

from functools import partial

from harness.problems.benchmarks.files import Loaders, published
from harness.problems.benchmarks.math import FORMAT
from harness.records import Problem

# What ``math.FORMAT`` asks for, in each language.
FORMATS = {
    "bn": "\nধাপে ধাপে চিন্তা করুন, তারপর চূড়ান্ত উত্তরটি \\boxed{}-এর মধ্যে লিখুন।",
    "de": "\nDenke Schritt für Schritt nach und schreibe dann die endgültige Antwort in \\boxed{}.",
    "en": FORMAT,
    "es": "\nPiensa paso a paso y luego escribe la respuesta final en \\boxed{}.",
    "fr": "\nRéfléchis étape par étape, puis écris la réponse finale dans \\boxed{}.",
    "ja": "\n段階的に考え、最後に答えを \\boxed{} の中に書いてください。",
    "ru": "\nРассуждай шаг за шагом, затем запиши окончательный ответ в \\boxed{}.",
    "sw": "\nFikiri hatua kwa hatua, kisha andika jibu la mwisho ndani ya \\boxed{}.",
    "te": "\nదశలవారీగా ఆలోచించండి, తర్వాత చివరి సమాధానాన్ని \\boxed{} లో రాయండి.",
    "th": "\nคิดทีละขั้นตอน แล้วเขียนคำตอบสุดท้ายใน \\boxed{}",
    "zh": "\n请逐步思考，然后把最终答案写在 \\boxed{} 中。",
}


def mgsm(language: str, data_dir: str | None) -> list[Problem]:
    """The 250 problems in one language; equal numbers are the same problem in all of them."""
    task, problems = f"mgsm_{language}", []
    rows = published(task, 250, data_dir, f"mgsm/{task}.tsv", "juletxara/mgsm", language, "test")
    for number, row in enumerate(rows):
        answer, question = str(row.get("answer_number") or row["answer"]).replace(",", ""), row["question"].strip()
        problems.append(Problem(
            id=f"{task}-{number:03d}", family="mgsm", prompt=question + FORMATS[language], native_id=f"{number:03d}",
            gold={"answer": answer, "reference": f"\\boxed{{{answer}}}"}, source=question,
        ))  # fmt: skip
    return problems


LOADERS: Loaders = {f"mgsm_{language}": partial(mgsm, language) for language in FORMATS}
