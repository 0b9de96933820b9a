"""Pretraining of the tiny models: what falls under the loss, and that a killed run ends in the same weights."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest

from harness.journal import read
from harness.models.loading import model_digest
from harness.problems.embedded import FAMILIES, problems
from harness.problems.embedded.worked import Style, chain
from harness.training import tiny as module
from harness.training.tiny import IGNORE, STUDENT_MIX, batches, encode


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


SMALL = dataclasses.replace(
    module.SPECS["student"], steps=6, tokens=800, mix=dataclasses.replace(STUDENT_MIX, pool=40), warmup=2
)


def test_loss_falls_on_the_chain_but_not_on_noticed_errors(tokenizer):
    rng = random.Random(0)
    masked = 0
    for problem in [p for family in FAMILIES for p in problems(family, "pretrain", 30)]:
        spans = chain(problem, rng, Style(fault=1.0))
        document = encode(tokenizer, problem, spans)
        trained = [i for i, label in zip(document.input_ids, document.labels, strict=True) if label != IGNORE]
        text = tokenizer.decode(trained)
        assert all(label in (IGNORE, i) for i, label in zip(document.input_ids, document.labels, strict=True))
        assert problem.prompt not in text
        assert trained[-1] == tokenizer.eos_token_id
        for span in spans:
            if span.faulty and span.kind == "thinking" and len(span.text) > 20:
                assert span.opening + span.text not in text
                masked += 1
    assert masked > 30


def test_batches_are_a_function_of_the_seed_and_can_start_anywhere(tokenizer):
    all_of_them = list(itertools.islice(batches(tokenizer, SMALL.mix, 1, 800), 12))
    assert list(itertools.islice(batches(tokenizer, SMALL.mix, 1, 800, first=7), 5)) == all_of_them[7:]
    for batch in all_of_them:
        assert max(len(d.input_ids) for d in batch) * len(batch) <= 800 or len(batch) == 1


def test_a_killed_run_ends_in_the_same_weights(tokenizer, tmp_path, monkeypatch):
    whole = module.pretrain(SMALL, tokenizer, tmp_path / "whole", save_every=2)

    def cut(*args, first=0, **kwargs):
        stream = batches(*args, first=first, **kwargs)
        yield from itertools.islice(stream, 5)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "batches", cut)
    with pytest.raises(KeyboardInterrupt):
        module.pretrain(SMALL, tokenizer, tmp_path / "killed", save_every=2)
    monkeypatch.undo()
    again = module.pretrain(SMALL, tokenizer, tmp_path / "killed", save_every=2)
    assert again["step"] == whole["step"] == 6
    assert again["tokens"] == whole["tokens"]
    assert again["loss"] == whole["loss"]
    assert model_digest(str(tmp_path / "killed")) == model_digest(str(tmp_path / "whole"))


def test_a_resumed_log_holds_each_step_once_and_goes_on_with_the_running_loss(tokenizer, tmp_path, monkeypatch):
    spec = dataclasses.replace(SMALL, steps=110, tokens=200)
    whole = module.pretrain(spec, tokenizer, tmp_path / "whole", save_every=75)

    def cut(*args, first=0, **kwargs):
        yield from itertools.islice(batches(*args, first=first, **kwargs), 105)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "batches", cut)
    with pytest.raises(KeyboardInterrupt):
        module.pretrain(spec, tokenizer, tmp_path / "killed", save_every=75)
    monkeypatch.undo()
    assert module.pretrain(spec, tokenizer, tmp_path / "killed", save_every=75)["loss"] == whole["loss"]

    def log(name):
        return [(row["step"], row["loss"]) for row in read(tmp_path / name / "pretrain.jsonl")]

    assert log("killed") == log("whole")
    assert [step for step, _ in log("whole")] == [50, 100]


def test_the_pretraining_stage_leaves_a_model_that_publishing_finds(tokenizer, tmp_path, monkeypatch):
    import json

    from harness.models.backends.hf import HFCompleter
    from harness.pipeline.kind import Job
    from harness.pipeline.kinds import kind_of
    from tools.publish_tiny import trained

    monkeypatch.setitem(module.SPECS, "student", SMALL)
    stage = tmp_path / "stages" / "abc"
    stage.mkdir(parents=True)
    job = Job(name="pretrain student", kind="pretrain", digest="abc", params={"spec": "student"})
    figures = kind_of(job.kind).run(job, stage, {}, lambda done, total, tokens: None)
    assert figures["step"] == 6
    assert trained(tmp_path, "student") is None  # no record yet: an unfinished stage is not published
    (stage / "done.json").write_text(json.dumps({"kind": "pretrain", "params": job.params}))
    assert trained(tmp_path, "student") == stage / "model"
    assert trained(tmp_path, "generator-llama") is None
    assert HFCompleter(str(stage / "model")).digest
