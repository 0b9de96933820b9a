"""Runs in others' forms: Every Eval Ever by its own schemas, and the Hub's evaluation results."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml

from tests.commands import here as harness

# 'pip download --no-deps --ignore-requires-python every-eval-ever==0.3.0' and unpack it; .ci/run does.
SCHEMAS = Path(os.environ.get("EVERY_EVAL_EVER", "none")) / "every_eval_ever" / "schemas"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    common = ["eval", "--model", "mock", "--backend", "mock", "--store", folder, "--samples", 2]
    harness(*common, "--tasks", "letter_count,mini_math", "--limit", 6, "--out", folder / "evals" / "a")
    return folder


def exported(store, out, *more):
    words = harness("runs", "export", "a", out, "--store", store, *more).stdout.split()
    return [Path(word) for word in words]


def test_the_record_names_its_samples_and_every_result_its_failures(store, tmp_path):
    record, samples = exported(store, tmp_path, "--model-id", "acme/mock-1")
    whole, lines = json.loads(record.read_text()), [json.loads(line) for line in samples.read_text().splitlines()]
    detailed = whole["detailed_evaluation_results"]
    assert (tmp_path / detailed["file_path"]) == samples
    assert detailed["checksum"] == hashlib.sha256(samples.read_bytes()).hexdigest()
    assert detailed["total_rows"] == len(lines) == 24
    assert {line["evaluation_id"] for line in lines} == {whole["evaluation_id"]}
    scores = {each["evaluation_result_id"]: each["score_details"]["score"] for each in whole["evaluation_results"]}
    shown = json.loads(harness("runs", "show", "a", "--store", store, "--json").stdout)
    assert shown["run"] in json.dumps(whole)
    for task in ("letter_count", "mini_math"):
        of_task = [line for line in lines if line["evaluation_name"] == task]
        right = [line["evaluation"]["score"] for line in of_task]
        assert scores[f"{task}/accuracy"] == pytest.approx(sum(right) / len(right))
        missing = [line["metadata"]["verdict"] not in ("correct", "wrong") for line in of_task]
        assert scores[f"{task}/no_answer"] == pytest.approx(sum(missing) / len(missing))
        assert len({line["sample_id"] for line in of_task}) == 12
    assert exported(store, tmp_path, "--model-id", "acme/mock-1") == [record, samples]
    assert json.loads(record.read_text()) == whole


def test_both_files_are_valid_by_the_published_schemas(store, tmp_path):
    if not SCHEMAS.is_dir():
        pytest.skip("the schemas of every-eval-ever are not here: set EVERY_EVAL_EVER to its unpacked wheel")
    jsonschema = pytest.importorskip("jsonschema")
    record, samples = exported(store, tmp_path, "--model-id", "acme/mock-1", "--organization", "us")
    for name, rows in (
        ("eval", [json.loads(record.read_text())]),
        ("instance_level_eval", [json.loads(line) for line in samples.read_text().splitlines()]),
    ):
        check = jsonschema.Draft7Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text()))
        assert [error.message for row in rows for error in check.iter_errors(row)] == []


def test_the_hubs_results_say_what_a_value_hides(store, tmp_path):
    samples = store / "evals" / "a" / "samples.jsonl"
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    other = tmp_path / "gsm8k"
    other.mkdir()
    changed = [row | {"task": "gsm8k"} if row["task"] == "mini_math" else row for row in rows]
    (other / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    done = harness("runs", "export", other, tmp_path, "--form", "hub", "--store", store)
    assert "left out" in done.stderr
    assert "letter_count" in done.stderr
    [entry] = yaml.safe_load(Path(done.stdout.strip()).read_text())
    assert entry["dataset"]["id"] == "openai/gsm8k"
    right = [row["grade"]["verdict"] == "correct" for row in changed if row["task"] == "gsm8k"]
    assert entry["value"] == pytest.approx(100 * sum(right) / len(right), abs=0.01)
    assert "6 of 1319 items, 2 samples each" in entry["notes"]
    assert "without an answer" in entry["notes"]


def test_what_cannot_be_exported_is_refused_in_one_line(store, tmp_path):
    for words, message in (
        (["--model-id", "no slash"], "write DEVELOPER/NAME"),
        (["--form", "hub"], "no task of it is one data set of the Hub"),
        (["--form", "csv"], "--form csv"),
    ):
        done = harness(
            "runs", "export", "a", tmp_path, "--store", store, *words, code=2 if "hub" not in words else None
        )
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
