"""PlanBench (arXiv 2206.10498): prompts as published; the gold is what the prompt's last statement says."""

from __future__ import annotations

import re
from functools import partial

from harness.errors import DataError
from harness.files import shipped
from harness.problems.benchmarks.files import Loaders, published
from harness.problems.embedded.mini_blocks import FACTS, PALETTE, statement
from harness.problems.file import Row
from harness.problems.planning import of_task
from harness.records import Gold, Problem

# The colour that stands for each letter; the published prompts use the first twelve.
_COLORS = (
    *PALETTE, "brown", "pink", "grey", "purple", "teal", "olive", "maroon", "navy",
)  # fmt: skip
_WORDS = dict(zip("abcdefghijklmnopqrst", _COLORS, strict=True))
_ALIASES = dict(zip(_COLORS[:12], _WORDS, strict=False))
_PATTERNS = {
    "blocksworld": {name: form.replace("{}", r"(\w+)") for name, form in FACTS.items()},
    "mystery_blocksworld": {
        "on": r"object (\w) craves object (\w)", "ontable": r"planet object (\w)", "clear": r"province object (\w)",
        "handempty": r"\b(?<!')harmony\b",
    },
}  # fmt: skip


def _facts(text: str, vocabulary: str) -> list[list[str]]:
    letter = _ALIASES if vocabulary == "blocksworld" else {}
    found = [(name, match) for name, form in _PATTERNS[vocabulary].items() for match in re.finditer(form, text)]
    return [[name, *(letter.get(block, block) for block in match.groups())] for name, match in found]


def _published(task: str, row: Row, vocabulary: str, reference: list[str]) -> Problem:
    gold = blocks_gold(row["query"], vocabulary) | {"reference": reference, "optimal": len(reference) or None}
    return _problem(task, int(row["instance_id"]), row["query"], gold)


def blocks_gold(prompt: str, vocabulary: str) -> Gold:
    """What a Blocksworld prompt's last statement says, in plain names and block letters. Raises DataError."""
    before, goal = _statement(prompt)
    facts, goals = _facts(before, vocabulary), _facts(goal, vocabulary)
    return {
        "vocabulary": vocabulary, "objects": sorted({name for _, *names in facts for name in names}), "facts": facts,
        "goals": goals, "aliases": _ALIASES if vocabulary == "blocksworld" else {},
    }  # fmt: skip


def _statement(prompt: str) -> tuple[str, str]:
    """The initial state and the goal of the last problem in a published prompt."""
    before, _, after = prompt.rsplit("[STATEMENT]", 1)[-1].partition("My goal is to have that")
    if not before or not (goal := after.split("\n")[0]):
        raise DataError("a PlanBench prompt without an initial state and a goal")
    return before, goal


def _problem(task: str, number: int, prompt: str, gold: Gold, family: str = "") -> Problem:
    family = family or gold["vocabulary"]
    return Problem(id=f"{task}-{number:04d}", family=family, prompt=prompt, gold=gold, native_id=str(number))


def logistics(data_dir: str | None) -> list[Problem]:
    """The published one-shot prompts of Logistics: 285 problems."""
    problems = []
    for row in published("logistics", 285, data_dir, "planbench/prompts_oneshot/logistics.json"):
        gold = logistics_gold(row["query"]) | {"reference": row["ground_truth_plan"].strip().splitlines()}
        problems.append(_problem("logistics", int(row["instance_id"]), row["query"], gold, "logistics"))
    return problems


def logistics_gold(problem: str) -> Gold:
    """A problem of Logistics in PDDL, or the prompt that states it, with domain and words. Raises DataError."""
    file = shipped("tasks") / "planning" / "logistics.yaml"
    pddl = problem if problem.lstrip().startswith("(") else _pddl(problem)
    return of_task(file).gold(file.parent, {"problem": pddl})


_LOGISTICS = re.compile(
    r"\b(?P<thing>(?:package|truck|airplane)_\d+) is at (?P<place>location_\d+_\d+)"
    r"|\b(?P<port>location_\d+_\d+) is an airport|\b(?P<site>location_\d+_\d+) is in the city (?P<city>city_\d+)"
)
_KINDS = {"p": "obj", "t": "truck", "a": "airplane", "l": "location", "c": "city"}


def _pddl(prompt: str) -> str:
    """The PDDL problem of a Logistics prompt."""
    before, goal = _statement(prompt)
    facts, goals = ([_logistics_fact(match) for match in _LOGISTICS.finditer(part)] for part in (before, goal))
    names = sorted({name for _, *of in facts for name in of})
    facts += [(_KINDS[name[0]], name) for name in names]
    given, wanted = ("".join(f"\n  ({' '.join(fact)})" for fact in each) for each in (facts, goals))
    head = f"(define (problem logistics)\n (:domain logistics-strips)\n (:objects {' '.join(names)})"
    return f"{head}\n (:init{given})\n (:goal (and{wanted})))\n"


def _logistics_fact(match: re.Match[str]) -> tuple[str, ...]:
    words = {key: _short(word) for key, word in match.groupdict().items() if word}
    name = "at" if "thing" in words else "airport" if "port" in words else "in-city"
    return (name, *words.values())


def _short(word: str) -> str:
    """An object's name in PDDL: l0-1 for location_0_1."""
    kind, *numbers = word.split("_")
    return kind[0] + "-".join(numbers)


def _rows(task: str, data_dir: str | None, file: str, domain: str, prompt_type: str) -> list[Row]:
    hub = "tasksource/planbench", "task_1_plan_generation"
    return published(task, 500, data_dir, f"planbench/{file}", *hub, domain=domain, prompt_type=prompt_type)


def one_shot(domain: str, data_dir: str | None) -> list[Problem]:
    """The published one-shot prompts of ``blocksworld`` or ``mystery_blocksworld``: 500 problems."""
    rows = _rows(domain, data_dir, f"prompts_oneshot/{domain}.json", domain, "oneshot")
    return [_published(domain, row, domain, row["ground_truth_plan"].strip().splitlines()) for row in rows]


def zero_shot(data_dir: str | None) -> list[Problem]:
    """The published zero-shot prompts of ``blocksworld``; the reference plans are those of the one-shot file."""
    shot = one_shot("blocksworld", data_dir)
    plans = {problem.native_id: problem.gold["reference"] for problem in shot}
    # The first problem is asked only as the example of the second.
    plans["1"] = shot[0].prompt.split("[PLAN]", 1)[1].split("[PLAN END]")[0].strip().splitlines()
    task = "blocksworld_zero"
    rows = _rows(task, data_dir, "prompts_zeroshot/blocksworld.jsonl", "blocksworld", "zeroshot")
    return [_published(task, row, "blocksworld", plans[str(row["instance_id"])]) for row in rows]


def hard(data_dir: str | None) -> list[Problem]:
    """110 problems of 6 to 15 blocks, which have no published prompt: the zero-shot wording around their PDDL facts."""
    task, problems = "blocksworld_hard", []
    for row in published(task, 110, data_dir, "planbench/blocksworld_hard.jsonl"):
        facts, goals = ([fact.strip("()").split() for fact in row[key]] for key in ("init", "goal"))
        gold = {
            "vocabulary": "blocksworld", "objects": list(row["objects"]), "facts": facts, "goals": goals,
            "aliases": {_WORDS[name]: name for name in row["objects"]}, "reference": row["reference_plan"],
            "optimal": None,
        }  # fmt: skip
        given, wanted = ([[name, *(_WORDS[b] for b in blocks)] for name, *blocks in part] for part in (facts, goals))
        prompt = statement(sorted(given, key=lambda fact: fact[0]), wanted)
        problems.append(_problem(task, row["id"], prompt, gold))
    return problems


LOADERS: Loaders = {
    "blocksworld": partial(one_shot, "blocksworld"),
    "blocksworld_zero": zero_shot,
    "mystery_blocksworld": partial(one_shot, "mystery_blocksworld"),
    "blocksworld_hard": hard,
    "logistics": logistics,
}
