"""Where a text says that a question cannot be answered from what it tells, in English and in Chinese.

Three strengths. A *refusal* says that there is no answer ("cannot be determined", "not enough information"), a
*request* asks for what is missing ("let me know the price"), a *lack* says only what is missing ("the price is not
given"), which many go on to assume. Questions, what is denied ("nothing is missing", "not impossible to tell") and what
is only supposed ("if it were not given, ...") are none of these. Linear in the length of the text: every gap in a
pattern is bounded and stays within its sentence.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Strength = Literal["refusal", "request", "lack"]


class Abstention(NamedTuple):
    start: int
    end: int
    strength: Strength


_NOT = r"(?:can(?:no|')t|cannot|can not|could(?: not|n't)|won't be able to|(?:not|n't) (?:be )?(?:able|possible) to)"
_UNABLE = r"(?:unable|impossible|no (?:\w+ )?way|insufficient|too little|hard|difficult) to"
_FIND = (
    r"(?:determin|answer|calculat|comput|solv|find|figure|know|tell|deduc|establish|conclu|ascertain|infer|specif"
    r"|provide|give|pinpoint|work out|say|evaluat|make|create|devise|simplif|get|reach|arrive|proceed|plan\b)"
)
_INFORMATION = (
    r"(?:information|data|details?|context|facts?|premises?|conditions?|input|clues?|knowledge|values?|numbers?)"
)
_ADVERBS = r"(?:\w+ly |also |just |then |be |yet |still |even )"
_GAP = r"[^.!?\n]"
_REFUSALS = (
    rf"{_NOT} {_ADVERBS}{{0,3}}{_FIND}",
    rf"{_UNABLE} {_ADVERBS}{{0,2}}{_FIND}",
    r"\b(?:is|are|be|was|it's|seems) (?:\w+ly )?(?:impossible|not possible|unsolvable|unanswerable|indeterminate"
    r"|undetermined|undeterminable|indeterminable|under-?determined|under-?specified|ill-posed|inconclusive"
    r"|incomplete|insufficient)\b(?! integ| form| for )",
    rf"(?:\b(?:not|without|lacks?|lacking)|n't)(?: \w+){{0,3}} (?:enough|sufficient|adequate|necessary|complete)"
    rf"{_GAP}{{0,30}}\b{_INFORMATION}",
    rf"\b(?:no|insufficient|incomplete|inadequate|(?:too )?(?:little|few)) (?:\w+ ){{0,3}}{_INFORMATION}\b",
    rf"\b(?:lacks?|lacking|missing) (?:\w+ ){{0,4}}{_INFORMATION}\b",
    rf"\b{_INFORMATION} (?:\w+ ){{0,3}}(?:is|are) (?:\w+ ){{0,2}}(?:insufficient|missing|incomplete|lacking"
    rf"|not (?:enough|sufficient|provided|given))",
    rf"\b(?:needs?|requires?|missing|provide|have) (?:some |any |the |us |me )?(?:\w+ )?(?:more|additional|further"
    rf"|extra|specific) (?:\w+ ){{0,2}}{_INFORMATION}",
    rf"\b(?:more|additional|further|missing) (?:\w+ ){{0,2}}{_INFORMATION} (?:\w+ ){{0,3}}(?:needed"
    r"|required|necessary)",
    r"\b(?:no (?:unique|single|definite|definitive|specific|numerical|numeric|determinate|possible) "
    r"(?:\w+ )?(?:answer|solution|value|result|plan)|not (?:a )?(?:well[- ](?:defined|posed)|solvable|answerable"
    r"|determinable|computable))",
    r"\bno (?:\w+ )?(?:answer|plan|solution) (?:exists|is possible|can be (?:given|found|made|determined))\b",
    r"(?:无法|不能|难以|没法|没有办法|不可能)(?:唯一|准确|直接|具体|明确|进行|得出|进一步|完全|由此)*地?"
    r"(?:确定|计算|求|得|回答|判断|解|知道|推|算|给出|完成|制定|规划)",
    r"(?:信息|条件|数据|前提|已知)[^。!?!?\n]{0,6}(?:不足|不够|不完整|缺失|缺少)|(?:缺少|缺乏|没有足够的?|没有给出足够的?"
    r"|需要更多的?|需要补充)[^。!?\n]{0,12}(?:信息|条件|数据|前提)|(?:答案|结果)[^。!?\n]{0,6}(?:不确定|不唯一|未知)|题目?(?:不完整|无解)",
)
_LACKS = (
    r"\b(?:have|has|had)(?: not|n't) (?:\w+ ){0,2}(?:told|given|specified|said|stated|provided|mentioned)\b|\bno"
    r" (?:\w+ )?(?:goal|number|start|position|price|amount|premise) (?:\w+ ){0,2}(?:given|stated|specified"
    r"|told|known)\b|\b(?:answer|result|total|number|value|plan)\b[^.!?\n]{0,20} depends on\b",
    r"\b(?:is|are|was|were|been|being)(?: not|n't) (?:\w+ ){0,2}(?:given|provided|specified|stated|mentioned|known"
    r"|defined|told|said|included|clear|indicated|listed|described|related)",
    r"\b(?:does|do|did)(?: not|n't) (?:\w+ly )?(?:say|state|specify|provide|tell|mention|give|include|contain"
    r"|indicate|know|have|define|relate|describe|list|appear to (?:be )?relate)\b",
    r"\b(?:is|are|was|were|remains?|be|as|being|still|an?|the) (?:\w+ )?(?:unknown|unspecified|unstated|unclear"
    r"|unrelated|undefined)\b(?! (?:side|variable|angle|length))|\b(?:missing|not given|not specified|not provided)\b",
    r"\b(?:you'd|we'd|(?:you|we|one|i) would) need\b(?! to\b)|\bno (?:mention|indication|specification)\b"
    r"|\bwithout (?:knowing|this|that|the|more|any|additional|further|specific)\b",
    r"(?:没有|并未|未|没)(?:给出|说明|提供|告诉|提到|指出|明确|说)|未知|不知道|缺少|缺失",
)
_REQUESTS = (
    r"\b(?:need|needs|have|necessary|required|like|want) to (?:know|be told)\b",
    r"\bplease (?:provide|tell|specify|clarify|share|let me know|give|check|double-check)|\b(?:could|can) you"
    r" (?:please )?(?:provide|clarify|specify|check)|\blet me know (?:the|how (?:much|many)|what"
    r"|which|if you (?:have|know))"
    r"|\b(?:if|once) you (?:can )?(?:provide|have the|have that|have this|tell me|know)\b",
    r"请(?:提供|补充|告诉|检查)",
)
_PATTERNS: dict[Strength, re.Pattern[str]] = {
    "refusal": re.compile("|".join(_REFUSALS), re.IGNORECASE),
    "request": re.compile("|".join(_REQUESTS), re.IGNORECASE),
    "lack": re.compile("|".join(_LACKS), re.IGNORECASE),
}
# A box or a mark that holds one of these, alone, is no answer.
_ALONE = re.compile(
    r"\W*(?:\\(?:text|textbf|mathrm|textit)\W*)?(?:the )?(?:answer |result |it )?(?:is )?(?:unknown|undetermined"
    r"|indeterminate|none|n/?a|unanswerable|impossible|insufficient|undefined|not (?:possible|known|given|determined)"
    r"|no (?:answer|solution)|\?+|未知|无解|不确定)\W*",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\b(?:not|never|nothing(?: \w+)?|no (?!way)\w+(?: \w+)?|hardly|isn't|aren't|wasn't|doesn't|neither|rather than"
    r"|instead of|wrong to \w+|false|untrue|incorrect|mistaken)(?: (?:is|are|true|correct|that|it|an?|at|all|really"
    r"|case|the|to|say|at all|any)){0,5}\W*|(?:并非|不是|并不是|没有)\s*)$",
    re.IGNORECASE,
)
# "If it were not given, it could not be determined": nothing is missing.
_SUPPOSED = re.compile(
    r"^\W*(?:(?:but|and|now|even|only) )?(?:if|had|were|suppose|unless)\b[^.!?\n]{0,120}\b(?:were|was|had|would)\b"
    r"|\b(?:might|may|could) (?:\w+ )?(?:think|seem|appear|look|be tempted)|^\W*at first\b|\bat first (?:glance"
    r"|sight)\b|看似|乍看",
    re.IGNORECASE,
)
# "Saying that it cannot be determined would be wrong"
_WITHDRAWN = re.compile(
    r"\b(?:would be|is|was) (?:\w+ly )?(?:wrong|incorrect|false|untrue|not (?:true|right|correct|so))\b", re.IGNORECASE
)
_END = re.compile(r"(?<=[.!?。!?\n])(?=\s|$|[\"')*\]}])|\n|[。!?]")


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence or line, in order."""
    ends = [m.end() for m in _END.finditer(text)]
    return [(a, b) for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if text[a:b].strip()]


def abstentions(text: str) -> list[Abstention]:
    """Every place where the text abstains, in order."""
    text = text.replace("’", "'").replace("\u00a0", " ")
    out = []
    for start, end in sentences(text):
        sentence = text[start:end]
        asked = sentence.rstrip(" *_\"')").endswith(("?", "？"))
        if _SUPPOSED.search(sentence) or (asked and not re.search(r"please|you (?:provide|clarify|specify)", sentence)):
            continue
        out += [
            Abstention(start + match.start(), start + match.end(), strength)
            for strength, pattern in _PATTERNS.items()
            for match in pattern.finditer(sentence)
            if not _DENIED.search(sentence[max(0, match.start() - 60) : match.start()])
            and not _WITHDRAWN.search(sentence, match.end())
        ]
    return sorted(out)


def is_abstention(text: str) -> bool:
    """Whether a short text, such as the content of a box, is none but an abstention."""
    return bool(_ALONE.fullmatch(text[:200])) or bool(abstentions(re.sub(r"\\[a-z]+|[{}$~]", " ", text[:400]).strip()))
