"""GSM8K (arXiv 2110.14168), MATH-500 (arXiv 2305.20050), AIME, and ``letter_count``, which is procedural."""

from __future__ import annotations

import random
from functools import partial

from harness.grading.boxes import last_box
from harness.problems.benchmarks.files import Loaders, published
from harness.records import Problem

FORMAT = "\nThink step by step, then put the final answer in \\boxed{}."
AIME_FORMAT = "\nThink step by step, then put the final answer, an integer from 0 to 999, in \\boxed{}."

_WORDS = (  # noqa: SIM905 - a list of fifty quoted words is harder to read
    "strawberry banana mississippi committee bookkeeper possession assessment raspberry occurrence millennium "
    "accommodation tomorrow parallel necessary successful referee balloon coffee address appetite butterfly "
    "cinnamon dilemma embarrass fluorescent giggle hippopotamus illuminate jellyfish kangaroo lollipop "
    "marshmallow nonsense opossum pepperoni questionnaire rhododendron sassafras tattoo unnecessary vacuum "
    "whippersnapper xylophone yellow zucchini aardvark bubblegum caterpillar dandelion excellence"
).split()


def _problem(task: str, ident: str, question: str, answer: str, reference: str, form: str = FORMAT) -> Problem:
    return Problem(
        id=f"{task}-{ident}", family=task, prompt=question.strip() + form,
        gold={"answer": answer, "reference": reference}, native_id=ident, source=question.strip(),
    )  # fmt: skip


def gsm8k(data_dir: str | None, split: str = "test", count: int = 1319) -> list[Problem]:
    """1319 test problems, or the 7473 of the split ``train``. The gold is the number after ``####``."""
    problems = []
    rows = published("gsm8k", count, data_dir, f"gsm8k/{split}.jsonl", "openai/gsm8k", "main", split)
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


def math_train(data_dir: str | None) -> list[Problem]:
    """The 7500 training problems of MATH, with their solutions."""
    rows = published("math", 7500, data_dir, "math/train.jsonl", "DigitalLearningGmbH/MATH-lighteval", None, "train")
    return [
        _problem("math500", f"train/{number}", row["problem"], last_box(row["solution"]) or "", row["solution"])
        for number, row in enumerate(rows)
    ]


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


def letter_count(count: int, problem_seed: int) -> list[Problem]:
    """``count`` questions how often a letter occurs in a word, the special of the paper's authors; a quarter ask for a
    letter that is not in it. Raises ValueError above 900."""
    if count > 900:
        raise ValueError("letter_count: at most 900 distinct questions")
    rng = random.Random(f"letter_count/{problem_seed}")
    problems: dict[tuple[str, str], Problem] = {}
    while len(problems) < count:
        word = rng.choice(_WORDS)
        absent = sorted(set("abcdefghijklmnopqrstuvwxyz") - set(word))
        letter = rng.choice(absent) if rng.random() < 0.25 else rng.choice(word)
        question = f"How many times does the letter '{letter}' occur in the word '{word}'?"
        answer = str(word.count(letter))
        problems[word, letter] = Problem(
            id=f"letter_count-{word}-{letter}", family="letter_count", source=question, native_id=f"{word}-{letter}",
            prompt=question + " Put the final number in \\boxed{}.",
            gold={"answer": answer, "reference": f"\\boxed{{{answer}}}"},
        )  # fmt: skip
    return list(problems.values())


LOADERS: Loaders = {
    "gsm8k": gsm8k,
    "math500": math500,
    "aime": partial(aime, (2024, 2025)),
    "aime_2024": partial(aime, (2024,)),
    "aime_2025": partial(aime, (2025,)),
}
# Problems to show as examples before those of a task.
EXAMPLES: Loaders = {"gsm8k": partial(gsm8k, split="train", count=7473), "math500": math_train}
