"""The parts of a visible answer that tell its end: displays, lines, sentences, results of computations.

Everything reads ``notation.plain``'s spelling and is linear in the length of the text.
"""

from __future__ import annotations

import re
from fractions import Fraction

# Words that begin a sentence which draws a conclusion.
CONCLUDES = re.compile(
    r"[^\w\n]{0,12}(?:(?:and|so|then|but|now),? )?(?:so|therefore|thus|hence|consequently|accordingly|finally"
    r"|in (?:total|all|conclusion|summary"
    r"|the end|short)|altogether|overall|as a result|this (?:means|gives|makes|leaves)|that (?:means|gives|makes"
    r"|leaves)|we (?:get|have"
    r"|find|conclude)|conclusion|total|answer|result|por lo tanto|por tanto|as[ií] que|entonces|donc|ainsi|also"
    r"|daher|somit|folglich"
    r"|insgesamt|portanto|logo|quindi|dunque|таким образом|значит|следовательно|итого|dus|daarom|zatem|więc"
    r"|(?:kwa )?hivyo|jumla)\b"
    r"|[^\w\n]{0,12}(?:所以|因此|因而|故|总共|一共"
    r"|共|综上|よって|したがって|ゆえに|따라서|그러므로|সুতরাং|অতএব|তাই|মোট|কাজেই|కాబట్టి|అందువల్ల|మొత్తం"
    r"|ดังนั้น|รวม|สรุป)",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"[^\w\n]{0,8}(?:note|notes|remark|check|checking|let(?:'s| me| us) (?:check|verify)|verif\w*|breakdown|to (?:check"
    r"|verify|confirm)|proof|explanation"
    r"|why|sanity|let me know|feel free|i hope|hope|if you (?:have|need|want|would)|验证|检验|验算|检查|说明|注)\b",
    re.IGNORECASE,
)
_ASIDE_BEGINS = re.compile(rf"\n(?={_ASIDE.pattern})", re.IGNORECASE)
# None of them is an English word, or part of a name that English texts have often.
_COMMA_WORDS = re.compile(
    r"\b(?:der|das|und|ist|sie|mit|für|daher|el|una|por|que|del|la|de|donc|les|est|et|une|des|il|gli|della|quindi"
    r"|não|uma|het|een|dus|och|är"
    r"|это|и|на|за|значит|jest|się|ve|bir)\b",
    re.IGNORECASE,
)
_COMMA_MARK = re.compile(
    r"\b(?:respuesta|réponse|antwort|ergebnis|lösung|resposta|risposta|ответ|odpowied[zź]|antwoord|svar|cevap"
    r"|jawaban)\b|€ ?\d+,\d\d(?!\d)|\d,\d\d ?(?:€|EUR|euros?\b)",
    re.IGNORECASE,
)
_DISPLAY = re.compile(
    r"\\\[(?P<bracket>.{1,2000}?)\\\]|\$\$(?P<dollars>[^$]{1,2000})\$\$"
    r"|\\begin\{(?P<name>align|equation|gather|aligned|split|multline"
    r"|eqnarray)(?P<star>\*?)\}(?P<rows>.{1,2000}?)\\end\{(?P=name)(?P=star)\}",
    re.DOTALL,
)
_CODE_BLOCK = re.compile(
    r"```(?:python|py|cpp|c|java|js|javascript|bash|sql|r|rust|go)\b[^`]{0,4000}```", re.IGNORECASE
)
_FENCE = re.compile(r"^[ \t]*```\w*[ \t]*$", re.MULTILINE)
_SHORT = "".join(
    rf"(?<!\b{word})"
    for word in ("Rs", "rs", "No", "no", "approx", "Approx", "Mr", "Mrs", "Dr", "St", "vs", "e.g", "i.e", "ca")
)
_SENTENCE_END = re.compile(
    rf"{_SHORT}(?:(?<!\.\.)\.|[!?])(?:[\"')\]*_]{{0,4}})(?:\s+(?![a-z(])|$)|[。।]\**|[!?](?=\s)|;(?=\s)|(?<=\d)！"
)
_REASON = re.compile(
    r",? (?P<why>because|since) |(?:, as| as (?:shown|seen|per|computed|calculated|in|\d|\\?\$))\b"
    r"|,? (?:given that|due to|where|assuming|based on"
    r"|considering|parce que|porque|weil|perché|потому|так как)\b|, (?:which|that) (?:is|are) (?:\S+ ){0,4}(?:more"
    r"|less|fewer|greater|between|above|below|half|twice)\b"
    r"|, (?:not|whereas|although)\b| [—–] | -- |, ?(?:因为|由于|比|不是|而|即|其中|也就是|ибо)|;|。",
    re.IGNORECASE,
)
_ASIDE_IN_BRACKETS = re.compile(
    r"(?:(?<=[^\s\\]) |(?<=[\u2e80-\ud7ff]))\("
    r"(?=[^()]{0,200}(?:(?<![\\a-zA-Z])[^\W\d_]{2}|=|\\times|\\cdot|\d ?[-+*/] ?\d))[^()]{0,200}(?<!\\)\)"
)
_IN_BRACKETS = re.compile(r"\(.*[^\W\d_]{2}.*\)")  # a whole line
_GOES_ON = re.compile(r"(?<!\d), [^\d,]{0,60}\d")
_CONSEQUENCE = re.compile(r", (?:and )?(?:so|thus|therefore|hence|which means|meaning)\b(?: that)?")
_CLAUSE_BEFORE = re.compile(
    r"\W*(?:(?:so|therefore|thus|hence|then|now|and|finally),? )?(?:since|because|if|when|given|after|for|in|with"
    r"|at the end of|out of)\b[^\n]{0,150}?"
    r",(?! (?:and|or)\b) ",
    re.IGNORECASE,
)
# Something is said before the reason: "First, since he has 3, he pays 6" is no statement with a reason behind it.
_SAID = re.compile(r"\d|\\[a-z]|^\W*(?!(?:first|then|next|now|so|finally|and)\b)\w", re.IGNORECASE)
_RESULT = re.compile(
    r"(?:=|\\approx)\s*\**\s*(?:\\?\$|[£€¥₹])?\s*\**(-?\d[\d,]*(?:\.\d+)?(?:/\d+)?)(?![\d.,]*\d|[ \t]*[-+/^=(]"
    r"|[ \t]*\*(?!\*)|[ \t]*\\(?:times|cdot|div|frac)|[a-z]\b)"
)
MOST_RESULTS = 60
MOST_LINES = 15  # that are looked at from the end
LONGEST_LINE = 1_000


def decimal_comma(text: str) -> bool:
    """Whether a text is in a language that writes a decimal comma, by its commonest words."""
    return (
        len({match.lower() for match in _COMMA_WORDS.findall(text[-4000:])}) > 1 or _COMMA_MARK.search(text) is not None
    )


def tidied(text: str) -> str:
    """Every display on a line of its own, of an alignment the last row, and no code of programs."""
    if "<|" in text:
        text = re.sub(r"<\|[a-z_]{1,30}\|>", " ", text)  # control tokens
    if "<<" in text:
        text = re.sub(r"<<[^<>\n]{0,100}>>", "", text)  # GSM8K's calculator
    if "```" in text:
        text = _FENCE.sub("", _CODE_BLOCK.sub("", text))
    return _DISPLAY.sub(_in_line, text) if "\\[" in text or "$$" in text or "\\begin" in text else text


def _in_line(match: re.Match[str]) -> str:
    content = match["bracket"] or match["dollars"] or ""
    if rows := match["rows"]:
        content = re.sub(r"^\s*&|&(?=\s*[=<>])", "", rows)
        if "\\begin" not in rows:
            content = "".join([row for row in re.split(r"\\\\", rows) if row.strip()][-1:]).replace("&", "")
    alone = "\n" if match["rows"] or "\n" in content else ""
    inside = " ".join(content.split())
    inside = (
        _DISPLAY.sub(_in_line, inside).strip("\n$") if match["rows"] is None and "\\begin{align" in inside else inside
    )
    return f"{alone}$${inside}$${alone}"


def sentences(line: str) -> list[str]:
    """The sentences of a line that state something, without their full stops."""
    out, at = [], 0
    for match in _SENTENCE_END.finditer(line):
        part = line[at : match.start()]
        if line[match.start()] != "?" or part.endswith(" "):  # " ?" stands for a character that is not known
            out.append(part)
        at = match.end()
    return [part.strip() for part in (*out, line[at:]) if part.strip()]


def without_reason(statement: str) -> str:
    """A statement without the clause that explains it, and without what it says in brackets."""
    shorter = _ASIDE_IN_BRACKETS.sub("", statement)
    for match in _REASON.finditer(shorter):
        # "and since he has 3, he pays 6" goes on with what follows from it.
        if _SAID.search(shorter[: match.start()]) and not (match["why"] and _GOES_ON.search(shorter, match.end())):
            return shorter[: match.start()].strip()
    return shorter.strip()


def main_clause(statement: str) -> str:
    """A statement without the clauses before it: "Since he has 3 of them, he pays 6", "He has 18, so he needs 1"."""
    for match in [*[*_CONSEQUENCE.finditer(statement)][-1:], _CLAUSE_BEFORE.match(statement)]:
        if match and re.search(r"\d", statement[match.end() :]):
            return statement[match.end() :]
    return statement


def without_checks(text: str) -> str:
    """A text up to the check, note or farewell at its end, if something before it draws a conclusion."""
    for match in _ASIDE_BEGINS.finditer(text):
        before = text[: match.start()]
        if re.search(r"\d", before) and any(CONCLUDES.match(line) or "**" in line for line in before.splitlines()[-6:]):
            return before
    return text


def last_lines(text: str) -> list[str]:
    """The last lines of a text that may hold its end, the last one first; cells of tables with ";" between them."""
    lines = [line.strip()[-LONGEST_LINE:] for line in text.splitlines() if line.strip()][-MOST_LINES:]
    kept = [
        line for line in reversed(lines) if not (_ASIDE.match(line.lstrip("#*_- ")) or _IN_BRACKETS.fullmatch(line))
    ]
    kept = kept or lines[::-1]
    return [" ; ".join(line.strip("|").split("|")) if line.count("|") > 2 and line[0] == "|" else line for line in kept]


def results(text: str) -> list[Fraction]:
    """What the computations of a text come to ("9 * 2 = 18"), in their order."""
    found = _RESULT.findall(text)[-MOST_RESULTS:]
    out = []
    for written in found:
        over, _, under = written.replace(",", "").partition("/")
        if len(written) <= 40 and (not under or int(under)):
            out.append(Fraction(over) / int(under or 1))
    return out
