"""The ``premise`` grader: does an answer abstain where a premise is missing, and answer where none is?

No judge model: abstentions are read from word lists (``abstention``), definite answers by the reader of the question's
own family. The last word decides: an answer after "cannot be determined" (for an assumed number, say) is an answer; a
refusal after an answer takes it back, a mere remark on what is missing does not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.grading import abstention, expressions, numeric, plans
from harness.grading.abstention import Abstention
from harness.grading.answers import WAYS, read
from harness.grading.boxes import boxes, closed_before_cut, last_box
from harness.grading.families import kind_of
from harness.grading.messages import Gold, Judgement, Statement
from harness.grading.numbers import number
from harness.grading.sentences import CONCLUDES

LONGEST = 20_000  # characters from the end that are read
MARKED = WAYS[:3]
_WORDS = re.compile(r"(?<![\\\w])[A-Za-z]{3,}|[\u4e00-\u9fff]{2,}")  # in a box: words, which name a definite answer
_GRADERS = {"number": numeric, "math": expressions, "plan": plans, "pddl": plans}
# What an example or a condition comes to is no answer: "for example, if he had 5, he would have 8".
_SUPPOSED = re.compile(
    r"^\W*(?:(?:but|and|so|then|now|for) )?(?:if|suppose|imagine|say|example|instance|e\.g|once|when|with)\b"
    r"|\bfor (?:example|instance)\b|\bif (?:you|we|he|she|it|they|the|there|\w+ (?:had|has|starts|started))\b|\bwould\b"
    r"|\bonce (?:you|we)\b|例如|比如|如果|假如|若",
    re.IGNORECASE,
)
_DECIDED = re.compile(
    r"\\boxed|####|\b(?:the|my|final) answer (?:is|will be)\b|\banswer:|\b(?:let's|let us|i'll|i will|we'll|we will"
    r"|so) (?:just )?(?:assume|take|suppose)|\bassuming\b|答案(?:是|为)|(?:所以|因此)",
    re.IGNORECASE,
)
_NEXT_CLAUSE = re.compile(
    r"[,;:]? (?:so|but|therefore|however|thus|hence|let's)\b|[，,](?:所以|因此|但|假设)|;", re.IGNORECASE
)


def check(gold: Gold, answer: str, cut: bool = False) -> Judgement:
    """The judgement of an answer to a question with or without (``half``: missing) a premise.

    ``gold``: ``half``, complete or missing; ``family``, whose reader finds definite answers; ``gold``, by which an
    answer to the complete question is graded, and in whose terms a plan is read. ``details``: abstained, with those
    of the family. Of an answer that was cut, only a box can abstain.
    """
    missing = gold["half"] == "missing"
    refused = _abstains(gold, re.sub(r"\*\*|__", "", answer[-LONGEST:]), cut)
    if refused is not None:
        why = f"abstains: {' '.join(refused.split())[:80]!r}"
        details = {"abstained": True, "how": "abstention"}
        if missing:
            return Judgement("correct", why, "cannot be determined", details)
        return Judgement("wrong", f"{why}, though nothing is missing", "cannot be determined", details)
    judged = _family_check(gold, answer, cut)
    details = {**judged.details, "abstained": False}
    if not missing:
        return judged._replace(details=details)
    details = {key: details[key] for key in ("abstained", "how") if key in details}
    if judged.verdict in ("correct", "wrong"):
        why = f"answers {judged.answer[:40]!r}, though a premise is missing"
        return Judgement("wrong", why, judged.answer, details)
    return judged._replace(details=details)


def _family_check(gold: Gold, answer: str, cut: bool) -> Judgement:
    kind = kind_of(gold["family"], gold.get("gold"))
    if kind in ("plan", "pddl"):
        return plans.check(gold["gold"], answer, cut)
    if gold["half"] == "complete":
        wanted = str(gold["gold"]["answer"])
        return numeric.check(wanted, answer, cut) if kind == "number" else expressions.check(wanted, answer, cut)
    found = read(answer, cut)
    if found is None:
        return Judgement("no_answer", "neither an answer nor an abstention was found", "")
    return Judgement("wrong", "", found.text[:100], {"how": found.how})


def _abstains(gold: Gold, text: str, cut: bool) -> str | None:
    """The words in which an answer abstains, if that is its last word; else None."""
    if cut:
        box = last_box(closed_before_cut(text))
        return box if box is not None and abstention.is_abstention(box) else None
    found = abstention.abstentions(text)
    found += [
        Abstention(a, b, "refusal") for a, b in boxes(text)
        if text[a:b].strip() and number(text[a:b]) is None and abstention.is_abstention(text[a:b])
    ]  # fmt: skip
    found.sort(key=lambda each: each.end)
    spoken = [each for each in found if each.strength != "lack"]
    if not spoken:
        # Of a text that refuses nothing, what it ends with is its answer, however it is put.
        after = text[_end_of_sentence(text, found[-1].end) :] if found else ""
        answered = not found or _definite(gold, _without_lacks(text)) or _definite(gold, after, WAYS)
        return None if answered else _sentence(text, found[-1])
    last = spoken[-1]
    rest = text[_end_of_sentence(text, last.end) :]
    # Who marked an answer and then asks for more has still answered.
    marked = last.strength == "request" and _definite(gold, text[: last.start], MARKED)
    return None if marked or _definite(gold, _without_lacks(rest)) else _sentence(text, last)


def _definite(gold: Gold, text: str, ways: Sequence[str] = WAYS[:-1]) -> bool:
    """Whether a text gives an answer that counts, in one of these ways, and not in an example or under a condition.

    A text that abstains explains itself with numbers, too: of its sentences only those that conclude and the last one
    count, and its last number is a guess that it does not earn.
    """
    if not text.strip():
        return False
    kind = kind_of(gold["family"], gold.get("gold"))
    if kind in ("plan", "pddl"):
        return plans.check(gold["gold"], text).verdict in ("correct", "wrong")
    parts = [text[a:b] for a, b in abstention.sentences(text)]
    kept = "".join(
        part for place, part in enumerate(parts, 1)
        if _DECIDED.search(part)
        or (not _SUPPOSED.search(part) and (place == len(parts) or CONCLUDES.match(part.lstrip(" *#"))))
    )  # fmt: skip
    stated = read(kept)
    if stated is None or stated.how not in ways:
        return False
    boxed = stated.how == WAYS[0] and not abstention.is_abstention(stated.text)
    return number(stated.single()) is not None or (boxed and (kind == "math" or bool(_WORDS.search(stated.text))))


def _without_lacks(text: str) -> str:
    """A text without the sentences that say what is missing: their numbers are none of an answer."""
    lacks = abstention.abstentions(text)
    return "".join(
        text[a:b] for a, b in abstention.sentences(text)
        if _DECIDED.search(text[a:b]) or not any(a <= each.start < b for each in lacks)
    )  # fmt: skip


def _end_of_sentence(text: str, at: int) -> int:
    """Where the clause ends in which ``at`` stands: ", so assume 5" goes on with another."""
    for _, end in abstention.sentences(text):
        if end >= at:
            clause = _NEXT_CLAUSE.search(text[at:end])
            return at + clause.start() if clause else end
    return len(text)


def _sentence(text: str, found: Abstention) -> str:
    return next(text[a:b] for a, b in abstention.sentences(text) if b >= found.end)


def statements(gold: Gold, text: str) -> list[Statement]:
    """Of the complete question, its family's statements; of one without a premise every refusal is a right one."""
    kind = kind_of(gold["family"], gold.get("gold"))
    plan = kind in ("plan", "pddl")
    if gold["half"] == "complete":
        return list(_GRADERS[kind].statements(gold["gold"] if plan else str(gold["gold"]["answer"]), text))
    own = plans.statements(gold["gold"], text) if plan else numeric.statements("0", text)
    refused = [
        Statement(each.end, "cannot be determined", True, True)
        for each in abstention.abstentions(text) if each.strength == "refusal"
    ]  # fmt: skip
    return sorted([*(each._replace(right=False) for each in own), *refused])
