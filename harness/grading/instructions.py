"""Checkable instructions: IFEval's kinds by lm-eval's checkers (arXiv 2311.07911), and the kinds it lacks.

Runs in grading workers only: lm-eval's patterns can be slow on hostile text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

LONGEST = 20_000


def load() -> dict[str, Any]:
    """lm-eval's registry of checkers, with its language guesser seeded (it is random otherwise)."""
    # Importing the module downloads sentence-splitter data on rank 0; grading never touches the network.
    os.environ["LOCAL_RANK"] = "1"
    import langdetect
    from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    langdetect.DetectorFactory.seed = 0
    return dict(INSTRUCTION_DICT)


def check(gold: dict[str, Any], answer: str, registry: dict[str, Any]) -> tuple[str, str, str, dict[str, Any]]:
    """(verdict, reason, answer, details): every instruction must be followed, on the answer as it stands (strict)."""
    if not answer.strip():
        return "no_answer", "the answer is empty", "", {"strict": []}
    if len(answer) > LONGEST:
        return "wrong", f"longer than {LONGEST} characters", answer[:100], {"strict": []}
    followed = []
    for name, arguments in zip(gold["instruction_id_list"], gold["kwargs"], strict=True):
        if name.startswith("mini_rules:"):
            followed.append(_OWN[name](answer, **arguments))
        else:
            checker = registry[name](name)
            checker.build_description(**{k: v for k, v in arguments.items() if v is not None})
            followed.append(bool(checker.check_following(answer)))
    details = {"strict": followed}
    broken = [name for name, ok in zip(gold["instruction_id_list"], followed, strict=True) if not ok]
    if broken:
        return "wrong", f"not followed: {', '.join(broken)}", answer[:200], details
    return "correct", f"all {len(followed)} instructions followed", answer[:200], details


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _choose(text: str, words: list[str], number: int) -> bool:
    found = [word for word in _words(text) if word in words]
    return len(found) == number == len(set(found))


def _words_only(text: str, words: list[str]) -> bool:
    return set(_words(text)) <= set(words)


def _separator(text: str, mark: str) -> bool:
    """The mark, and nothing else but spaces, stands between any two words."""
    gaps = re.split(r"[^\W\d_]+", text)[1:-1]
    return bool(gaps) and all(gap.strip() == mark for gap in gaps)


def _case(text: str, case: str) -> bool:
    return text.upper() == text if case == "upper" else text.lower() == text


def _start(text: str, word: str) -> bool:
    return _words(text)[:1] == [word]


_OWN: dict[str, Callable[..., bool]] = {
    "mini_rules:choose": _choose,
    "mini_rules:words_only": _words_only,
    "mini_rules:separator": _separator,
    "mini_rules:case": _case,
    "mini_rules:start": _start,
}
