"""Checkable instructions: IFEval's kinds by lm-eval's checkers (arXiv 2311.07911), Multi-IF's languages, our own kinds.

In workers alone: its patterns can be slow. Where verdicts differ from lm-eval's, docs/graders.md says why.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from harness.grading.messages import Gold, Judgement

Follows = Callable[[str], bool]  # whether a text follows an instruction

LONGEST = 200_000

_NEEDS_SENTENCES = ("length_constraints:number_sentences", "change_case:capital_word_frequency")


class CheckerFailed(RuntimeError):
    """An instruction cannot be checked: neither followed nor broken."""


@cache
def load() -> dict[str, Any]:
    """lm-eval's registry of checkers, with its language guesser seeded (it is random otherwise) and loaded."""
    import langdetect

    # Importing the module downloads sentence-splitter data on rank 0; grading never touches the network. Put back, for
    # a trainer in this process would take it for a rank of its own.
    rank = os.environ.get("LOCAL_RANK")
    os.environ["LOCAL_RANK"] = "1"
    try:
        from lm_eval.tasks.ifeval import instructions_util
        from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT
    finally:
        del os.environ["LOCAL_RANK"]
        if rank is not None:
            os.environ["LOCAL_RANK"] = rank

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

    The verdict is prompt-level: every instruction followed, by ``gold["rule"]`` (strict unless it says loose); no
    verdict past 200,000 characters, or where a checker fails.
    """
    names = gold["instruction_id_list"]
    details: dict[str, list[bool]] = {"strict": [], "loose": []}
    if not answer.strip():
        return Judgement("no_answer", "the answer is empty", "", dict.fromkeys(details, [False] * len(names)))
    if len(answer) > LONGEST:
        return Judgement("grader_timeout", f"not checked: longer than {LONGEST:,} characters")
    lines = answer.split("\n")
    cut = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    # IFEval's loose views: also without first or last line or both, each with and without asterisks.
    views = [view for view in (answer.replace("*", ""), *cut, *(part.replace("*", "") for part in cut)) if view.strip()]
    for name, arguments in zip(names, gold["kwargs"], strict=True):
        given = {key: value for key, value in arguments.items() if value is not None}
        try:
            follows = _checker(name, given, gold)
            strict = bool(follows(answer))
            details["strict"].append(strict)
            details["loose"].append(strict or any(map(follows, views)))
        except CheckerFailed as error:
            return Judgement("infra_error", f"{name}: {error}"[:200])
        except Exception as error:
            return Judgement("infra_error", f"{name}: {type(error).__name__}: {str(error)[:120]}"[:200])
    rule = "loose" if gold.get("rule") == "loose" else "strict"
    broken = [name for name, followed in zip(names, details[rule], strict=True) if not followed]
    if broken:
        return Judgement("wrong", f"not followed ({rule}): {', '.join(broken)}", answer[:200], details)
    return Judgement("correct", f"all {len(names)} instructions followed ({rule})", answer[:200], details)


# Of languages whose words and sentences IFEval's English checkers do not see.
_CJK = r"\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff"
_ENDS = {"zh": r"[。！？!?]+|\.(?=\s|$)", "ja": r"[。！？!?]+|\.(?=\s|$)", "hi": r"[।॥!?]+|\.(?=\s|$)"}


def _checker(name: str, given: dict[str, Any], gold: Gold) -> Follows:
    if name in _OWN:
        return partial(_OWN[name], **given)
    if name == "keywords:letter_frequency" and not re.fullmatch("[a-zA-Z]", str(given.get("letter", ""))):
        # lm-eval replaces a non-letter by a random letter; the prompt asks for the character itself.
        letter, bound, relation = (given[key] for key in ("letter", "let_frequency", "let_relation"))
        return lambda text: _relation(text.lower().count(letter.lower()), bound, relation)
    if name == "language:response_language" and given.get("language") == "zh":
        return _is_chinese
    if name == "keywords:forbidden_words":
        return partial(_has_none, words=[str(word) for word in given["forbidden_words"]])
    language = str(gold.get("language", "en"))
    if language in _ENDS and name == "punctuation:no_comma":
        return lambda text: not re.search("[,，、]", text)
    if language in _ENDS and name == "length_constraints:number_words":
        word = rf"[{_CJK}]|[^\W{_CJK}]+"  # a CJK character is one, as is a run of other word characters
        return lambda text: _relation(len(re.findall(word, text)), given["num_words"], given["relation"])
    if language in _ENDS and name == "length_constraints:number_sentences":
        ends, bound, relation = _ENDS[language], given["num_sentences"], given["relation"]
        return lambda text: _relation(sum(bool(part.strip()) for part in re.split(ends, text)), bound, relation)
    registry = load()
    if name not in registry:
        raise CheckerFailed("no such kind of instruction")
    if name in _NEEDS_SENTENCES and not has_sentences():
        raise CheckerFailed(
            "NLTK's punkt_tab data is missing; run 'python -m nltk.downloader punkt_tab' or set NLTK_DATA"
        )
    checker = registry[name](name)
    # The generator's state tells a draw for sure; a drawn value can be the given one by chance.
    state = random.getstate()
    checker.build_description(**given)
    known = checker.get_instruction_args() or {}
    if random.getstate() != state:
        random.setstate(state)
        raise CheckerFailed(
            f"{_drawn(known, given)} is missing or out of range, where lm-eval would draw one at random"
        )
    if "prompt" in known:
        checker.build_description(prompt=gold.get("prompt", ""))
    return lambda text: bool(checker.check_following(text))


def _drawn(known: dict[str, Any], given: dict[str, Any]) -> str:
    """The argument that a checker most likely drew: one that was not given, else one that has another value now."""
    missing = [key for key in known if key not in given]
    changed = [key for key in given if str(known.get(key)).strip().lower() != str(given[key]).strip().lower()]
    return (missing + changed + ["an argument"])[0]


# Scripts that put no space between words, or particles behind them: there a word is found anywhere.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
# What goes on with a word; vowel signs of Hindi and its like, points of Arabic and Hebrew are not in \w.
_OF_A_WORD = r"[\w\u0300-\u036f\u0591-\u05c7\u0610-\u065f\u0900-\u0963\u0966-\u0dff]"


def _has_none(text: str, words: list[str]) -> bool:
    """None of the words stands in the text, as it is written and whole; lm-eval reads it as a pattern between \\b."""
    return not any(re.search(_whole(word), text, re.IGNORECASE) for word in words)


def _whole(word: str) -> str:
    if not word or _UNSPACED.search(word):
        return re.escape(word) or "(?!)"
    before, behind = (bool(re.fullmatch(_OF_A_WORD, edge)) for edge in (word[0], word[-1]))
    return f"{f'(?<!{_OF_A_WORD})' if before else ''}{re.escape(word)}{f'(?!{_OF_A_WORD})' if behind else ''}"


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
