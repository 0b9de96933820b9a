"""What PDDL text says by name, read without a planning library: the actions of a domain, the objects of a problem."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any

from harness.errors import DataError

LONGEST = 200_000  # characters of a domain or problem


def actions(domain: str) -> dict[str, list[str]]:
    """The actions of a domain with the names of their parameters, in lower case. Raises DataError."""
    out = {}
    for part in _sections(domain, ":action"):
        keys = dict(zip(part[2::2], part[3::2], strict=False))
        if len(part) < 2 or not isinstance(part[1], str) or not isinstance(keys.get(":parameters", []), list):
            raise DataError("an (:action ...) without a name or with odd parameters")
        out[part[1]] = [name.removeprefix("?") for name in _names(keys.get(":parameters", []))]
    if not out:
        raise DataError("no (:action ...) in it")
    return out


def objects(domain: str, problem: str) -> list[str]:
    """The objects of a problem, the constants of its domain included, in lower case. Raises DataError."""
    parts = [*_sections(domain, ":constants"), *_sections(problem, ":objects")]
    return [name for part in parts for name in _names(part[1:])]


def _names(listed: list[Any]) -> list[str]:
    """The names of a list such as ``a b - truck c - (either box crate)``."""
    rest, names = iter(listed), list[str]()
    for each in rest:
        if each == "-":
            next(rest, None)
        elif isinstance(each, str):
            names.append(each)
    return names


def _sections(text: str, name: str) -> list[list[Any]]:
    return [part for part in _tree(text) if isinstance(part, list) and part[:1] == [name]]


def _tree(text: str) -> list[Any]:
    """What a ``(define ...)`` holds as nested lists of words in lower case."""
    if len(text) > LONGEST:
        raise DataError(f"longer than {LONGEST:,} characters")
    code = "\n".join("".join(takewhile(lambda char: char != ";", line)) for line in text.lower().splitlines())
    stack: list[list[Any]] = [[]]
    for word in re.findall(r"[()]|[^\s()]+", code):
        if word == "(":
            stack.append([])
        elif word == ")" and len(stack) > 1:
            stack[-2].append(stack.pop())
        elif word == ")":
            raise DataError("a bracket closes that was never opened")
        else:
            stack[-1].append(word)
    if len(stack) > 1 or not stack[0] or not isinstance(stack[0][0], list) or stack[0][0][:1] != ["define"]:
        raise DataError("it lacks (define ...), or brackets do not match")
    return list(stack[0][0])
