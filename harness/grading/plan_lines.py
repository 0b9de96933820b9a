"""What one line of a response is to its plan: steps, what looks like a step and cannot be read, or a remark."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from harness.grading.simulators import Action
from harness.grading.wording import Found, Wording


class Kind(Enum):
    """``HEADING`` of a plan, ``PART`` of one, ``ASIDE`` of explanations or a check; else ``STEPS``, ``REMARK``."""

    STEPS = auto()
    HEADING = auto()
    PART = auto()
    ASIDE = auto()
    REMARK = auto()


class Unread(NamedTuple):
    """What looks like a step and cannot be read."""

    text: str


Step = Action | Unread


class Line(NamedTuple):
    """``number``: what it is numbered with. ``sure``: it is a step wherever it stands; else only among steps."""

    kind: Kind
    number: int | None = None
    steps: tuple[Step, ...] = ()
    sure: bool = True


_MARKUP = re.compile(
    r"[*`]+|\\[()]|\\item\b|(?<![a-z0-9])_+|_+(?![a-z0-9])"  # of Markdown and LaTeX
    r"|(?<![a-z0-9])[\"'‘’“”«»]+|[\"'‘’“”«»]+(?![a-z0-9])"
)
_ORDER = (
    "and|also|so|now|first|firstly|second|secondly|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|lastly|next|"
    r"then|finally|afterwards?|after (?:that|this)|followed by|to (?:start|begin)|(?:step|action|move|item)(?= ?[#\d:])"
    r"|(?:perform|execute|do|apply)(?: the)?(?: action)?|[a-z]{3,12}ly"
)
_NUMBER = r"\d{1,3}(?![a-z0-9])"
_LEAD = re.compile(rf"(?:[^a-z0-9]|{_NUMBER}|(?:{_ORDER})(?![a-z0-9'-]))*")
_JOINT = re.compile(
    rf"(?:[^a-z0-9]|{_NUMBER}|(?:{_ORDER}|i|we|you|would|will|should|must|shall|need to|have to|i'll|we'll|i'd|we'd)"
    r"(?![a-z0-9'-]))*"
)
_LABEL = re.compile(r"[^a-z0-9]*\d{1,3}(?!\d)[^a-z0-9:]*[a-z][^:]*: *")  # of a numbered line, before its action
LONGEST_LABEL = 100
_NO_LABEL = re.compile(
    r"\b(?:not|don't|cannot|if|would|could|because|since|before|after|instead)\b|^[^a-z]*(?:the |my )?(?:goal|initial)"
)
_COLON = re.compile(" *:")
_SENTENCE = re.compile(r"[.;!|](?= |$)|->|=>|→|—")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
# A mention, not a step, is what follows these in a sentence.
_MENTION = re.compile(
    r"\b(?:so|which|that|to|because|since|as|if|when|once|while|where|until|allow\w*|need\w*|requir\w*|lets?|can(?:not)?"
    r"|could|is|are|was|has|have|had|for|already|not|don't|clear\w*|mak\w+|enabl\w+|free\w*|leav\w+)\b|:"
)
_NEGATED = re.compile(r"\b(?:not|never|cannot|can't|don't|mustn't|impossible|avoid|without|instead of|rather than)\b")
_DISORDER = re.compile(r"\b(?:before|after(?! (?:that|this|which)\b)|unless|until|or|either)\b")
_MOTION = re.compile(
    "(?:move|place|set|lift|grab|take|remove|transfer|lower|return|lay|drop|release|slide|push|pull|swap|carry|"
    "bring|put|get|load|unload|drive|fly|pick|stack|unstack|deliver|ship|transport|throw|shift|relocate|rearrange)"
    "(?![a-z0-9])"
)
# A first word that is no order to do something; neither is one that ends in -s, -ing or -ed.
_STATING = (
    "the this that these those it its a an all both each since because with after before when once if while at in on "
    "verify check confirm ensure make note observe see goal result results state done repeat continue leave keep stop "
    "hold let we you i he she they there here is are no not given initial final current finally therefore thus hence "
    "also clear holding hand block object however but or for by as from to of only still yes ok table"
)
_NO_ORDER = frozenset(_STATING.split())
_GENERAL = re.compile(r"[a-z-]+(?: up| down)? (?:a|an|any|another|one|each|every) [a-z]")  # "pick up a block"
_OF_ACTIONS = re.compile(r"[a-z-]+(?: up| down)? (?:action|step|move)s?\b")  # "the stack action"
SHORT = 6  # words of a line that looks like a step although it names no object
_PART = re.compile(r"^[^a-z0-9]*(?:phase|stage|part|step|action)s? *\d")
_PLAN = re.compile(r"\b(?:plan|actions|summary|sequence|steps|answer|solution)\b")
_AGAIN = re.compile(r"\b(?:redo|retry|try again|start over|correct\w*|revis\w+|instead)\b")
_FINAL_PLAN = re.compile(
    r"\b(?:final|corrected|correct|revised|updated|new|actual|complete|full|optimal|shortest|valid|verified|working)\b"
    r"[^.:]{0,30}\b(?:plan|sequence|solution|answer|steps|actions)\b[^.:]{0,30}:?\W*$"
)
_CHECK = re.compile(r"\b(?:verify|check|double-?check|confirm|validate|simulate|trace|explain|justify)\b")
_ASIDE = re.compile(
    r"\b(?:explanations?|explained|key steps|reasons?|reasoning|notes?|justifications?|why|verif\w+"
    r"|valid(?:ity|ation|ating)|(?:double-?)?check\w*|confirm\w*|trace|tracing|simulat\w+|walk[ -]?through"
    r"|preconditions?|effects?|states?|proof|tests?|testing|execution|executing|how it works|what happens)\b"
)
_INLINE = re.compile(r"([^:]{0,60}\b(?:plan|answer|solution|sequence|actions|steps)\b[^:.]{0,30}:) *(?=[a-z0-9(\[\"'])")


def clean(line: str) -> str:
    """The line in lower case, without markup, with single blanks."""
    if not line.strip():
        return ""
    return " ".join(_MARKUP.sub("", line.lower().replace("’", "'")).split())


def split_heading(line: str) -> list[str]:
    """A heading and what follows it on its line as two lines; others as they are. ``line`` is a clean one."""
    match = _INLINE.match(line)
    if match is None or _LEAD.fullmatch(match[1]):
        return [line]
    return [match[1], line[match.end() :]]


def read_line(line: str, words: Wording, before: Action | None = None) -> Line:
    """What a clean line is, which has some text; ``before``: the action before it."""
    found = words.find(line, before)
    lead = _LEAD.match(line)
    number = _number(line[: lead.end()]) if lead else None
    if found and _begins(prefix := _BRACKETS.sub(" ", line[: found[0].start])):
        return Line(Kind.STEPS, _number(prefix), _steps(line, found, words))
    rest = line[lead.end() :] if lead else line
    if invented := words.invented(line[max(line.rfind("(", 0, len(line) - len(rest)), 0) :]):
        return Line(Kind.STEPS, number, (invented,), sure=False)
    sure = _looks_like_step(rest, words)
    if sure is not None or (found and not _remark(line[: found[0].start])):
        return Line(Kind.STEPS, number, (Unread(line),), bool(sure))
    return Line(_kind(line))


def _begins(prefix: str) -> bool:
    """Whether what stands before its first action makes a line one of steps: order, or a number and a label."""
    if _LEAD.fullmatch(prefix) or (_number(prefix) is not None and _JOINT.fullmatch(prefix)):
        return True
    label = _LABEL.match(prefix) if len(prefix) <= LONGEST_LABEL else None
    about = _ASIDE.search(prefix) or _NO_LABEL.search(prefix)
    return label is not None and about is None and _LEAD.fullmatch(prefix, label.end()) is not None


def _remark(prefix: str) -> bool:
    """Whether these words before an action make its line a remark, rather than a step in words that are not known."""
    words = re.findall("[a-z']+", prefix)
    about = _MENTION.search(prefix) or _NO_LABEL.search(prefix) or _ASIDE.search(prefix) or _NEGATED.search(prefix)
    return len(words) > 3 or bool(about) or not words or words[0] in _NO_ORDER


def mentioned(line: str, words: Wording) -> list[Step]:
    """The actions of a clean line wherever they stand in it, for texts without lines of steps."""
    out: list[Step] = []
    for sentence in filter(str.strip, _SENTENCE.split(line)):
        end, steps = 0, list[Step]()
        for each in words.find(sentence):
            gap = sentence[end : each.start]
            if _NEGATED.search(gap):
                break
            steps += _unread([gap], words, sentence)
            unclear = each.action is None or (end and _DISORDER.search(gap))
            steps.append(Unread(sentence.strip()) if unclear or not each.action else each.action)
            end = each.end
        out += steps or _unread([sentence], words, sentence)
    return out


def _kind(line: str) -> Kind:
    """Of a line that is no step."""
    if _PART.search(line):
        return Kind.PART
    heading = len(line) < 100 and (line[-1] in ":-—" or line[0] == "#" or not re.search("[.!?,;:]", line))
    if _FINAL_PLAN.search(line) and not _CHECK.search(line):
        return Kind.HEADING
    if heading and _ASIDE.search(line):
        return Kind.ASIDE
    again = _PLAN.search(line) or (heading and _AGAIN.search(line))
    return Kind.HEADING if again and line[0] != "(" else Kind.REMARK


def _steps(line: str, found: list[Found], words: Wording) -> tuple[Step, ...]:
    """The steps of a line that begins with one: what is joined to it by commas, numbers or words of order."""
    steps: list[Step] = []
    end, mention, call = found[0].start, False, found[0].call
    explained = False  # after a colon behind an action, until the next number
    for each in found:
        gap = _BRACKETS.sub(" ", line[end : each.start])
        opened = gap.rfind("(") if gap.rfind("(") > gap.rfind(")") else len(gap)
        remark = re.search("[a-z]", gap[opened:]) is not None  # a bracket begins before the action, not with it
        sentences = _SENTENCE.split(gap)
        other = each.call != call or opened < len(gap)  # in another form, or in brackets
        if steps and each.action == steps[-1] and other and not re.search("[a-z0-9]", gap):
            end = each.end
            continue  # the same once more
        call, explained = each.call, explained or _COLON.match(gap) is not None
        joined = _JOINT.fullmatch(sentences[-1]) is not None and (len(sentences) > 1 or not mention)
        if explained:
            joined = joined and any(_JOINT.fullmatch(each) and _number(each) is not None for each in sentences[1:])
        explained, mention = explained and not joined, mention or explained
        clear = joined or remark or each.action in steps or _MENTION.search(sentences[-1])
        if not clear and not (mention and len(sentences) == 1):
            steps.append(Unread(line))
        if not mention:
            steps += _unread(sentences if not joined else sentences[:-1], words, line)
        mention = not joined
        if joined:
            steps.append(each.action or Unread(line))
        end = each.end
    rest = _BRACKETS.sub(" ", line[end:])
    if not mention and not _COLON.match(rest):
        steps += _unread(_SENTENCE.split(rest), words, line)
    return tuple(steps)


def _unread(sentences: list[str], words: Wording, line: str) -> list[Step]:
    """The line, if one of these parts of it looks like a step that cannot be read."""
    for sentence in filter(str.strip, sentences):
        mention = False
        for clause in re.split(r",| and |(?= then )", sentence):
            joint, mention = _JOINT.match(clause), mention and not clause.startswith(" then ")
            if not mention and _looks_like_step(clause[joint.end() :] if joint else clause, words) is not None:
                return [Unread(line)]
            mention = mention or _MENTION.search(clause) is not None
    return []


def _looks_like_step(text: str, words: Wording) -> bool | None:
    """Whether words that are no action look like one: True anywhere, False among steps alone, None not at all."""
    first = re.match(r"[a-z]+(?:-[a-z]+)*", text)
    sentence = re.split(rf"{_SENTENCE.pattern}|:", text, maxsplit=1)[0]
    if first is None or _GENERAL.match(text):
        return None
    verb, mentions = words.verbs.match(text), words.mentions(sentence[first.end() :])
    if verb and ((not mentions and len(sentence.split()) <= SHORT) or _OF_ACTIONS.match(text)):
        return False
    if verb or not mentions:
        return True if mentions else None
    if _MOTION.match(text):
        return False
    order = (
        first[0] not in _NO_ORDER and first[0] not in words.facts and not re.search("(?:[^s]s|ing|ed|ly)$", first[0])
    )
    return False if order and not words.known(first[0]) and words.orders(sentence) else None


def _number(lead: str) -> int | None:
    match = re.search(r"\d{1,3}", lead)
    return int(match[0]) if match else None
