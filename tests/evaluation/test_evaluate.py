"""A whole run through lm-eval: resume, equal verdicts, lm-eval's own score beside ours."""

from __future__ import annotations

import json

import pytest

from harness.errors import UnknownTask
from harness.evaluation.plan import EvalPlan, load_samples
from harness.evaluation.spec import Decoding
from harness.models.hf import HFCompleter
from harness.models.prompts import prompt_ids
from harness.problems.embedded import problems
from harness.problems.registry import select, tasks
from harness.results.evaluating import evaluate_and_summarise


@pytest.fixture(scope="module")
def completer(student):
    return HFCompleter(student, threads=1)


def run(completer, folder, **settings):
    decoding = Decoding(max_tokens=150, **settings)
    plan = EvalPlan(tasks=select([], "embedded"), decoding=decoding, settings={"split": "dev", "count": 12})
    return evaluate_and_summarise(completer, completer.tokenizer, plan, folder)


def test_run_resume_and_agreement_with_lm_eval(completer, tmp_path):
    rows = run(completer, tmp_path / "whole")
    samples = load_samples(tmp_path / "whole")
    assert len(samples) == 36
    assert {task: row["n"] for task, row in rows.items()} == {"mini_math": 12, "mini_blocks": 12, "mini_rules": 12}
    theirs = json.loads((tmp_path / "whole" / "metrics.json").read_text())["lm_eval"]
    for task, row in rows.items():
        assert theirs[task] == pytest.approx(row["accuracy"])

    # Killed after 10 samples and a torn line: the rest is sampled, and every verdict and token is the same.
    lines = (tmp_path / "whole" / "generated.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "generated.jsonl").write_bytes(b"".join(lines[:10]) + lines[10][:20])
    assert run(completer, tmp_path / "part") == rows
    assert load_samples(tmp_path / "part") == samples

    before = completer.generated_tokens
    assert run(completer, tmp_path / "whole") == rows
    assert completer.generated_tokens == before  # nothing was generated again
    other = run(completer, tmp_path / "whole", seed=1)
    assert completer.generated_tokens > before  # another seed is another sample, in the same journal
    assert load_samples(tmp_path / "whole") != samples
    assert set(other) == set(rows)


def test_prompts_through_lm_eval_are_the_chat_template_with_one_bos(completer, tmp_path):
    from harness.models.base import seed_of

    run(completer, tmp_path / "r")
    expected = {
        p.id: f"{seed_of(prompt_ids(completer.tokenizer, p.prompt)):012x}"
        for family in ("mini_math", "mini_blocks", "mini_rules")
        for p in problems(family, "dev", 12)
    }
    got = {s.problem_id: s.prompt_ids_hash for s in load_samples(tmp_path / "r")}
    assert got == expected


def test_registry():
    assert set(tasks()) >= {"mini_math", "mini_blocks", "mini_rules", "gsm8k"}
    with pytest.raises(UnknownTask, match="did you mean 'mini_math'"):
        select(["mini_maths"], None)
    with pytest.raises(UnknownTask, match="no suite"):
        select([], "embeded")
    with pytest.raises(UnknownTask, match="no tasks named"):
        select([], None)
