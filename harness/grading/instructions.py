"""Checkable instructions: IFEval's kinds by lm-eval's checkers (arXiv 2311.07911), Multi-IF's languages, our own kinds.

Runs in grading workers only: lm-eval's patterns can be slow on hostile text. Verdicts equal those of lm-eval's own
functions except where docs/graders.md says why they do not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from harness.grading.messages import Judgement

if TYPE_CHECKING:  # pydantic is slow to import
    from harness.records import Gold

Arguments = dict[str, Any]  # of an instruction, by name
Follows = Callable[[str], bool]  # whether a text follows an instruction

LONGEST = 200_000

_NEEDS_SENTENCES = ("length_constraints:number_sentences", "change_case:capital_word_frequency")


class CheckerFailed(RuntimeError):
    """A checker raised: neither followed nor broken."""


class TooLong(RuntimeError):
    """A text past the limit: neither followed nor broken."""


@cache
def load() -> dict[str, Any]:
    """lm-eval's registry of checkers, with its language guesser seeded (it is random otherwise) and loaded."""
    # Importing the module downloads sentence-splitter data on rank 0; grading never touches the network.
    os.environ["LOCAL_RANK"] = "1"
    import langdetect
    from lm_eval.tasks.ifeval import instructions_util
    from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    langdetect.DetectorFactory.seed = 0
    langdetect.detect("The language profiles are loaded here, before any thread needs them.")
    if has_sentences():
        instructions_util.count_sentences("One. Two.")
    return dict(INSTRUCTION_DICT)


def has_sentences() -> bool:
    """Whether NLTK's sentence splitter has its data."""
    import nltk

    try:
        return bool(nltk.data.find("tokenizers/punkt_tab"))
    except LookupError:
        return False


def check(gold: Gold, answer: str) -> Judgement:
    """The judgement of an answer. ``details`` has a boolean per instruction, strict and loose.

    The verdict is prompt-level: every instruction followed, by ``gold["rule"]`` (strict unless it says loose). Raises
    CheckerFailed when a checker fails and TooLong past 200,000 characters.
    """
    names, arguments = gold["instruction_id_list"], gold["kwargs"]
    if not answer.strip():
        none = [False] * len(names)
        return Judgement("no_answer", "the answer is empty", "", {"strict": none, "loose": none})
    if len(answer) > LONGEST:
        raise TooLong(f"not checked: longer than {LONGEST:,} characters")
    checkers = [(name, _checker(name, given, gold)) for name, given in zip(names, arguments, strict=True)]
    strict = [_follows(name, checker, [answer]) for name, checker in checkers]
    views = _loose_views(answer)
    loose = [done or _follows(*each, views) for each, done in zip(checkers, strict, strict=True)]
    details = {"strict": strict, "loose": loose}
    rule = "loose" if gold.get("rule") == "loose" else "strict"
    broken = [name for name, followed in zip(names, details[rule], strict=True) if not followed]
    if broken:
        return Judgement("wrong", f"not followed ({rule}): {', '.join(broken)}", answer[:200], details)
    return Judgement("correct", f"all {len(names)} instructions followed ({rule})", answer[:200], details)


def _loose_views(answer: str) -> list[str]:
    """IFEval's views beside the answer: without first or last line or both, each with and without asterisks."""
    lines = answer.split("\n")
    cut = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    return [answer.replace("*", ""), *cut, *(view.replace("*", "") for view in cut)]


def _follows(name: str, follows: Follows, views: Sequence[str]) -> bool:
    try:
        return any(bool(view.strip()) and bool(follows(view)) for view in views)
    except Exception as error:
        raise CheckerFailed(f"{name}: {type(error).__name__}: {str(error)[:120]}") from error


def _checker(name: str, arguments: Arguments, gold: Gold) -> Follows:
    given = {key: value for key, value in arguments.items() if value is not None}
    if name in _OWN:
        return partial(_OWN[name], **given)
    if name == "keywords:letter_frequency" and not re.fullmatch("[a-zA-Z]", str(given.get("letter", ""))):
        return partial(_character_frequency, **given)
    if local := _local(name, given, str(gold.get("language", "en"))):
        return local
    registry = load()
    if name not in registry:
        raise CheckerFailed(f"{name}: no such kind of instruction")
    if name in _NEEDS_SENTENCES and not has_sentences():
        raise CheckerFailed(
            f"{name}: NLTK's punkt_tab data is missing; run 'python -m nltk.downloader punkt_tab' or set NLTK_DATA"
        )
    try:
        checker = registry[name](name)
        checker.build_description(**given)
        known = checker.get_instruction_args()
        if known and "prompt" in known:
            checker.build_description(prompt=gold.get("prompt", ""))
    except Exception as error:
        raise CheckerFailed(f"{name}: {type(error).__name__}: {str(error)[:120]}") from error
    return lambda text: bool(checker.check_following(text))


def _character_frequency(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    """lm-eval replaces a non-letter by a random letter; the prompt asks for the character itself."""
    return _relation(text.lower().count(letter.lower()), let_frequency, let_relation)


# Of languages whose words and sentences IFEval's English checkers do not see.
_CJK = r"\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff"
_ENDS = {"zh": r"[。！？!?]+|\.(?=\s|$)", "ja": r"[。！？!?]+|\.(?=\s|$)", "hi": r"[।॥!?]+|\.(?=\s|$)"}


def _local(name: str, arguments: Arguments, language: str) -> Follows | None:
    if name == "language:response_language" and arguments.get("language") == "zh":
        return _is_chinese
    if language not in _ENDS:
        return None
    if name == "punctuation:no_comma":
        return lambda text: not re.search("[,，、]", text)
    counts: dict[str, tuple[str, Callable[[str], int]]] = {
        # A CJK character is a word, as is a run of other word characters.
        "length_constraints:number_words": ("num_words", lambda text: len(re.findall(rf"[{_CJK}]|[^\W{_CJK}]+", text))),
        "length_constraints:number_sentences": (
            "num_sentences", lambda text: sum(bool(part.strip()) for part in re.split(_ENDS[language], text)),
        ),
    }  # fmt: skip
    if name not in counts:
        return None
    bound, count = counts[name]
    return lambda text: _relation(count(text), arguments[bound], arguments["relation"])


def _is_chinese(text: str) -> bool:
    import langdetect

    try:
        return str(langdetect.detect(text)).startswith("zh")
    except langdetect.LangDetectException:
        return True  # as lm-eval does: text without any letter is in no wrong language


def _relation(count: int, bound: int, relation: str) -> bool:
    return count < bound if relation == "less than" else count >= bound


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _choose(text: str, words: list[str], number: int) -> bool:
    hits = [word for word in _words(text) if word in words]
    return len(hits) == number == len(set(hits))


def _separator(text: str, mark: str) -> bool:
    """The mark, and nothing else but spaces, stands between any two words."""
    gaps = re.split(r"[^\W\d_]+", text)[1:-1]
    return bool(gaps) and all(gap.strip() == mark for gap in gaps)


# The kinds of mini_rules that IFEval lacks.
_OWN: dict[str, Callable[..., bool]] = {
    "mini_rules:choose": _choose,
    "mini_rules:words_only": lambda text, words: set(_words(text)) <= set(words),
    "mini_rules:separator": _separator,
    "mini_rules:case": lambda text, case: (text.upper() if case == "upper" else text.lower()) == text,
    "mini_rules:start": lambda text, word: _words(text)[:1] == [word],
}
