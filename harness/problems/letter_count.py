"""``letter_count``: how often a letter occurs in a word, the special of the paper's authors, as a procedural task."""

from __future__ import annotations

import random

from harness.records import Problem

WORDS = (  # noqa: SIM905 - a list of fifty quoted words is harder to read
    "strawberry banana mississippi committee bookkeeper possession assessment raspberry occurrence millennium "
    "accommodation tomorrow parallel necessary successful referee balloon coffee address appetite butterfly "
    "cinnamon dilemma embarrass fluorescent giggle hippopotamus illuminate jellyfish kangaroo lollipop "
    "marshmallow nonsense opossum pepperoni questionnaire rhododendron sassafras tattoo unnecessary vacuum "
    "whippersnapper xylophone yellow zucchini aardvark bubblegum caterpillar dandelion excellence"
).split()


def letter_count(count: int = 200, problem_seed: int = 0) -> list[Problem]:
    """``count`` questions; a quarter ask for a letter that is not in the word. Raises ValueError above 900."""
    if count > 900:
        raise ValueError("letter_count: at most 900 distinct questions")
    rng = random.Random(f"letter_count/{problem_seed}")
    problems: dict[tuple[str, str], Problem] = {}
    while len(problems) < count:
        word = rng.choice(WORDS)
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
