"""``harness probe`` on runs of the shipped student: figures, resume after kill -9, agreement, refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.commands import here
from tests.models.server.chat_service import Service, serving


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A run of every embedded family."""
    folder = tmp_path_factory.mktemp("stored") / "run"
    here("eval", "--model", "shipped:student", "--suite", "embedded", "--limit", "40", "--out", folder, code=0)
    return folder


@pytest.fixture(scope="module")
def whole(stored, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return out, json.loads(here("probe", stored, "--out", out, "--json", code=0).stdout)


def rows_of(folder, name="probe.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_every_family_is_probed_and_every_sample_is_accounted_for(whole):
    out, data = whole
    assert [row["task"] for row in data["rows"]] == ["mini_math", "mini_blocks", "mini_rules"]
    assert sum(row["samples"] for row in data["rows"]) + sum(data["left_out"].values()) == 120
    for row in data["rows"]:
        assert len(row["right_at"]) == 11
        assert row["own_agrees"]["value"] >= 0.8  # a sampled answer after the same thought
    assert json.loads((out / "probe.json").read_text())["rows"] == data["rows"]


def test_first_right_answers_agree_with_first_right_statements_on_arithmetic(whole):
    """Within one of ten cuts for three quarters; what is answered right is hardly ever said more than a cut before."""
    _, data = whole
    within, later = data["rows"][0]["stated_within"], data["rows"][0]["stated_later"]
    assert within["n"] >= 10
    assert within["value"] >= 0.75
    late = 1 - within["value"] - later["value"]  # answered more than a cut after it was said
    assert late <= 0.1


def test_killed_it_goes_on_and_ends_in_the_same_files(stored, whole, tmp_path):
    journal = tmp_path / "forced.jsonl"
    command = [sys.executable, "-m", "harness", "probe", str(stored), "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if journal.exists() and journal.read_bytes().count(b"\n") > 0:
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = journal.read_bytes()
    assert 0 < before.count(b"\n") < len(rows_of(whole[0], "forced.jsonl"))
    here("probe", stored, "--out", tmp_path, code=0)
    assert journal.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    assert (tmp_path / "probe.jsonl").read_bytes() == (whole[0] / "probe.jsonl").read_bytes()
    keys = [row["key"] for row in rows_of(tmp_path, "forced.jsonl")]
    assert len(keys) == len(set(keys))


def test_tasks_limit_and_cuts_choose_what_is_probed(stored, tmp_path):
    told = here("probe", stored, "--out", tmp_path, "--tasks", "mini_rules", "--limit", "5", "--cuts", "2", code=0)
    assert "mini_rules" in told.stdout
    assert "mini_math" not in told.stdout
    assert max(map(len, told.stdout.partition("answers and figures")[0].splitlines())) <= 80
    rows = rows_of(tmp_path)
    assert len(rows) <= 5
    assert all(len(row["positions"]) == 3 for row in rows)


def test_another_model_is_refused(stored, tmp_path):
    told = here("probe", stored, "--out", tmp_path, "--model", "shipped:generator-llama", code=2)
    assert told.stderr.count("\n") == 1
    assert "was drawn by a model with digest" in told.stderr
    assert not (tmp_path / "forced.jsonl").exists()


def test_a_task_that_the_run_has_not_is_refused(stored):
    assert "--tasks gsm8k: the run holds mini_math" in here("probe", stored, "--tasks", "gsm8k", code=2).stderr


def test_a_run_without_token_ids_is_refused(stored, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("manifest.json", "problems.jsonl"):
        (folder / name).write_bytes((stored / name).read_bytes())
    bare = (json.dumps(row | {"token_ids": []}) + "\n" for row in rows_of(stored, "samples.jsonl"))
    (folder / "samples.jsonl").write_text("".join(bare))
    assert "hold no token ids" in here("probe", folder, code=2).stderr


def test_a_folder_that_names_no_model_is_refused(stored, tmp_path):
    for name in ("samples.jsonl", "problems.jsonl"):
        (tmp_path / name).write_bytes((stored / name).read_bytes())
    assert "name it with --model" in here("probe", tmp_path, code=2).stderr
    told = here("probe", tmp_path, "--model", "shipped:student", code=2)
    assert "does not say which weights drew it" in told.stderr


def test_an_arm_of_a_recipe_is_probed_with_the_model_that_its_stage_was_made_from(stored, student, tmp_path):
    folder, trained = tmp_path / "stages" / "e1", tmp_path / "stages" / "t1"
    folder.mkdir(parents=True)
    trained.mkdir()
    (trained / "model").symlink_to(student, target_is_directory=True)
    for name in ("samples.jsonl", "problems.jsonl"):
        (folder / name).write_bytes((stored / name).read_bytes())
    digest = json.loads((stored / "manifest.json").read_text())["model_digest"]
    done = {"name": "eval sft", "kind": "eval", "params": {"backend": "hf"}, "inputs": {"model": "t1"}}
    done["figures"] = {"model_digest": digest}
    (folder / "done.json").write_text(json.dumps(done))
    command = ("probe", "e1", "--store", tmp_path, "--tasks", "mini_math", "--limit", "3", "--json")
    assert json.loads(here(*command, code=0).stdout)["rows"][0]["samples"] > 0
    (folder / "done.json").write_text(json.dumps(done | {"inputs": {}, "models": {"model": "student"}}))
    assert "name it with --model" in here(*command, code=2).stderr


def test_a_run_with_examples_in_its_prompts_is_refused(tmp_path):
    asked = ["--tasks", "mini_math", "--limit", "3", "--few-shot", "1", "--out", tmp_path]
    here("eval", "--model", "shipped:student", *asked, code=0)
    assert "prompts cannot be built again" in here("probe", tmp_path, code=2).stderr


def test_a_chat_server_that_continues_no_turn_is_named(tokenizer, student, tmp_path):
    service = Service(tokenizer=tokenizer)
    with serving(service):
        place = ["--model", "served-1", "--tokenizer", student, "--backend", "openai", "--base-url", service.url]
        here("eval", *place, "--tasks", "mini_math", "--limit", "2", "--max-tokens", "64", "--out", tmp_path, code=0)
        told = here("probe", tmp_path, *place, code=3)
    assert told.stderr.count("\n") == 1
    assert "does not continue a turn" in told.stderr
