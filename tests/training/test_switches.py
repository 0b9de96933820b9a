"""SimPO, LD-DPO and DFT in whole trainings: both layouts, kills, TRL's own figures, no reference for SimPO."""

from __future__ import annotations

import json

import pytest
import torch

from harness.models.loading import model_digest
from harness.training.spec import Objective, SftObjective, TrainingJob, TrainingSpec
from harness.training.train import train
from harness.training.trainer import PreferenceTrainer
from tests.commands import here as harness
from tests.training.test_train import Killed, killer, pairs, rows
from tests.training.trained import changed

SPEC = TrainingSpec(learning_rate=5e-4, epochs=2, batch_size=4, save_steps=4, layout="rows")
SIMPO = Objective(beta=2.0, gamma=1.0, reference_free=True, length_normalized=True)
LIKE_TRL = changed(SPEC, batch_size=8, learning_rate=1e-3, epochs=5)
EACH = {
    "simpo": SIMPO,
    "ld": Objective(beta=0.4, ld_alpha=0.3),
    "dft": SftObjective(dft=True),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tokenizer):
    """Rows for each objective; the chains of a pair share their beginning, and some prompts have two pairs."""
    alike = [(p, c, [*c[: len(c) // 2], *r]) for p, c, r in pairs(tokenizer)[:10]]
    both = [*alike, *((p, c, r[:-3] + r[-1:]) for p, c, r in alike[:2])]
    return {"simpo": both, "ld": both, "dft": rows(tokenizer, 12)}


def run(model, name, data, out, spec=SPEC, **more):
    job = TrainingJob(model=model, data="in memory", out=out, training=spec, objective=EACH[name])
    return train(job.model_copy(update={"reference": more.pop("reference", None)}), data[name], **more)


def losses(folder, name="loss"):
    log = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    return [row[name] for row in log if name in row]


@pytest.mark.parametrize("name", EACH)
def test_both_layouts_train_the_same_in_any_micro_batches(name, student, data, tmp_path):
    for trees in (False, True) if name != "dft" else (False,):
        plain = changed(SPEC, trees=trees)
        wholes = run(student, name, data, tmp_path / f"rows{trees}", plain)
        shared = changed(plain, layout="shared", micro_batch=2)
        less = run(student, name, data, tmp_path / f"shared{trees}", shared)
        for figure in ("loss", "grad_norm"):
            ours, theirs = (losses(tmp_path / f"{layout}{trees}", figure) for layout in ("rows", "shared"))
            assert len(ours) == wholes.steps > 4
            assert ours == pytest.approx(theirs, rel=2e-3, abs=2e-4)
        assert less.tokens_through_network < wholes.tokens_through_network


@pytest.mark.parametrize("name", EACH)
def test_killed_and_gone_on_with_the_weights_are_the_same(name, student, data, tmp_path):
    run(student, name, data, tmp_path / "whole")
    with pytest.raises(Killed):
        run(student, name, data, tmp_path / "killed", progress=killer(5))
    run(student, name, data, tmp_path / "killed")
    assert model_digest(str(tmp_path / "killed")) == model_digest(str(tmp_path / "whole")) != model_digest(student)


def test_simpo_computes_no_reference(student, data, tmp_path, monkeypatch):
    from harness.training import trainer

    passes, forward = [], trainer.batch_logps

    def counted(model, inputs):
        passes.append(model.training)
        return forward(model, inputs)

    monkeypatch.setattr(trainer, "batch_logps", counted)
    monkeypatch.setattr(PreferenceTrainer, "_reference_logps", lambda *a: pytest.fail("a reference was computed"))
    figures = run(student, "simpo", data, tmp_path / "m", reference=tmp_path / "reference")
    assert passes == [True] * figures.steps
    assert not (tmp_path / "reference").exists()
    assert losses(tmp_path / "m", "margin")[-1] > losses(tmp_path / "m", "margin")[0]
    assert not losses(tmp_path / "m", "chosen_change")


def test_ld_dpo_trains_as_trl_does(student, tokenizer, tmp_path):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    class Stock(DPOTrainer):
        def _prepare_dataset(self, dataset, *args, **kwargs):
            return dataset

    some = pairs(tokenizer)[:8]
    job = {"ld": some}
    run(student, "ld", job, tmp_path / "m", LIKE_TRL)
    columns = [{"prompt_ids": p, "chosen_ids": c, "rejected_ids": r} for p, c, r in some]
    objective = EACH["ld"]
    args = DPOConfig(
        **stock(tmp_path), beta=objective.beta, ld_alpha=objective.ld_alpha, precompute_ref_log_probs=True
    )  # fmt: skip
    theirs = trained(Stock, student, tokenizer, Dataset.from_list(columns), args)
    assert losses(tmp_path / "m") == pytest.approx(theirs, rel=1e-3, abs=2e-4)
    assert theirs[-1] < 0.6 < theirs[0]  # both learnt


def test_dft_trains_as_trl_does(student, tokenizer, tmp_path):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    some = rows(tokenizer, 8)
    run(student, "dft", {"dft": some}, tmp_path / "m", LIKE_TRL)
    columns = [{"input_ids": p + c, "labels": [-100] * len(p) + c} for p, c in some]
    args = SFTConfig(
        **stock(tmp_path), loss_type="dft", packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    theirs = trained(SFTTrainer, student, tokenizer, Dataset.from_list(columns), args)
    assert losses(tmp_path / "m") == pytest.approx(theirs, rel=1e-3, abs=2e-4)


def stock(folder):
    return {
        "output_dir": str(folder / "trl"), "learning_rate": 1e-3, "num_train_epochs": 5,
        "per_device_train_batch_size": 8, "lr_scheduler_type": "linear", "warmup_steps": 0.1, "seed": 0, "data_seed": 0,
        "bf16": False, "use_cpu": True, "max_length": None, "gradient_checkpointing": False, "logging_steps": 1,
        "save_strategy": "no", "report_to": "none", "disable_tqdm": True,
    }  # fmt: skip


def trained(kind, student, tokenizer, dataset, args):
    """The losses of a trainer of TRL."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(student, dtype="float32")
    trainer = kind(model=model, processing_class=tokenizer, train_dataset=dataset, args=args)
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    texts = [(f"{n} + 1 =", f" {n + 1}", f" {n} or so") for n in range(8)]
    for name, sides in (("sft", ("prompt", "completion")), ("pairs", ("prompt", "chosen", "rejected"))):
        lines = (json.dumps(dict(zip(sides, row, strict=False))) + "\n" for row in texts)
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder


def test_the_command_line_has_every_switch(files, student, tmp_path):
    common = ("--model", student, "--data", files, "--batch-size", 4)
    simpo = ("--reference-free", "--length-normalized", "--gamma", 0.5, "--beta", 2)
    harness("train", "dpo", *common, "--out", tmp_path / "a", *simpo, code=0)
    assert "reference_free True" in (tmp_path / "a" / "README.md").read_text()
    assert losses(tmp_path / "a", "preference")[0] != pytest.approx(0.6931, abs=1e-3)
    done = harness("train", "dpo", *common, "--out", tmp_path / "b", "--ld-alpha", 0.5, code=0)
    assert "chosen" in done.stdout
    harness("train", "sft", *common, "--out", tmp_path / "c", code=0)
    harness("train", "sft", *common, "--out", tmp_path / "d", "--dft", code=0)
    assert losses(tmp_path / "d")[0] < losses(tmp_path / "c")[0] / 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ld-alpha", 0.5, "--length-normalized"), "ld_alpha weighs sums and length_normalized takes means: use one"),
        (("--ld-alpha", 1.5), "--ld-alpha: Input should be less than or equal to 1"),
        (("--gamma", -1), "--gamma: Input should be greater than or equal to 0"),
        (("--gamma", "nan"), "--gamma: Input should be"),
    ],
)
def test_switches_that_contradict_each_other_are_one_line(options, said, files, student, tmp_path):
    done = harness("train", "dpo", "--model", student, "--data", files, "--out", tmp_path / "m", *options, code=2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
