"""The ``reasoning_gym`` grader: a response's marked answer before the verifier of its reasoning-gym data set.

In workers alone. Some verifiers evaluate answers as Python: here they get literals, or formulas of plain signs.
"""

from __future__ import annotations

import re
import sys
from ast import literal_eval
from functools import cache
from importlib import import_module, metadata
from typing import Any

from harness.errors import DataError, nearest
from harness.grading.answers import WAYS
from harness.grading.boxes import last_box
from harness.grading.limits import beyond
from harness.grading.messages import Gold, Judgement

GYM = "reasoning_gym:"
VERSION = "0.1.25"  # for which the lists below hold; another version draws other problems, too
LONGEST = 20_000  # characters of an answer
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
# Their verifiers give answers to SymPy's parse_expr, which evaluates Python.
_FORMULAS = ("countdown", "puzzle24", "simple_integration", "intermediate_integration", "polynomial_multiplication")
_FORMULA = re.compile(
    r"(?:\d++(?:\.\d*+)?+|\.\d++|\b(?:a?(?:sin|cos|tan)h?|exp|log|ln|sqrt|pi|[A-Za-z])\b|[-+*/^(),\s])*+", re.ASCII
)
# Theirs give answers to ``eval``, to read lists.
_LITERALS = ("binary_matrix", "n_queens", "spiral_matrix", "string_insertion")
_REFUSED = ("bitwise_arithmetic",)  # evaluates Python that stands in its gold answer


def package() -> Any:
    """The package reasoning-gym. Raises DataError where it is not installed, or another version."""
    try:
        found, here = import_module("reasoning_gym"), metadata.version("reasoning-gym")
        why = "" if here == VERSION else f"this is {here}"
    except ImportError as error:
        why = str(error)
    if why:
        raise DataError(f"needs the package reasoning-gym {VERSION} ({why}): pip install 'harness[reasoning-gym]'")
    return found


@cache
def data_set(name: str) -> Any:
    """A data set, whose verifier does not evaluate Python. Raises DataError for one that is not known or refused."""
    package()
    factory = import_module("reasoning_gym.factory")
    if name not in factory.DATASETS or name in _REFUSED:
        why = "evaluates Python to grade" if name in _REFUSED else f"no such data set{nearest(name, factory.DATASETS)}"
        raise DataError(f"{GYM}{name}: {why}")
    made = factory.create_dataset(name, seed=0)
    if name in _LITERALS:
        vars(sys.modules[type(made).__module__])["eval"] = literal_eval  # in the place of the built-in one
    return made


def check(gold: Gold, answer: str, cut: bool) -> Judgement:
    """The verifier's judgement; right: its full score. ``details["score"]``: what it gave, partial credit included.

    Read are the last ``<answer>`` or box, else an answer of one line and nothing else; never what was cut.
    """
    tags, box, text = _TAG.findall(answer), last_box(answer), answer.strip()
    given, how = (tags[-1], WAYS[1]) if tags else (text, WAYS[3]) if box is None else (box, WAYS[0])
    if how == WAYS[3] and (cut or "\n" in text or len(text) > 100):
        return Judgement("no_answer", "neither <answer> nor a box")
    given = given.strip()[:LONGEST]
    name, entry = gold["dataset"], gold["entry"]
    if name in _FORMULAS:
        texts = (given, str(entry["answer"]), str(entry["metadata"].get("integrand", "")))
        if (limit := beyond(given)) or not all(map(_FORMULA.fullmatch, texts)):
            return Judgement("wrong", f"not verified: {limit or 'no plain formula'}", given[:100], {"how": how})
    try:
        score = float(data_set(name).score_answer(given, entry))
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # some do not expect what they cannot read
        return Judgement("wrong", f"the verifier of {name} raises {type(error).__name__}", given[:100], {"how": how})
    reason = f"the verifier of {name} gives {score:.3g}"
    return Judgement("correct" if score >= 1 else "wrong", reason, given[:100], {"how": how, "score": score})
