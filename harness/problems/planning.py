"""Planning problems of any PDDL domain: a task file names the domain, how its actions are worded, and its problems.

Its key ``metadata.planning`` holds a ``Planning``; its ``custom_dataset`` is what ``beside`` makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import DataError
from harness.files import read_text, reason_of
from harness.grading.pddl import objects
from harness.problems.file import read_problems
from harness.problems.registry import entry_of
from harness.records import Gold
from harness.spec import Spec, knob


class Planning(Spec):
    """A domain and its words. Paths are relative to the folder of the task file."""

    domain: Path = knob(..., "PDDL file of the domain.")
    problems: Path | None = knob(None, "JSONL: 'prompt', 'gold' with 'problem' (PDDL text), perhaps 'reference'.")
    wording: dict[str, list[str]] = knob({}, "Of each action, how it is written: 'load {box} into {truck} at {place}'.")
    names: dict[str, str] = knob({}, "Forms of objects in PDDL and in prompts, such as 't{}': 'truck_{}'.")
    nouns: list[str] = knob([], "Words that may stand beside an object's name: 'truck' for 'the truck t1'.")

    def gold(self, folder: Path, given: Gold) -> Gold:
        """A gold answer with the domain and its words. Raises DataError for a domain or wording that is none."""
        domain = read_text(folder / self.domain)
        gold = {"domain": domain, "wording": self.wording, "nouns": self.nouns} | given
        try:
            found = objects(domain, str(gold.get("problem", "(define)")))
        except DataError as error:
            raise DataError(f"{folder / self.domain}, or a problem of it, is no PDDL: {error}") from None
        forms = [(name, *form) for name in found for form in self.names.items()]
        aliases = {text: name for name, form, to in forms if (text := _renamed(name, form, to))}
        return {"aliases": aliases} | gold


def _renamed(name: str, form: str, text: str) -> str:
    """``text`` with what stands in ``name`` at the braces of ``form``; empty where the form does not fit."""
    match = re.fullmatch(re.escape(form.lower()).replace(r"\{\}", "([a-z0-9]+)"), name)
    for part in match.groups() if match else ():
        text = text.replace("{}", part, 1)
    return text.lower() if match else ""


def of_task(file: Path) -> Planning:
    """What a task file says under ``metadata.planning``. Raises Usage, and DataError as ``planning`` does."""
    return planning((entry_of(file).get("metadata") or {}).get("planning"), str(file))


def planning(given: Any, where: str) -> Planning:
    """The settings as they stand in a task file. Raises DataError in one line."""
    try:
        return Planning.model_validate(given)
    except ValidationError as error:
        raise DataError(f"{where}: metadata.planning: {reason_of(error)}") from None


def beside(file: str) -> Callable[..., dict[str, Any]]:
    """A ``custom_dataset`` for task files beside the Python file that calls this with its ``__file__``."""
    folder = Path(file).parent

    def dataset(**metadata: Any) -> dict[str, Any]:
        from datasets import Dataset

        own = planning(metadata.get("planning"), f"a task beside {file}")
        if own.problems is None:
            raise DataError(f"a task beside {file}: metadata.planning: problems is missing: a JSONL file")
        problems = list(read_problems(folder / own.problems, "plan", complete=lambda gold: own.gold(folder, gold)))
        return {"test": Dataset.from_list([problem.document() for problem in problems])}

    return dataset
