"""What an answer of the model in training earns: the graders' verdict, less a share of it for its length.

Grading is in worker processes with limits (``grading.pool``): an answer that hangs its grader costs these limits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean, pstdev
from typing import Any

from harness.grading.grade import Grader
from harness.models.prompts import is_prefilled, think_tags
from harness.records import Grade

# TRL's: (prompts, completion_ids, columns of the rows, log_metric, ...) to a number for each answer, None for none.
Reward = Callable[..., list[float | None]]


def rewards(correct: Sequence[bool | None], lengths: Sequence[int], weight: float) -> list[float | None]:
    """What answers to one prompt earn: nothing if wrong, else 1 - ``weight`` * sigmoid((length - mean) / deviation).

    Mean and (population) deviation are of the correct answers among them (arXiv 2502.04463), so a hard prompt's long
    answers are worth no less than an easy one's short ones, and wrong answers differ in nothing. Where all correct ones
    are of one length the sigmoid is a half. None, for no verdict, stays None.
    """
    right = [length for length, is_right in zip(lengths, correct, strict=True) if is_right]
    mean, deviation = (fmean(right), pstdev(right)) if right else (0.0, 0.0)

    def earned(is_right: bool | None, length: int) -> float | None:
        z = (length - mean) / deviation if deviation else 0.0
        return None if is_right is None else is_right * (1.0 - weight / (1.0 + math.exp(-z)))

    return [earned(*each) for each in zip(correct, lengths, strict=True)]


def verdict_reward(
    grader: Grader, workers: int, tokenizer: Any, stops: Collection[int], answers: int, weight: float
) -> Reward:
    """The reward function of a training whose prompts have so many ``answers`` each, one after the other.

    An answer that its grader cannot decide within its limits earns what a wrong one does; a failure of ours is no
    verdict, and leaves the answer out of its group. Logs the shares ``correct`` and ``undecided``. ``stops``: tokens
    that end an answer. Raises GraderBroken.
    """
    tags = think_tags(tokenizer)

    def grade(prompt: list[int], ids: list[int], family: str, gold: str) -> Grade:
        ended = ids[-1] in stops
        text = tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=False)
        prefilled = is_prefilled(tokenizer.decode(prompt), tags)
        return grader.grade(family, json.loads(gold), text, "stop" if ended else "length", prefilled, tags)

    def reward(
        prompts: Sequence[list[int]], completion_ids: Sequence[list[int]], family: Sequence[str], gold: Sequence[str],
        log_metric: Callable[[str, float], None], **_: Any,
    ) -> list[float | None]:  # fmt: skip
        with ThreadPoolExecutor(workers) as threads:
            verdicts = [each.verdict for each in threads.map(grade, prompts, completion_ids, family, gold)]
        log_metric("correct", verdicts.count("correct") / len(verdicts))
        log_metric("undecided", verdicts.count("grader_timeout") / len(verdicts))
        correct = [None if verdict == "infra_error" else verdict == "correct" for verdict in verdicts]
        lengths = [len(ids) for ids in completion_ids]
        starts = range(0, len(verdicts), answers)
        groups = (rewards(correct[at : at + answers], lengths[at : at + answers], weight) for at in starts)
        return [each for group in groups for each in group]

    return reward
