"""IFEval (arXiv 2311.07911) and Multi-IF (arXiv 2410.15553): prompts with checkable instructions, no gold answers."""

from __future__ import annotations

import json
from functools import partial

from harness.errors import DataError
from harness.problems.benchmarks.files import Loaders, counted, from_hub, published, read
from harness.problems.file import Row
from harness.records import Gold, Problem

# language: its code, and the conversations in it that the published set has.
LANGUAGES = {
    "English": ("en", 909), "Chinese": ("zh", 454), "Italian": ("it", 493), "Spanish": ("es", 516),
    "Hindi": ("hi", 542), "Portuguese": ("pt", 524), "French": ("fr", 548), "Russian": ("ru", 515),
}  # fmt: skip


def _problem(
    task: str, family: str, ident: str, names: list[str], kwargs: list[Gold], prompt: str, **more: str
) -> Problem:
    gold = {"instruction_id_list": names, "kwargs": kwargs, "prompt": prompt, **more}
    return Problem(id=f"{task}-{ident}", family=family, prompt=prompt, gold=gold, native_id=ident)


def ifeval(data_dir: str | None) -> list[Problem]:
    """541 English prompts with 834 instructions of 25 kinds; a prompt counts when all of them are followed (strict)."""
    problems = []
    for row in published("ifeval", 541, data_dir, "ifeval/input_data.jsonl", "google/IFEval"):
        kwargs = [{key: value for key, value in given.items() if value is not None} for given in row["kwargs"]]
        names, prompt = row["instruction_id_list"], row["prompt"]
        problems.append(_problem("ifeval", "ifeval", str(row["key"]), names, kwargs, prompt, rule="strict"))
    return problems


def _conversations(task: str, data_dir: str | None, languages: tuple[str, ...]) -> list[Row]:
    """Rows of the published form: ``turn_N_prompt``, ``turn_N_instruction_id_list``, ``turn_N_kwargs``, in JSON."""
    counts = {name: count for name, (code, count) in LANGUAGES.items() if code in languages}
    if data_dir is None:
        rows = from_hub("facebook/Multi-IF")
    else:
        rows = [row for name in counts for row in read(data_dir, f"multi_if/{name.lower()}.csv")]
    return counted(task, sum(counts.values()), [row for row in rows if row["language"] in counts])


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
    language, _ = LANGUAGES[row["language"]]
    return _problem(task, "multi_if", ident, names, kwargs, prompt, rule="loose", language=language)


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


LOADERS: Loaders = {
    "ifeval": ifeval,
    "multi_if_en": partial(first_turns, "multi_if_en", ("en",)),
    "multi_if_zh": partial(first_turns, "multi_if_zh", ("zh",)),
    "multi_if_other": partial(first_turns, "multi_if_other", ("it", "es", "hi", "pt", "fr", "ru")),
    "multi_if_en_turns": partial(all_turns, "multi_if_en_turns", ("en",)),
}
