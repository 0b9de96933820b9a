"""IFEval (arXiv 2311.07911) and Multi-IF (arXiv 2410.15553): prompts with checkable instructions, no gold answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from harness.errors import DataError
from harness.problems.benchmarks.files import Row, counted, from_hub, read
from harness.records import Gold, Problem

LANGUAGES = {
    "English": "en", "Chinese": "zh", "Italian": "it", "Spanish": "es", "Hindi": "hi", "Portuguese": "pt",
    "French": "fr", "Russian": "ru",
}  # fmt: skip
# Conversations per language in the published set.
CONVERSATIONS = {"en": 909, "zh": 454, "it": 493, "es": 516, "hi": 542, "pt": 524, "fr": 548, "ru": 515}


def ifeval(data_dir: str | None) -> list[Problem]:
    """541 English prompts with 834 instructions of 25 kinds; a prompt counts when all of them are followed (strict)."""
    rows = read(data_dir, "ifeval/input_data.jsonl") if data_dir else from_hub("google/IFEval", None, "train")
    problems = []
    for row in rows:
        gold = {
            "instruction_id_list": row["instruction_id_list"],
            "kwargs": [{k: v for k, v in kwargs.items() if v is not None} for kwargs in row["kwargs"]],
            "prompt": row["prompt"],
            "rule": "strict",
        }
        problems.append(_problem("ifeval", "ifeval", str(row["key"]), row["prompt"], gold))
    return counted("ifeval", problems, 541)


def _problem(task: str, family: str, ident: str, prompt: str, gold: Gold) -> Problem:
    return Problem(id=f"{task}-{ident}", family=family, prompt=prompt, gold=gold, native_id=ident)


def _conversations(task: str, data_dir: str | None, languages: tuple[str, ...]) -> list[Row]:
    """Rows of the published form: ``turn_N_prompt``, ``turn_N_instruction_id_list``, ``turn_N_kwargs``, in JSON."""
    names = [name.lower() for name, code in LANGUAGES.items() if code in languages]
    if data_dir is None:
        rows = from_hub("facebook/Multi-IF", None, "train")
    else:
        rows = [row for name in names for row in read(data_dir, f"multi_if/{name}.csv")]
    rows = [row for row in rows if LANGUAGES.get(row["language"]) in languages]
    return counted(task, rows, sum(CONVERSATIONS[language] for language in languages))


def _turn(task: str, row: Row, number: int, ident: str) -> Problem | None:
    prompt = row.get(f"turn_{number}_prompt")
    if not prompt or prompt == "None":
        return None
    try:
        names = json.loads(row[f"turn_{number}_instruction_id_list"])
        kwargs = [json.loads(text) for text in json.loads(row[f"turn_{number}_kwargs"])]
        prompt = json.loads(prompt)["content"]
    except (KeyError, ValueError) as error:
        raise DataError(f"multi_if {row.get('key')}: turn {number} is not in the published form ({error})") from error
    gold = {"instruction_id_list": names, "kwargs": kwargs, "prompt": prompt, "rule": "loose"}
    return _problem(task, "multi_if", ident, prompt, gold | {"language": LANGUAGES[row["language"]]})


def first_turns(task: str, languages: tuple[str, ...], data_dir: str | None) -> list[Problem]:
    """First turns, each distinct prompt once, as in the paper's IF columns (prompt-level, loose).

    The paper's counts (474 English, 260 Chinese, 1760 other) follow no published rule; 474 is what is left of the 484
    distinct English first turns without the kind ``detectable_format:multiple_sections``, which is the rule used here.
    """
    problems: dict[str, Problem] = {}
    for row in _conversations(task, data_dir, languages):
        one = _turn(task, row, 1, str(row["key"]))
        if one is not None and "detectable_format:multiple_sections" not in one.gold["instruction_id_list"]:
            problems.setdefault(one.prompt, one)
    return list(problems.values())


def all_turns(task: str, languages: tuple[str, ...], data_dir: str | None) -> list[Problem]:
    """Every turn of every conversation, graded on all instructions so far.

    ``conversation`` and ``turn`` let the model be given its own earlier answers, without their thinking.
    """
    problems = []
    for row in _conversations(task, data_dir, languages):
        for number in (1, 2, 3):
            if one := _turn(task, row, number, f"{row['key']}#{number}"):
                problems.append(one.model_copy(update={"conversation": str(row["key"]), "turn": number}))
    return problems


_OTHER = ("it", "es", "hi", "pt", "fr", "ru")
LOADERS: dict[str, Callable[[str | None], list[Problem]]] = {
    "ifeval": ifeval,
    "multi_if_en": partial(first_turns, "multi_if_en", ("en",)),
    "multi_if_zh": partial(first_turns, "multi_if_zh", ("zh",)),
    "multi_if_other": partial(first_turns, "multi_if_other", _OTHER),
    "multi_if_en_turns": partial(all_turns, "multi_if_en_turns", ("en",)),
}
