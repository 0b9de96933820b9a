"""Real training on the shipped student: TRL's figures, exact resume, half-written checkpoints."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from harness.errors import ModelError, TrainingError
from harness.models.loading import model_digest
from harness.models.prompts import prompt_ids
from harness.problems.embedded import problems
from harness.problems.embedded.worked import Style, chain
from harness.thoughts import render
from harness.training.checkpoints import last_complete
from harness.training.spec import Objective, TrainingSpec
from tests.training.trained import preference, sft


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


def rows(tokenizer, n=24, fault=0.0):
    rng = random.Random(0)
    out = []
    for problem in problems("mini_math", "search", n):
        text = render(chain(problem, rng, Style(fault=fault, noticed=0.0))) + tokenizer.eos_token
        out.append((list(prompt_ids(tokenizer, problem.prompt)), tokenizer.encode(text, add_special_tokens=False)))
    return out


def pairs(tokenizer):
    return [(p, c, r) for (p, c), (_, r) in zip(rows(tokenizer), rows(tokenizer, fault=1.0), strict=True)]


class Killed(RuntimeError):
    pass


def killer(at):
    def progress(step, total):
        if step == at:
            raise Killed

    return progress


def test_sft_lowers_the_loss_and_a_killed_run_ends_in_the_same_weights(student, tokenizer, tmp_path):
    spec = TrainingSpec(learning_rate=1e-3, epochs=2, batch_size=4, save_steps=4)
    figures = sft(student, rows(tokenizer), tmp_path / "whole", spec=spec)
    log = [json.loads(line) for line in (tmp_path / "whole" / "training.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < losses[0]
    assert figures.steps == 12
    with pytest.raises(Killed):
        sft(student, rows(tokenizer), tmp_path / "killed", spec=spec, progress=killer(8))
    assert not (tmp_path / "killed").exists()
    sft(student, rows(tokenizer), tmp_path / "killed", spec=spec)
    assert model_digest(str(tmp_path / "killed")) == model_digest(str(tmp_path / "whole"))
    assert not (tmp_path / "killed.work").exists()


def test_killed_preference_training_and_an_unrecorded_model(student, tokenizer, tmp_path):
    """Killed in the middle of an epoch, and once more after the model was written but before its job was recorded."""
    objective = Objective(beta=0.5, label_smoothing=0.1, sft_weight=1.0)
    spec = TrainingSpec(learning_rate=5e-4, epochs=2, batch_size=4, save_steps=4)
    settings = {"objective": objective, "spec": spec}
    whole = preference(student, pairs(tokenizer), tmp_path / "whole", **settings)
    with pytest.raises(Killed):
        preference(student, pairs(tokenizer), tmp_path / "killed", progress=killer(9), **settings)
    for _ in range(2):
        figures = preference(student, pairs(tokenizer), tmp_path / "killed", **settings)
        assert model_digest(str(tmp_path / "killed")) == model_digest(str(tmp_path / "whole"))
        assert figures.loss == pytest.approx(whole.loss, abs=1e-3)


def test_preference_training_widens_the_margin(student, tokenizer, tmp_path):
    objective = Objective(beta=0.5, label_smoothing=0.1, sft_weight=1.0, mask_prefix="both")
    figures = preference(
        student, pairs(tokenizer), tmp_path / "m", objective=objective,
        spec=TrainingSpec(learning_rate=5e-4, epochs=3, batch_size=8),
    )  # fmt: skip
    log = [json.loads(line) for line in (tmp_path / "m" / "training.jsonl").read_text().splitlines()]
    margins = [entry["margin"] for entry in log if "margin" in entry]
    assert figures.steps == 9
    assert margins[-1] > margins[0]
    assert {"sft", "preference", "chosen_change", "rejected_change"} <= set(log[0])


def test_plain_dpo_equals_trl(student, tokenizer, tmp_path):
    """The first logged loss of our trainer is TRL's own, on the same rows, for DPO and for DPO plus its SFT term."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig, DPOTrainer

    data = pairs(tokenizer)[:8]
    columns = [{"prompt_ids": p, "chosen_ids": c, "rejected_ids": r} for p, c, r in data]

    class Stock(DPOTrainer):
        def _prepare_dataset(self, dataset, *args, **kwargs):
            return dataset

    for weight in (0.0, 1.0):
        preference(
            student,
            data,
            tmp_path / f"o{weight}",
            objective=Objective(beta=0.4, sft_weight=weight, sft_normalization="token_mean"),
            spec=TrainingSpec(learning_rate=1e-3, epochs=2, batch_size=8),
        )
        ours = [json.loads(line) for line in (tmp_path / f"o{weight}" / "training.jsonl").read_text().splitlines()]
        types = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, weight]} if weight else {}
        stock = Stock(
            model=AutoModelForCausalLM.from_pretrained(student, dtype="float32"),
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(columns),
            args=DPOConfig(
                output_dir=str(tmp_path / "trl"), beta=0.4, learning_rate=1e-3, num_train_epochs=2,
                per_device_train_batch_size=8, lr_scheduler_type="linear", warmup_steps=0.1, seed=0, data_seed=0,
                bf16=False, use_cpu=True, max_length=None, gradient_checkpointing=False, logging_steps=1,
                save_strategy="no", report_to="none", disable_tqdm=True, precompute_ref_log_probs=True, **types,
            ),
        )  # fmt: skip
        stock.train()
        assert ours[-1]["train_loss"] == pytest.approx(stock.state.log_history[-1]["train_loss"], rel=1e-5)


def test_half_written_checkpoints_are_passed_over(student, tokenizer, tmp_path):
    spec = TrainingSpec(learning_rate=1e-3, epochs=2, batch_size=4, save_steps=3)
    with pytest.raises(Killed):
        sft(student, rows(tokenizer), tmp_path / "m", spec=spec, progress=killer(7))
    work = tmp_path / "m.work"
    good = last_complete(work)
    assert good is not None
    assert good.name == "checkpoint-6"
    for name in ("trainer_state.json", "optimizer.pt", "model.safetensors"):
        broken = work / "checkpoint-9"
        shutil.copytree(good, broken)
        state = json.loads((broken / "trainer_state.json").read_text()) | {"global_step": 9}
        (broken / "trainer_state.json").write_text(json.dumps(state))
        assert last_complete(work) == broken
        if name == "model.safetensors":
            (broken / name).write_bytes((broken / name).read_bytes()[:-100])
        else:
            (broken / name).unlink()
        assert last_complete(work) == good
        assert not broken.exists()


def test_bad_input_is_named(student, tokenizer, tmp_path):
    with pytest.raises(TrainingError, match="no rows"):
        sft(student, [], tmp_path / "m", spec=TrainingSpec())
    with pytest.raises(TrainingError, match="positions"):
        sft(student, [([1], [5] * 3000)], tmp_path / "m", spec=TrainingSpec())
    with pytest.raises(ModelError, match="no configuration could be loaded"):
        sft(str(tmp_path), rows(tokenizer, 2), tmp_path / "m", spec=TrainingSpec())
