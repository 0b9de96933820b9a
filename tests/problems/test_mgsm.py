"""MGSM: eleven tasks of one family, asked in the problem's language, from its files or the hub."""

from __future__ import annotations

import json

import pytest

from harness.errors import DataError
from harness.problems.benchmarks import files
from harness.problems.benchmarks.mgsm import FORMATS
from harness.problems.load import load
from harness.problems.registry import SUITES, select, tasks
from tests.commands import here

ROWS = [{"question": f" {n} + {n}? ", "answer": None, "answer_number": 2 * n} for n in range(1, 251)]


@pytest.fixture
def hub(monkeypatch):
    asked = []

    def from_hub(name, config, split):
        asked.append((name, config, split))
        return ROWS

    monkeypatch.setattr(files, "from_hub", from_hub)
    return asked


def test_one_name_stands_for_a_task_of_each_language():
    assert [task.name for task in select(["mgsm"], None)] == list(SUITES["mgsm"])
    assert set(SUITES["mgsm"]) == {f"mgsm_{language}" for language in FORMATS} <= set(tasks())
    assert select(["mgsm", "mgsm_de"], "mgsm") == select([], "mgsm")


def test_the_rows_of_the_hub_are_asked_in_each_language(hub):
    for language, form in FORMATS.items():
        problems = load(f"mgsm_{language}")
        assert hub[-1] == ("juletxara/mgsm", language, "test")
        assert len({problem.id for problem in problems}) == 250
        assert problems[8].prompt == f"9 + 9?{form}"
        assert problems[8].gold == {"answer": "18", "reference": "\\boxed{18}"}
        assert form.count("\\boxed{}") == 1
    assert len(set(FORMATS.values())) == 11


def test_an_absent_file_is_named_with_its_source(tmp_path):
    with pytest.raises(DataError, match=r"must hold mgsm/mgsm_te\.tsv, of github\.com/google-research/url-nlp"):
        load("mgsm_te", data_dir=tmp_path)
    (tmp_path / "mgsm").mkdir()
    (tmp_path / "mgsm" / "mgsm_te.tsv").write_text("1 + 1?\t2\n" * 250)
    with pytest.raises(DataError, match="not the published file"):
        load("mgsm_te", data_dir=tmp_path)


def test_the_published_files(shared_data):
    if not (shared_data / "mgsm").is_dir():
        pytest.skip("../shared/data holds no mgsm/ (github.com/google-research/url-nlp)")
    found = {language: load(f"mgsm_{language}", data_dir=shared_data) for language in FORMATS}
    asked = [problem.source for problem in load("gsm8k", data_dir=shared_data)[:250]]
    same = sum(problem.source == question for problem, question in zip(found["en"], asked, strict=True))
    assert same > 240
    assert len({tuple(problem.gold["answer"] for problem in problems) for problems in found.values()}) == 1


def test_each_language_has_a_row(hub, tmp_path):
    assert here("check", "--tasks", "mgsm", "--limit", "3", code=0).stdout.count("3/3 gold answers correct") == 11
    command = ["eval", "--model", "mock", "--backend", "mock", "--tasks", "mgsm", "--limit", 2, "--store", tmp_path]
    rows = json.loads(here(*command, "--json", code=0).stdout)["rows"]
    assert [(row["task"], row["n"]) for row in rows] == [(name, 2) for name in SUITES["mgsm"]]
