"""Checks of what a task of the user's own gives lm-eval, before a model is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import DataError, NoGrader
from harness.grading.families import gold_defect


def check_documents(task: str, documents: Sequence[Mapping[str, Any]]) -> None:
    """Each row needs an id that no other has, a prompt, a family, and a gold answer as JSON text of an object.

    Raises DataError naming the first document that lacks one of them.
    """
    if not documents:
        raise DataError(f"{task}: has no problems")
    seen: set[str] = set()
    for number, document in enumerate(documents):
        where, name = f"{task}: document {number}", document.get("id")
        if not isinstance(name, str) or not name:
            raise DataError(f"{where}: needs an id that is text (it has {name!r:.40})")
        if name in seen:
            raise DataError(f"{where}: the id {name!r:.40} stands in an earlier one, too")
        seen.add(name)
        for field in ("prompt", "family"):
            if not isinstance(document.get(field), str):
                raise DataError(f"{where}: has no text under {field}")
        try:
            gold = json.loads(document["gold"])
            defect = gold_defect(document["family"], gold) if isinstance(gold, dict) else "it is no object"
        except (KeyError, TypeError, ValueError, RecursionError):
            defect = "it is no JSON text"
        except NoGrader as error:
            raise DataError(f"{where}: {error}") from None
        if defect:
            raise DataError(f"{where}: gold must be an object written as JSON text: {defect}")
