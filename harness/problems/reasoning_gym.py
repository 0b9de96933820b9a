"""``reasoning_gym:NAME``: problems of a data set of the package reasoning-gym, graded by its own verifier."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from random import Random

from harness.errors import DataError
from harness.grading.gym import GYM, check, data_set, package
from harness.records import Gold, Problem, Split

_HALF = {"eval": 0}  # of all questions; other splits have the other
FORMAT = "\n\nWrite the final answer, and nothing else, between <answer> and </answer>."


def drawn(task: str, split: Split, seed: int) -> Iterator[Problem]:
    """Distinct problems, one after the other; half of all questions, by their hash, are those of ``eval``.

    Raises DataError for a data set that is not known, or not of use as JSON, and when there are no more.
    """
    name, rng, seen = task.removeprefix(GYM), Random(f"{task}/{split}/{seed}"), set[str]()
    data_set(name)
    while True:
        before = len(seen)
        for entry in package().create_dataset(name, seed=rng.randrange(2**31)):
            question = entry["question"].strip()
            key = hashlib.sha256(question.encode()).hexdigest()[:12]
            if key in seen or int(key, 16) % 2 != _HALF.get(split, 1):
                continue
            seen.add(key)
            gold = {"dataset": name, "entry": json.loads(json.dumps(entry, default=str))}
            if entry["answer"] is not None:  # some verifiers need none
                gold["reference"] = f"<answer>{entry['answer']}</answer>"
            if len(seen) == 1 and (fault := _fault(gold)):
                raise DataError(f"{task}: {fault}")
            yield Problem(
                id=f"{name}-{key}", family="reasoning_gym", prompt=question + FORMAT, gold=gold, split=split,
                source=question,
            )  # fmt: skip
        if len(seen) == before:
            raise DataError(f"{task}: has {len(seen)} different questions of this split, and no more")


def _fault(gold: Gold) -> str:
    """Why a verifier is of no use; empty if it is."""
    if "reference" in gold and check(gold, gold["reference"], False).verdict != "correct":
        return "its verifier refuses its own answer where problems are kept as JSON"
    nonsense = check(gold, "<answer>~ no ~ answer ~</answer>", False).verdict
    return "its verifier calls any answer right" if nonsense == "correct" else ""
