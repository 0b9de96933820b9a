"""Where a text marks its answer: "the answer is" and its like in other languages, "####", tags, headings."""

from __future__ import annotations

import re
from typing import NamedTuple
from unicodedata import normalize

from harness.grading.sentences import sentences


class Marked(NamedTuple):
    """``statement``: what stands behind the mark; ``end``: where the text goes on; ``display``: a formula below it."""

    statement: str
    end: int
    display: bool = False


_ENGLISH = (
    r"(?<!to )(?<!can )(?<!we )(?<!us )\b(?:answers?|final (?:result|solution)|(?:correct|right|best) (?:option"
    r"|choice))\b"
    r"(?:[^.\n:=?]{0,60}?(?:\b(?:is|are|equals|becomes|isn't|(?:can|could|must|should|would|will)(?:not"
    r"|n't)? be)\b|:)|[^.\n:=?,]{0,12}?(?:=|->))"
)
_OTHERS = (
    r"\b(?:la )?respuesta[^.\n:=]{0,20}?(?:\bes\b|:|=)|\b(?:la )?réponse[^.\n:=]{0,20}?(?:\best\b|:|=)"
    r"|\b(?:die )?antwort[^.\n:=]{0,20}?(?:\bist\b|"
    r"\blautet\b|:|=)|\b(?:endergebnis|ergebnis|lösung)\s*(?:ist|lautet|:)"
    r"|\b(?:a )?resposta[^.\n:=]{0,20}?(?:\bé\b|:|=)|\b(?:la )?risposta[^.\n:=]{0,20}?"
    r"(?:\bè\b|:|=)|\bответ\s*(?:[-:—=]|\bбудет\b)|\bodpowied[zź]\s*(?:to|:)"
    r"|\b(?:het )?antwoord[^.\n:=]{0,20}?(?:\bis\b|:)|\bsvar(?:et)?\s*(?:är|er|:)"
    r"|\bcevap\s*:|\bjawaban(?:nya)?\s*(?:adalah|:)|đáp (?:án|số)[^.\n:=]{0,12}?(?:là|:)"
    r"|(?:答案|最终结果|最后结果|正解)[^。\n:=是为]{0,6}?(?:应该是|应为|是|为|:|=)\s*:?"
    r"|(?:^|(?<=[\n。#* ]))答\s*:|(?:故|应|所以)选择?\s*:?|(?:答え?|解答|回答)(?:は|:)|정답(?:은|:)"
    r"|(?:^|(?<=\n))답(?:은|:)|\bjibu(?: la mwisho)?\s*(?:ni\b|:|=)|উত্তর(?:টি)?\s*(?:হলো|হল|হবে|হচ্ছে|:|=)"
    r"|సమాధానం\s*[:=]?|คำตอบ(?:สุดท้าย)?\s*(?:คือ|:|=)"
)
_HASHES = r"####(?!#)"
_MARK = re.compile(
    rf"(?:{_ENGLISH}|{normalize('NFKC', _OTHERS)}|<answer>|{_HASHES}|(?:^|(?<=\n))A:(?= ))[ \t*_:\"]*", re.IGNORECASE
)
_BEHIND = re.compile(
    r" (?:is|are) (?:therefore |thus |indeed |then )?(?:the|our|my) (?:final |correct |right )?answers?\b",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"\b(?:this|that|it|which|here)$", re.IGNORECASE)
_HEADING = re.compile(
    r"(?:^|(?<=\n))[ \t>#*_✅]{0,12}(?:the )?(?:(?:final|correct|my) )?(?:answer|final result|最终答案|答案"
    r"|respuesta(?: final)?|réponse(?: finale)?|antwort)"
    r"[ \t*_:]{0,8}(?=\n)",
    re.IGNORECASE,
)
_LED = re.compile(r"\b(?:if|suppose|assum\w+|whether|unless|when|until|why)\b[^.\n]{0,40}$", re.IGNORECASE)
_ANY = re.compile(
    r"\b(?:each|every|an?|any|per|of|\d+|incorrect|wrong|another)(?: (?:correct|right|wrong|incorrect|possible))? $",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"(?:\b(?:not|no|n'est|не|nie)|n't|not|不|至少|至多|最多|最少|超过)\s*(?:be|es|est|é|è|to|是|为)?\W*$",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"(?:thus|therefore|then|so|simply|as follows|hence|below|given by|now|found to be|\W)*", re.IGNORECASE
)
# A line after four marks that is a heading of Markdown rather than an answer.
_TITLE = re.compile(
    r"[A-Za-z]{3,}.*:\W*$|^\W*(?:step|part|case|solution|check|conclusion|final|verification|question)\b"
    r"|(?:[A-Za-z]{3,} +){2}[A-Za-z]{3,}",
    re.IGNORECASE,
)
_TAG = re.compile(r"</?[a-zA-Z]{1,12}>")
_ITEM = re.compile(r"[-*•] |\(?[a-z\d][.)] ")
MOST = 50  # marks that are looked at, from the end


def marked(text: str) -> list[Marked]:
    """What a text marks as its answer, the last first."""
    found = [(m.end(), m) for m in _MARK.finditer(text)] + [(m.end(), m) for m in _HEADING.finditer(text)]
    found += [(m.end(), m) for m in _BEHIND.finditer(text)]
    out = []
    for end, match in sorted(found, key=lambda pair: (pair[0], -pair[1].start()), reverse=True)[:MOST]:
        statement = _statement(text, end, match)
        if statement is not None:
            out.append(statement)
    return out


def _statement(text: str, end: int, match: re.Match[str]) -> Marked | None:
    before = text[max(0, match.start() - 60) : match.start()]
    if _LED.search(before) or (match.group()[:1].isascii() and _ANY.search(before)):
        return None
    if match.re is _BEHIND:
        said = sentences(text[max(0, match.start() - 200) : match.start()].rpartition("\n")[2])
        return Marked(said[-1], match.end()) if said and not _PRONOUN.search(said[-1]) else None
    if match.group().lower().startswith("<answer>") and "</answer>" in text[end : end + 2000]:
        inside = text[end : text.index("</answer>", end)]
        return Marked(" ".join(inside.split()), end + len(inside)) if inside.strip() else None
    line = text[end : end + 400].partition("\n")[0]
    if match.group().startswith("####") and _TITLE.search(line):
        return None
    statement = _TAG.sub(" ", line).strip()
    if _FILLER.fullmatch(statement):
        return _below(text, end + len(line))
    if _DENIES.search(match.group()):
        statement = f"not {statement}"
    first = next(iter(sentences(statement)), "")  # a question states no answer
    return Marked(first, end + line.find(first[-8:]) + 8) if first and statement.startswith(first) else None


def _below(text: str, end: int) -> Marked | None:
    """The first line below a mark: a display, or a sentence; the first of several items is no answer."""
    rest = text[end : end + 2500].lstrip()
    line, _, more = rest.partition("\n")
    line = line.strip()
    if not line or (_ITEM.match(line) and _ITEM.match(more.lstrip())) or (_TITLE.match(line) and line.startswith("#")):
        return None
    at = text.find(line, end) + len(line)
    if line.startswith("$") and line.endswith("$"):
        return Marked(line, at, display=True)
    return Marked(next(iter(sentences(_TAG.sub(" ", line))), line), at)
