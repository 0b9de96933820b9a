"""PlanBench Blocksworld (arXiv 2206.10498): prompts as published; the gold is what the prompt states.

Facts and goals are read from the last statement of the prompt, so the hub and ``--data-dir`` give the same gold
(``tests/problems/test_benchmarks.py`` compares it with the PDDL files).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from harness.errors import DataError
from harness.problems.benchmarks.files import Row, counted, from_hub, read
from harness.problems.embedded.mini_blocks import INTRO, QUESTION, listed
from harness.records import Gold, Problem

# The colour that stands for each letter; the published prompts use the first twelve.
_COLORS = (  # noqa: SIM905
    "red blue orange yellow white magenta black cyan green violet silver gold "
    "brown pink grey purple teal olive maroon navy"
).split()
_WORDS = dict(zip("abcdefghijklmnopqrst", _COLORS, strict=True))
_ALIASES = dict(zip(_COLORS[:12], _WORDS, strict=False))
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


def _facts(text: str, vocabulary: str) -> Facts:
    patterns = _PLAIN if vocabulary == "blocksworld" else _OBFUSCATED
    letter = _ALIASES if vocabulary == "blocksworld" else {}
    return [[name, *(letter.get(b, b) for b in m.groups())] for name, p in patterns for m in p.finditer(text)]


def _published(task: str, row: Row, vocabulary: str, reference: list[str]) -> Problem:
    """The problem of a published prompt: its last statement in plain names and block letters."""
    before, _, after = row["query"].rsplit("[STATEMENT]", 1)[-1].partition("My goal is to have that")
    goal = after.split("\n")[0]
    if not before or not goal:
        raise DataError("a PlanBench prompt without an initial state and a goal")
    facts, goals = _facts(before, vocabulary), _facts(goal, vocabulary)
    gold = {
        "vocabulary": vocabulary, "objects": sorted({name for _, *names in facts for name in names}), "facts": facts,
        "goals": goals, "aliases": _ALIASES if vocabulary == "blocksworld" else {}, "reference": reference,
        "optimal": len(reference) or None,
    }  # fmt: skip
    return _problem(task, int(row["instance_id"]), row["query"], gold)


def _problem(task: str, number: int, prompt: str, gold: Gold) -> Problem:
    return Problem(
        id=f"{task}-{number:04d}", family=gold["vocabulary"], prompt=prompt, gold=gold, native_id=str(number)
    )


def _rows(data_dir: str | None, name: str, domain: str, prompt_type: str) -> list[Row]:
    if data_dir is not None:
        return read(data_dir, f"planbench/{name}")
    rows = from_hub("tasksource/planbench", "task_1_plan_generation", "train")
    return [row for row in rows if row["domain"] == domain and row["prompt_type"] == prompt_type]


def one_shot(domain: str, data_dir: str | None) -> list[Problem]:
    """The published one-shot prompts of ``blocksworld`` or ``mystery_blocksworld``: 500 problems."""
    rows = _rows(data_dir, f"prompts_oneshot/{domain}.json", domain, "oneshot")
    plans = [row["ground_truth_plan"].strip().splitlines() for row in rows]
    return counted(domain, [_published(domain, r, domain, plan) for r, plan in zip(rows, plans, strict=True)], 500)


def zero_shot(data_dir: str | None) -> list[Problem]:
    """The published zero-shot prompts of ``blocksworld``; the reference plans are those of the one-shot file."""
    shot = one_shot("blocksworld", data_dir)
    plans = {problem.native_id: problem.gold["reference"] for problem in shot}
    # The first problem is asked only as the example of the second.
    plans["1"] = shot[0].prompt.split("[PLAN]", 1)[1].split("[PLAN END]")[0].strip().splitlines()
    rows = _rows(data_dir, "prompts_zeroshot/blocksworld.jsonl", "blocksworld", "zeroshot")
    task = "blocksworld_zero"
    return counted(task, [_published(task, r, "blocksworld", plans[str(r["instance_id"])]) for r in rows], 500)


def hard(data_dir: str | None) -> list[Problem]:
    """110 problems of 6 to 15 blocks, which have no published prompt: the zero-shot wording around their PDDL facts."""
    if data_dir is None:
        raise DataError("blocksworld_hard is on no hub; use --data-dir with planbench/blocksworld_hard.jsonl")
    problems = []
    for row in read(data_dir, "planbench/blocksworld_hard.jsonl"):
        facts, goals = ([fact.strip("()").split() for fact in row[key]] for key in ("init", "goal"))
        gold = {
            "vocabulary": "blocksworld", "objects": list(row["objects"]), "facts": facts, "goals": goals,
            "aliases": {_WORDS[name]: name for name in row["objects"]}, "reference": row["reference_plan"],
            "optimal": None,
        }  # fmt: skip
        problems.append(_problem("blocksworld_hard", row["id"], INTRO + _sentences(facts, goals) + QUESTION, gold))
    return counted("blocksworld_hard", problems, 110)


def _sentences(facts: Facts, goals: Facts) -> str:
    def sentence(fact: list[str]) -> str:
        words = [f"the {_WORDS[name]} block" for name in fact[1:]]
        form = {"on": "{} is on top of {}", "ontable": "{} is on the table", "clear": "{} is clear"}
        return form[fact[0]].format(*words) if fact[0] in form else "the hand is empty"

    order = ("clear", "handempty", "on", "ontable")
    state = listed([sentence(fact) for fact in sorted(facts, key=lambda f: order.index(f[0]))])
    return f"As initial conditions I have that, {state}.\nMy goal is to have that {listed(list(map(sentence, goals)))}."


LOADERS: dict[str, Callable[[str | None], list[Problem]]] = {
    "blocksworld": partial(one_shot, "blocksworld"),
    "blocksworld_zero": zero_shot,
    "mystery_blocksworld": partial(one_shot, "mystery_blocksworld"),
    "blocksworld_hard": hard,
}
