"""PlanBench Blocksworld (arXiv 2206.10498): prompts as published; the gold is what the prompt states.

Facts and goals are read from the last statement of the prompt, so the hub and ``--data-dir`` give the same gold
(``tests/problems/test_planbench.py`` compares it with the PDDL files).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from harness.errors import DataError
from harness.problems.benchmarks.files import Row, counted, from_hub, read_json, read_rows
from harness.problems.embedded.mini_blocks import INTRO, QUESTION
from harness.records import Gold, Problem

_COLORS = ["red", "blue", "orange", "yellow", "white", "magenta", "black", "cyan", "green", "violet", "silver", "gold"]
_LETTERS = "abcdefghijkl"
_BLOCK = r"the (\w+) block"
_PLAIN = (
    ("on", re.compile(rf"{_BLOCK} is on top of {_BLOCK}")),
    ("ontable", re.compile(rf"{_BLOCK} is on the table")),
    ("clear", re.compile(rf"{_BLOCK} is clear")),
    ("handempty", re.compile(r"the hand is empty")),
)
_OBFUSCATED = (
    ("on", re.compile(r"object (\w) craves object (\w)")),
    ("ontable", re.compile(r"planet object (\w)")),
    ("clear", re.compile(r"province object (\w)")),
    ("handempty", re.compile(r"\b(?<!')harmony\b")),
)
Facts = list[list[str]]


def read_statement(prompt: str, vocabulary: str) -> tuple[list[str], Facts, Facts]:
    """(objects, initial facts, goals) of the last statement in a prompt, in plain names and block letters."""
    statement = prompt.rsplit("[STATEMENT]", 1)[-1]
    before, _, after = statement.partition("My goal is to have that")
    goal = after.split("\n")[0]
    if not before or not goal:
        raise DataError("a PlanBench prompt without an initial state and a goal")
    facts, goals = _facts(before, vocabulary), _facts(goal, vocabulary)
    return sorted({name for _, *names in facts for name in names}), facts, goals


def _facts(text: str, vocabulary: str) -> Facts:
    patterns = _PLAIN if vocabulary == "blocksworld" else _OBFUSCATED
    letter = dict(zip(_COLORS, _LETTERS, strict=True)) if vocabulary == "blocksworld" else {}
    return [[name, *(letter.get(b, b) for b in m.groups())] for name, p in patterns for m in p.finditer(text)]


def gold(prompt: str, vocabulary: str, reference: list[str], shortest: bool) -> Gold:
    objects, facts, goals = read_statement(prompt, vocabulary)
    aliases = dict(zip(_COLORS, _LETTERS, strict=True)) if vocabulary == "blocksworld" else {}
    return {
        "vocabulary": vocabulary, "objects": objects, "facts": facts, "goals": goals, "aliases": aliases,
        "reference": reference, "optimal": len(reference) if shortest and reference else None,
    }  # fmt: skip


def _problem(task: str, number: int, prompt: str, gold: Gold) -> Problem:
    return Problem(
        id=f"{task}-{number:04d}", family=gold["vocabulary"], prompt=prompt, gold=gold, native_id=str(number)
    )


def _hub_rows(domain: str, prompt_type: str) -> list[Row]:
    rows = from_hub("tasksource/planbench", "task_1_plan_generation", "train")
    return [row for row in rows if row["domain"] == domain and row["prompt_type"] == prompt_type]


def one_shot(domain: str, data_dir: str | None) -> list[Problem]:
    """The published one-shot prompts of ``blocksworld`` or ``mystery_blocksworld``: 500 problems."""
    if data_dir is None:
        rows = _hub_rows(domain, "oneshot")
    else:
        rows = read_json(data_dir, f"planbench/prompts_oneshot/{domain}.json")["instances"]
    problems = []
    for row in rows:
        reference = row["ground_truth_plan"].strip().splitlines()
        made = gold(row["query"], domain, reference, True)
        problems.append(_problem(domain, int(row["instance_id"]), row["query"], made))
    return counted(domain, problems, 500)


def zero_shot(data_dir: str | None) -> list[Problem]:
    """The published zero-shot prompts of ``blocksworld``; the reference plans are those of the one-shot file."""
    shot = one_shot("blocksworld", data_dir)
    references = {problem.native_id: problem.gold["reference"] for problem in shot}
    # The first problem is asked only as the example of the second.
    references["1"] = shot[0].prompt.split("[PLAN]", 1)[1].split("[PLAN END]")[0].strip().splitlines()
    if data_dir is None:
        rows = _hub_rows("blocksworld", "zeroshot")
    else:
        rows = read_rows(data_dir, "planbench/prompts_zeroshot/blocksworld.jsonl")
    problems = []
    for row in rows:
        made = gold(row["query"], "blocksworld", references[str(row["instance_id"])], True)
        problems.append(_problem("blocksworld_zero", int(row["instance_id"]), row["query"], made))
    return counted("blocksworld_zero", problems, 500)


def hard(data_dir: str | None) -> list[Problem]:
    """110 problems of 6 to 15 blocks, which have no published prompt: the zero-shot wording around their PDDL facts."""
    if data_dir is None:
        raise DataError("blocksworld_hard is on no hub; use --data-dir with planbench/blocksworld_hard.jsonl")
    problems = []
    for row in read_rows(data_dir, "planbench/blocksworld_hard.jsonl"):
        facts, goals = ([fact.strip("()").split() for fact in row[key]] for key in ("init", "goal"))
        objects = list(row["objects"])
        made = {
            "vocabulary": "blocksworld", "objects": objects, "facts": facts, "goals": goals,
            "aliases": {_word(name): name for name in objects}, "reference": row["reference_plan"], "optimal": None,
        }  # fmt: skip
        prompt = INTRO + _sentences(facts, goals, objects) + QUESTION
        problems.append(_problem("blocksworld_hard", row["id"], prompt, made))
    return counted("blocksworld_hard", problems, 110)


_MORE = ("brown", "pink", "grey", "purple", "teal", "olive", "maroon", "navy")


def _word(letter: str) -> str:
    return [*_COLORS, *_MORE]["abcdefghijklmnopqrst".index(letter)]


def _sentences(facts: Facts, goals: Facts, objects: list[str]) -> str:
    def joined(parts: list[str]) -> str:
        return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]

    def sentence(fact: list[str]) -> str:
        words = [f"the {_word(name)} block" for name in fact[1:]]
        form = {"on": "{} is on top of {}", "ontable": "{} is on the table", "clear": "{} is clear"}
        return form[fact[0]].format(*words) if fact[0] in form else "the hand is empty"

    order = ("clear", "handempty", "on", "ontable")
    state = joined([sentence(fact) for fact in sorted(facts, key=lambda f: order.index(f[0]))])
    return (
        f"As initial conditions I have that, {state}.\nMy goal is to have that {joined([sentence(g) for g in goals])}."
    )


LOADERS: dict[str, Callable[[str | None], list[Problem]]] = {
    "blocksworld": partial(one_shot, "blocksworld"),
    "blocksworld_zero": zero_shot,
    "mystery_blocksworld": partial(one_shot, "mystery_blocksworld"),
    "blocksworld_hard": hard,
}
