"""The published benchmarks from their files: counts, checksums, and gold that says what the files say."""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
from itertools import pairwise

import pytest

from harness.errors import DataError
from harness.grading.simulators import VOCABULARIES
from harness.problems.load import load
from harness.records import Problem

COUNTS = {
    "gsm8k": 1319, "math500": 500, "aime": 60, "aime_2024": 30, "blocksworld": 500, "blocksworld_zero": 500,
    "mystery_blocksworld": 500, "blocksworld_hard": 110, "ifeval": 541, "multi_if_en": 474, "multi_if_en_turns": 2714,
}  # fmt: skip


class NoSets(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    do_HEAD = do_GET

    def log_message(self, *args):
        """Nothing: the answers are what is tested."""


@pytest.mark.parametrize("task", COUNTS)
def test_counts_and_distinct_ids(task, shared_data):
    found = load(task, data_dir=shared_data)
    assert len(found) == len({problem.id for problem in found}) == COUNTS[task]
    assert all(problem.prompt.strip() for problem in found)


@pytest.mark.parametrize("answers", [False, True], ids=["unreachable", "without such sets"])
def test_a_hub_without_data_is_asked_once(answers, tmp_path):
    server = socketserver.TCPServer(("127.0.0.1", 0), NoSets if answers else None)
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start() if answers else server.server_close()
    hub = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "harness", "check", "--tasks", "gsm8k,math500", "--store", tmp_path],
        env=os.environ | hub, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert " ".join(done.stdout.split()).count("the hub gave no data") == 2
    assert ("it is out of reach" in " ".join(done.stdout.split())) is not answers
    assert "Retrying" not in done.stderr
    server.server_close()


def test_missing_and_changed_files_are_named(tmp_path, shared_data):
    with pytest.raises(DataError, match=r"gsm8k/test\.jsonl: no such file"):
        load("gsm8k", data_dir=tmp_path)
    (tmp_path / "gsm8k").mkdir()
    whole = (shared_data / "gsm8k" / "test.jsonl").read_text()
    (tmp_path / "gsm8k" / "test.jsonl").write_text(whole.replace("Janet", "Janis"))
    with pytest.raises(DataError, match="sha256"):
        load("gsm8k", data_dir=tmp_path)
    with pytest.raises(DataError, match=r"chinese\.csv"):
        load("multi_if_zh", data_dir=shared_data)


@pytest.mark.parametrize("task", ["blocksworld", "mystery_blocksworld"])
def test_prompts_of_planbench_state_their_pddl_files(task, shared_data):
    plain = {word: name for name, word in VOCABULARIES[task].items()}
    lines = (shared_data / "planbench" / f"{task}.jsonl").read_text().splitlines()
    rows = {str(row["id"]): row for row in map(json.loads, lines)}

    def facts(texts):
        return sorted([plain[name], *objects] for name, *objects in (t.strip("()").split() for t in texts))

    for problem in load(task, data_dir=shared_data):
        gold, row = problem.gold, rows[problem.native_id]
        assert sorted(gold["facts"]) == facts(row["init"])
        assert sorted(gold["goals"]) == facts(row["goal"])
        assert gold["optimal"] == row["optimal_length"]


def test_every_turn_of_multi_if_is_graded_on_all_instructions_so_far(shared_data):
    turns: dict[str, list[list[str]]] = {}
    for problem in load("multi_if_en_turns", data_dir=shared_data):
        assert problem.turn == len(turns.get(problem.conversation, [])) + 1
        turns.setdefault(problem.conversation, []).append(problem.gold["instruction_id_list"])
    for lists in turns.values():
        for earlier, later in pairwise(lists):
            assert later[: len(earlier)] == earlier


def test_letters_are_counted_and_questions_distinct():
    found = load("letter_count", count=200)
    assert len({problem.id for problem in found}) == 200
    for problem in found:
        word, letter = problem.native_id.rsplit("-", 1)
        assert problem.gold["answer"] == str(sum(c == letter for c in word))
    assert any(problem.gold["answer"] == "0" for problem in found)


@pytest.mark.parametrize("task", ["blocksworld_zero", "multi_if_en_turns", "letter_count", "mini_rules"])
def test_a_problem_comes_back_from_the_row_that_lm_eval_sees(task, shared_data):
    for problem in load(task, data_dir=shared_data, limit=50):
        row = problem.document()
        assert row["source"]
        assert row["native_id"]
        assert Problem.of_document(row).document() == row
    assert len(load(task, data_dir=shared_data, limit=3)) == 3


@pytest.mark.parametrize("rows", [0, 499])
def test_planbench_that_comes_back_short_from_the_hub_is_an_error(rows, shared_data, monkeypatch):
    whole = json.loads((shared_data / "planbench" / "prompts_oneshot" / "blocksworld.json").read_text())["instances"]
    known = [row | {"domain": "blocksworld", "prompt_type": "oneshot"} for row in whole]
    monkeypatch.setattr("datasets.load_dataset", lambda *names, **settings: known[:rows])
    with pytest.raises(DataError, match=f"blocksworld: {rows} problems where the published set has 500"):
        load("blocksworld")
