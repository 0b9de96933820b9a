"""``harness train grpo|opd|kto`` as a user runs them, and what they refuse."""

from __future__ import annotations

import json

import pytest

from tests.commands import here as harness

FEW = ("--batch-size", 2, "--learning-rate", 1e-4, "--json")


@pytest.fixture
def data(tmp_path):
    """Problems of two graders, and chains with their verdicts."""
    problems = [
        {"prompt": "What is 1 + 1? Put it in \\boxed{}.", "gold": {"answer": 2}, "family": "number"},
        {"prompt": "Simplify 2/4.", "gold": "\\frac{1}{2}", "family": "math"},
    ]
    chains = [
        {"prompt": f"What is {i} + 1?", "completion": f"\\boxed{{{i + 1 + i % 2}}}", "label": i % 2 == 0}
        for i in range(6)
    ]
    for name, rows in (("problems", problems), ("verified", chains)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_grpo_and_opd_on_problems_of_a_file(data, tmp_path):
    asked = ("--problems", data / "problems.jsonl", "--answer-tokens", 24, *FEW)
    grpo = ("train", "grpo", "--model", "shipped:student", "--out", tmp_path / "grpo", "--answers", 2, *asked)
    done = harness(*grpo)
    # Two answers of a tiny model to each may all be wrong: then it says so, and has shown what it saw nowhere else.
    assert done.returncode in (0, 3), done.stderr
    assert done.returncode == 0 or "answered all right or all wrong" in done.stderr
    opd = (
        "train",
        "opd",
        "--model",
        "shipped:student",
        "--out",
        tmp_path / "opd",
        "--teacher",
        "shipped:generator-qwen2",
    )
    done = harness(*opd, *asked, "--share", 0.5)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["rows"] == 2
    assert 0 < figures["sampled_tokens"] <= 48
    assert 0 <= figures["end"]["share_cut"] <= 1
    card = (tmp_path / "opd" / "README.md").read_text()
    assert "share 0.5" in card
    assert "generator-qwen2" in card
    assert json.loads(harness(*opd, *asked, "--share", 0.5).stdout) == figures  # it was done
    done = harness(*opd, *asked, "--share", 0.6)
    assert done.returncode != 0
    assert "holds another training's model" in done.stderr


def test_kto_on_a_folder_of_verified_chains(data, tmp_path):
    done = harness("train", "kto", "--model", "shipped:student", "--data", data, "--out", tmp_path / "kto", *FEW)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["rows"], figures["steps"]) == (6, 3)
    assert "examples/s" not in done.stderr  # no bars of libraries


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("grpo",), "give either --problems FILE or --tasks NAMES"),
        (
            ("grpo", "--tasks", "mini_math", "--limit", 2, "--answer-tokens", 4000),
            "2 prompts that leave no room for 4,000",
        ),
        (("grpo", "--tasks", "mini_math", "--length", 1), "--length"),
        (("opd", "--tasks", "mini_math", "--teacher", "shipped:nobody"), "no such shipped model"),
        (("kto", "--data", "unlabelled.jsonl"), "unlabelled.jsonl:1: has no label that is true or false"),
        (("kto", "--data", "right.jsonl"), "KTO needs desirable and undesirable rows"),
        (("kto", "--data", "right.jsonl", "--report-to", "wandb"), "the package wandb is not installed"),
    ],
)
def test_what_is_refused_is_one_line(words, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = {"prompt": "a b", "completion": "c"}
    (tmp_path / "unlabelled.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "right.jsonl").write_text((json.dumps(row | {"label": True}) + "\n") * 4)
    done = harness("train", words[0], "--model", "shipped:student", "--out", tmp_path / "m", *words[1:])
    assert done.returncode != 0
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "m").exists()
