"""The published benchmarks from their files: counts, checksums, and gold that says what the files say."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from harness.errors import DataError
from harness.grading import blocks
from harness.problems.load import documents

COUNTS = {
    "gsm8k": 1319, "math500": 500, "aime": 60, "aime_2024": 30, "blocksworld": 500, "blocksworld_zero": 500,
    "mystery_blocksworld": 500, "blocksworld_hard": 110, "ifeval": 541, "multi_if_en": 474, "multi_if_en_turns": 2714,
}  # fmt: skip


@pytest.mark.parametrize("task", COUNTS)
def test_counts_and_distinct_ids(task, shared_data):
    found = documents(task, str(shared_data))
    assert len(found) == len({document["id"] for document in found}) == COUNTS[task]
    assert all(document["prompt"].strip() for document in found)


def test_missing_and_changed_files_are_named(tmp_path, shared_data):
    with pytest.raises(DataError, match=r"gsm8k/test\.jsonl: no such file"):
        documents("gsm8k", str(tmp_path))
    (tmp_path / "gsm8k").mkdir()
    whole = (shared_data / "gsm8k" / "test.jsonl").read_text()
    (tmp_path / "gsm8k" / "test.jsonl").write_text(whole.replace("Janet", "Janis"))
    with pytest.raises(DataError, match="sha256"):
        documents("gsm8k", str(tmp_path))
    with pytest.raises(DataError, match=r"chinese\.csv"):
        documents("multi_if_zh", str(shared_data))


@pytest.mark.parametrize("task", ["blocksworld", "mystery_blocksworld"])
def test_prompts_of_planbench_state_their_pddl_files(task, shared_data):
    plain = {word: name for name, word in blocks.VOCABULARIES[task].items()}
    lines = (shared_data / "planbench" / f"{task}.jsonl").read_text().splitlines()
    rows = {str(row["id"]): row for row in map(json.loads, lines)}

    def facts(texts):
        return sorted([plain[name], *objects] for name, *objects in (t.strip("()").split() for t in texts))

    for document in documents(task, str(shared_data)):
        gold, row = json.loads(document["gold"]), rows[document["native_id"]]
        assert sorted(gold["facts"]) == facts(row["init"])
        assert sorted(gold["goals"]) == facts(row["goal"])
        assert gold["optimal"] == row["optimal_length"]


def test_every_turn_of_multi_if_is_graded_on_all_instructions_so_far(shared_data):
    turns: dict[str, list[list[str]]] = {}
    for document in documents("multi_if_en_turns", str(shared_data)):
        turns.setdefault(document["conversation"], []).append(json.loads(document["gold"])["instruction_id_list"])
    for lists in turns.values():
        for earlier, later in pairwise(lists):
            assert later[: len(earlier)] == earlier


def test_letters_are_counted_and_questions_distinct():
    found = documents("letter_count", count=200)
    assert len({document["id"] for document in found}) == 200
    for document in found:
        word, letter = document["native_id"].rsplit("-", 1)
        assert json.loads(document["gold"])["answer"] == str(sum(c == letter for c in word))
    assert any(json.loads(document["gold"])["answer"] == "0" for document in found)
