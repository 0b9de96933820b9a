"""How the actions of a planning domain are written: as PDDL, as calls, and by patterns of English, in one line of text.

A pattern is ``unstack {block} from {below}``: words, parameters in braces (``{}``: the next one), ``[a part that may be
left out]``, and ``it`` for the first object of the action before. One parameter may be missing where the facts that
never change leave one object for it. Usual variants of a word count as that word (_SAME).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from harness.errors import DataError
from harness.grading.simulators import Action

Patterns = Mapping[str, Sequence[str]]  # of each action
Parameters = Mapping[str, Sequence[str]]  # of each action, in order

_SAME = {
    "from": "(?:from|off)(?: (?:of|off|on|atop|top|the top|its (?:position|place|spot))){0,5}",
    "on": "(?:on|onto|upon|atop)(?: (?:to|of|top|the top)){0,4}", "into": "(?:into|in|onto|on|inside|aboard)",
    "at": "(?:at|in)", "in": "(?:in|within|inside)", "that": "(?:that|which)", "is": "is(?: currently)?",
}  # fmt: skip
# Words that begin no name. An article before a common noun ("pick up a clear block") speaks of no object either.
_NO_NAME = (
    "it|its|them|they|that|this|these|which|top|of|on|onto|upon|atop|off|from|to|into|at|in|up|down|and|then|or|clear|"
    "actions?|steps?"
)
_BETWEEN = {"the", "up", "down", "out", "off", "away", "over", "clear", "from", "to", "into", "onto", "on", "at", "in"}
LONGEST_PATTERN = 200
MOST_FOUND = 1_000  # actions of one line
_VERBS = {"is", "are", "was", "has", "now", "the", "and"}  # a remark in brackets has them, an action has not
_TOKEN = "[a-z0-9]+(?:[_-][a-z0-9]+)*"  # noqa: S105 - a word
_CALL = re.compile(
    rf"\( ?([a-z][a-z0-9_-]*)((?:(?: ?, ?| ){_TOKEN})*) ?\)|(?<![a-z0-9_-])([a-z][a-z0-9_-]*)\(([a-z0-9_, -]*)\)"
)
_REMARK = r"(?: \([^()]{1,40}\))?"  # "the yellow block (Y)"
_PIECES = re.compile(r"\{[^{}]*\}|[\[\]]|[^\s{}\[\]]+")


class Found(NamedTuple):
    """An action in a line; None: what it leaves out is not clear. ``call``: written as PDDL or as a call."""

    start: int
    end: int
    action: Action | None
    call: bool = False


class Form(NamedTuple):
    """A pattern as a regular expression; ``groups``: for each parameter its group, or ``it``, or ``?``: missing."""

    name: str
    regex: re.Pattern[str]
    groups: tuple[int | str, ...]


class Wording:
    """The words of one problem: its actions, patterns and objects.

    ``objects``: the object of each word that names one. ``nouns`` may stand beside it ("the blue block", "truck 1").
    ``facts``: names that are no actions. ``fits``: whether an action can be meant, of several that are worded alike.
    """

    def __init__(
        self, parameters: Parameters, patterns: Patterns, objects: Mapping[str, str], nouns: Collection[str] = (),
        facts: Collection[str] = (), fits: Callable[[Action], bool] = lambda action: True,
    ) -> None:  # fmt: skip
        self._arity = {name: len(own) for name, own in parameters.items()}
        self._actions = {_squeezed(name): name for name in parameters} | {name: name for name in parameters}
        self._nouns, self.facts, self._fits = frozenset(nouns), frozenset(facts), fits
        self._objects, self._names = objects, {_normal(name): name for name in objects}
        own = tuple((name, tuple(parameters[name]), tuple(patterns.get(name, ()))) for name in parameters)
        self._forms, self.verbs = compiled(own, tuple(sorted(nouns)))

    def find(self, line: str, before: Action | None = None) -> list[Found]:
        """The actions in a line of lower case and single blanks, in order; ``before``: the action before them."""
        found = [*self._calls(line), *self._bare(line)]
        for form in self._forms:
            for match in form.regex.finditer(line):
                words = [self._name(match[each] or "?") if isinstance(each, int) else each for each in form.groups]
                found.append(Found(match.start(), match.end(), (form.name, *words)))
        found.sort(key=lambda each: (each.start, -each.end))
        out: list[Found] = []
        for _, alike in groupby(found, key=lambda each: (each.start, each.end)):
            same = list(alike)
            if out and same[0].start < out[-1].end:
                continue
            filled = [each._replace(action=self._completed(each.action, before)) for each in same]
            fitting = [each for each in filled if each.action and self._fits(each.action)] if len(same) > 1 else filled
            if len(out) == MOST_FOUND:  # too many to be a plan; what follows is not looked at
                return [*out, same[0]._replace(end=len(line), action=None)]
            out.append((fitting or filled)[0])
            before = out[-1].action
        return out

    def _completed(self, action: Action | None, before: Action | None) -> Action | None:
        """The action with what it leaves out; None where that is not clear."""
        if action and "it" in action:
            action = tuple(before[1] if word == "it" else word for word in action) if before and before[1:] else None
        if action and "?" in action:
            every = dict.fromkeys(self._objects.values())
            found = [tuple(name if word == "?" else word for word in action) for name in every]
            fitting = [each for each in found if self._fits(each)]
            return fitting[0] if len(fitting) == 1 else None
        return action

    def of(self, action: Action) -> Action:
        """The action with the domain's names of its objects."""
        return (action[0], *(self._objects.get(word, word) for word in action[1:]))

    def invented(self, line: str) -> Action | None:
        """A line that is one PDDL call and nothing else, of no action and no fact of the domain."""
        match = _CALL.fullmatch(line.rstrip(" ;,."))
        if match is None or not match[1] or not match[2] or "," in match[2] or match[1] in self.facts:
            return None
        words = match[2].split()
        sentence = self.known(match[1]) or _VERBS.intersection(words)
        return None if self._action(match[1]) or sentence else (match[1], *words)

    def mentions(self, text: str) -> bool:
        """Whether a text names an object, or speaks of "it"."""
        words = [word for word in re.findall(rf"(?<![a-z0-9'_-]){_TOKEN}(?![a-z0-9'_-])", text) if word != "a"]
        return "it" in words or any(map(self.known, words))

    def known(self, word: str) -> bool:
        """Whether a word names an object."""
        return self._name(word) in self._names.values()

    def orders(self, text: str) -> bool:
        """Whether a text is a word and an object, perhaps with a particle between them: "run from the hall"."""
        words = text.split(" ", 9)[1:]
        named = (word for word in words if word not in _BETWEEN and word not in self._nouns)
        return next((self.known(word.strip(".,;:!")) for word in named), False)

    def _calls(self, line: str) -> list[Found]:
        out = []
        for match in _CALL.finditer(line):
            if name := self._action(match[1] or match[3]):
                words = re.findall(_TOKEN, match[2] or match[4] or "")
                if match[3]:  # perhaps with English between its brackets: unstack(blue from orange)
                    words = [word for word in words if word not in {*self._nouns, "the", "from", "on", "top", "of"}]
                out.append(Found(match.start(), match.end(), (name, *map(self._name, words)), call=True))
        return out

    def _bare(self, line: str) -> list[Found]:
        """PDDL without brackets: of known objects, or a clause of its own."""
        out = []
        for name, arity in self._arity.items():
            for match in bare(name, arity).finditer(line) if arity else ():
                words = [self._name(word) for word in re.findall(_TOKEN, match[1])]
                if self._nouns.intersection(words):
                    continue
                known = all(map(self.known, words))
                if known or not re.match(r" ?[a-z0-9(]", line[match.end() :]):
                    out.append(Found(match.start(), match.end(), (name, *words), call=True))
        return out

    def _action(self, name: str) -> str:
        """The action that a name means, as it stands or with other hyphens; empty if there is none."""
        return self._actions.get(name) or self._actions.get(_squeezed(name), "")

    def _name(self, word: str) -> str:
        """The known name that a word means, with or without a noun beside it; an unknown one as it stands."""
        normal = _normal(word)
        if normal in self._names:
            return self._names[normal]
        parts = normal.split("_")
        for rest in (parts[1:] if parts[0] in self._nouns else [], parts[:-1] if parts[-1] in self._nouns else []):
            if "_".join(rest) in self._names:
                return self._names["_".join(rest)]
        return word


@lru_cache(256)
def compiled(
    actions: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...], nouns: tuple[str, ...]
) -> tuple[tuple[Form, ...], re.Pattern[str]]:
    """(patterns of actions as regular expressions, one that matches the verb of any action). Raises DataError."""
    forms = [_form(name, own, each, nouns) for name, own, patterns in actions for each in patterns]
    verbs = {_literal(re.split("[-_]", name)) for name, _, _ in actions}
    verbs |= {_literal(re.split(r"[{\[]", each)[0].split()) for _, _, patterns in actions for each in patterns}
    verb = "|".join(sorted(filter(None, verbs), key=len, reverse=True))
    return tuple(forms), re.compile(rf"(?:{verb})(?![a-z0-9])" if verb else "(?!)")


def _form(name: str, parameters: Sequence[str], pattern: str, nouns: Sequence[str]) -> Form:
    where = f"the wording {pattern[:60]!r} of {name}"
    if len(pattern) > LONGEST_PATTERN:
        raise DataError(f"{where} is longer than {LONGEST_PATTERN} characters")
    noun = "|".join(map(re.escape, nouns)) or "(?!)"
    article = rf"(?:a|an|any|another|one|each|every) (?!from\b|on\b|onto\b)(?:[a-z]+ )?(?:{noun})s?\b"
    text, last, groups = "", "", dict[str, int]()
    rest = iter(parameters)
    for piece in _PIECES.findall(pattern.lower()):
        if piece in "[]":
            text += "(?:" if piece == "[" else ")?"
            continue
        gap = "" if not text or last == "the" else "[ _-]?" if last == "word" and piece[0] != "{" else " "
        text = f"{text}{gap}" if not text.endswith("(?:") else f"{text} "
        last = "word"
        if piece == "the":
            text, last = f"{text}(?:the )?", "the"
        elif piece[0] != "{":
            text += _SAME.get(piece, re.escape(piece))
            last = "" if piece in _SAME else "word"
        else:
            last = ""
            key = piece[1:-1].strip() or next((each for each in rest if each not in groups), "")
            if key not in parameters:
                raise DataError(f"{where} names {piece}; its parameters are {', '.join(parameters) or 'none'}")
            again = key in groups
            number = groups.setdefault(key, len(groups) + 1)
            token = rf"\{number}" if again else rf"((?:(?:{noun})[ _-])?(?!(?:{_NO_NAME})\b){_TOKEN})"
            text += rf"(?:the )?(?:clear )?(?!{article}){token}(?: (?:{noun})(?![a-z0-9_-]))?{_REMARK}"
    if pattern.startswith("["):
        raise DataError(f"{where} begins with a part that may be left out")
    it = parameters[:1] if "it" in pattern.lower().split() else []
    left_out = [each for each in parameters if each not in (*groups, *it)]
    if len(left_out) > 1:
        raise DataError(
            f"{where} lacks {' and '.join(f'{{{each}}}' for each in left_out)}; one may be left out at most"
        )
    try:
        regex = re.compile(rf"(?<![a-z0-9_-]){text}(?![a-z0-9_-])")
    except re.error as error:
        raise DataError(f"{where} cannot be read: {error}; its brackets may not match") from None
    return Form(name, regex, tuple(groups.get(each, "it" if each in it else "?") for each in parameters))


@lru_cache(1_000)
def bare(name: str, arity: int) -> re.Pattern[str]:
    """An action and its objects without brackets."""
    token = rf"(?!(?:{_NO_NAME})\b){_TOKEN}"
    verb = _literal(re.split("[-_]", name))
    return re.compile(rf"(?<![a-z0-9_-]){verb}(?: | ?\( ?)({token}(?:(?: ?, ?| ){token}){{{arity - 1}}})(?![a-z0-9_-])")


def _literal(words: Sequence[str]) -> str:
    return "[ _-]?".join(map(re.escape, words))


def _squeezed(name: str) -> str:
    return re.sub("[-_ ]", "", name.lower())


def _normal(word: str) -> str:
    """A name with one mark between its letters and numbers: truck_1 for truck1, Truck-1 and truck 1."""
    return "_".join(re.findall(r"[a-z]+|\d+", word.lower()))
