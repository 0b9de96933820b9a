"""Trainings on a model's own answers: losses and logs of known answers, hangs, a killed run that goes on."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.errors import TrainingError, Usage
from harness.journal import write_rows
from harness.models.loading import model_digest, resolve
from harness.models.prompts import prompt_ids
from harness.problems.embedded import problems
from harness.training.makers import maker_of
from harness.training.online import TeacherTrainer, VerdictTrainer
from harness.training.spec import GrpoObjective, KtoObjective, OpdObjective, TrainingJob, TrainingSpec
from harness.training.train import run, train

TEACHER = "shipped:generator-qwen2"
SPEC = TrainingSpec(learning_rate=1e-4, epochs=1, batch_size=4, save_steps=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def asked(tokenizer):
    """Prompts of several lengths with what their grader needs."""
    some = [*problems("mini_math", "search", 5), *problems("mini_rules", "search", 3)]
    return [(list(prompt_ids(tokenizer, each.prompt)), each.family, each.gold) for each in some]


def trained(model, rows, out, objective, spec=SPEC, **more):
    job = TrainingJob(model=model, data=Path("in memory"), out=out, training=spec, objective=objective, **more)
    return train(job, rows, maker=maker_of(objective))


def log_of(out):
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def answer_to(prompt):
    """Random tokens, the same ones for the same prompt; no end of an answer."""
    rng = random.Random(str(prompt))
    return [rng.randrange(30, 120) for _ in range(rng.randrange(5, 30))]


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def float64(path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype="float64").eval()


def log_probs(model, prompt, answer, temperature=1.0):
    """(tokens of the answer, vocabulary) in float64, of a row by itself, without padding."""
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
    return log_softmax(logits.numpy() / temperature)


@pytest.mark.parametrize(("share", "temperature", "micro"), [(1.0, 1.0, 0), (0.3, 0.7, 2)])
def test_distillation_is_the_reverse_divergence_on_a_share_of_each_answer(
    share, temperature, micro, asked, student, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        TeacherTrainer, "_generate_single_turn", lambda self, prompts, *_, **__: [*map(answer_to, prompts)]
    )
    spec = TrainingSpec(learning_rate=1e-4, batch_size=8, micro_batch=micro)
    objective = OpdObjective(share=share, temperature=temperature, answer_tokens=40)
    figures = trained(student, asked, tmp_path / "m", objective, spec, teacher=resolve(TEACHER))
    ours, theirs = float64(student), float64(resolve(TEACHER))
    total, tokens = 0.0, 0
    for prompt, *_ in asked:
        answer = answer_to(prompt)
        p, q = (log_probs(each, prompt, answer, temperature) for each in (ours, theirs))
        divergence = (np.exp(p) * (p - q)).sum(-1)
        of = int(np.ceil(share * len(answer)))
        total, tokens = total + divergence[:of].sum(), tokens + of
    [step] = log_of(tmp_path / "m")
    assert step["loss"] == pytest.approx(total / tokens, rel=1e-4)
    assert figures.sampled_tokens == sum(len(answer_to(prompt)) for prompt, *_ in asked)
    assert figures.tokens_in_rows == figures.sampled_tokens + sum(len(prompt) for prompt, *_ in asked)
    assert step["share_cut"] == 1.0


def test_grpo_on_known_answers(student, tokenizer, tmp_path, monkeypatch):
    """Two prompts of four answers: one of them all wrong; a cut answer is in its group's mean, and not trained on."""
    end, texts = tokenizer.eos_token_id, {"4": ["4", "5", "4 4 4", "4"], "9": ["1", "2", "3", "1"]}
    lengths = {}

    def known(self, prompts, *_, **__):
        out = []
        for number, prompt in enumerate(prompts):
            which = texts["4" if prompt == rows[0][0] else "9"]
            ids = tokenizer.encode(f"\\boxed{{{which[number % 4]}}}", add_special_tokens=False)
            out.append(ids if prompt == rows[0][0] and number % 4 == 3 else [*ids, end])
        lengths.update({(prompt == rows[0][0], number % 4): len(out[number]) for number, prompt in enumerate(prompts)})
        return out, None

    monkeypatch.setattr(VerdictTrainer, "_generate_single_turn", known)
    rows = [(tokenizer.encode(f"ask {n}", add_special_tokens=False), "number", {"answer": n}) for n in (4, 9)]
    for scale, cut in (("group", False), ("none", True)):
        out = tmp_path / scale
        objective = GrpoObjective(answers=4, answer_tokens=40, scale=scale, train_cut=cut)
        trained(student, rows, out, objective)
        [step] = log_of(out)
        assert step["correct"] == pytest.approx(2 / 8)  # "4 4 4" is no 4; a cut answer has its box, and is right
        assert step["share_cut"] == pytest.approx(1 / 8)
        assert step["share_zero_variance"] == pytest.approx(1 / 2)
        earned = np.array([1.0, 0.0, 0.0, 1.0])
        advantage = earned - earned.mean()
        if scale == "group":
            advantage /= earned.std(ddof=1) + 1e-4
        taken = np.array([n for (first, _), n in sorted(lengths.items(), reverse=True) if first][::-1])
        mask = np.array([1, 1, 1, float(cut)])
        tokens = (taken * mask).sum() + sum(n for (first, _), n in lengths.items() if not first)
        assert step["loss"] == pytest.approx(-(advantage * taken * mask).sum() / tokens, abs=1e-5)


def test_an_answer_that_hangs_its_grader_does_not_stop_grpo(student, tokenizer, tmp_path, monkeypatch):
    hangs = {"instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": ["(a+)+$"]}]}
    rows = [([40, 41], "mini_rules", hangs), ([42, 43], "math", {"answer": "2"})]
    texts = {40: ["a" * 40 + "b", "a"], 42: ["\\boxed{9**9**9**9}", "\\boxed{2}"]}

    def known(self, prompts, *_, **__):
        chosen = [texts[prompt[0]][number % 2] for number, prompt in enumerate(prompts)]
        return [[*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id] for text in chosen], None

    monkeypatch.setattr(VerdictTrainer, "_generate_single_turn", known)
    spec = TrainingSpec(learning_rate=1e-4, epochs=2, batch_size=2)
    figures = trained(student, rows, tmp_path / "m", GrpoObjective(answers=2, answer_tokens=60), spec)
    assert figures.steps == 2
    assert [(step["undecided"], step["correct"]) for step in log_of(tmp_path / "m")] == [(0.25, 0.5)] * 2


def verified(asked):
    return [(prompt, answer_to(prompt), number % 3 > 0) for number, (prompt, *_) in enumerate(asked)]


ARMS = {
    "grpo": GrpoObjective(answers=4, answer_tokens=60, length=0.3),
    "opd": OpdObjective(answer_tokens=40, share=0.5),
    "kto": KtoObjective(),
}
KILLED = """
import os, sys
from harness.training.makers import maker_of
from harness.training.spec import TrainingJob
from harness.training.train import run

job = TrainingJob.model_validate_json(sys.argv[1])
run(job, lambda step, total: os._exit(9) if step == 3 else None, maker_of(job.objective))
"""


@pytest.mark.parametrize("arm", [pytest.param(arm, marks=[pytest.mark.slow] * (arm != "kto")) for arm in ARMS])
def test_a_killed_training_ends_in_the_same_weights(arm, asked, student, tmp_path):
    """Killed a step after a checkpoint, in the second pass; its model on the way is there once."""
    rows = tmp_path / "rows.jsonl"
    if arm == "kto":
        write_rows(rows, [{"prompt_ids": p, "completion_ids": c, "desirable": d} for p, c, d in verified(asked)])
    else:
        write_rows(rows, [{"prompt_ids": p, "family": f, "gold": g} for p, f, g in asked])
    spec = TrainingSpec(learning_rate=1e-3, epochs=2, batch_size=4, save_steps=2)
    teacher = resolve(TEACHER) if arm == "opd" else None
    jobs = [
        TrainingJob(
            model=student,
            data=rows,
            out=tmp_path / name,
            training=spec,
            objective=ARMS[arm],
            teacher=teacher,
            keep=[0.25],
        )
        for name in ("whole", "killed")
    ]
    figures = run(jobs[0], maker=maker_of(ARMS[arm]))
    assert figures.steps == 4
    done = subprocess.run([sys.executable, "-c", KILLED, jobs[1].model_dump_json()], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert not (tmp_path / "killed").exists()
    assert run(jobs[1], maker=maker_of(ARMS[arm])) == figures
    for at in ("", "@0.25"):
        assert model_digest(f"{tmp_path}/killed{at}") == model_digest(f"{tmp_path}/whole{at}")
    assert model_digest(str(tmp_path / "whole")) != model_digest(str(tmp_path / "whole@0.25"))
    assert [step["loss"] for step in log_of(tmp_path / "killed")] == [
        step["loss"] for step in log_of(tmp_path / "whole")
    ]


def test_what_cannot_be_trained_is_one_line(asked, student, tmp_path, monkeypatch):
    out, opd = tmp_path / "m", OpdObjective(answer_tokens=20)
    with pytest.raises(TrainingError, match="needs a teacher"):
        trained(student, asked, out, opd)
    with pytest.raises(TrainingError, match=r"positions .*, or let answers be shorter than 5000 tokens"):
        trained(student, asked, out, OpdObjective(answer_tokens=5000))
    with pytest.raises(Usage, match="--report-to wandb: the package wandb is not installed"):
        trained(student, asked, out, opd, TrainingSpec(report_to="wandb"))
    other = tmp_path / "other"
    other.mkdir()
    for file in Path(resolve(TEACHER)).iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    vocabulary = json.loads((other / "tokenizer.json").read_text())
    first, second = list(vocabulary["model"]["vocab"])[50:52]
    ids = vocabulary["model"]["vocab"]
    ids[first], ids[second] = ids[second], ids[first]
    (other / "tokenizer.json").write_text(json.dumps(vocabulary))
    with pytest.raises(TrainingError, match="another vocabulary"):
        trained(student, asked, tmp_path / "n", opd, teacher=str(other))
    monkeypatch.setattr(VerdictTrainer, "_generate_single_turn", lambda self, p, *_, **__: ([[50, 51]] * len(p), None))
    with pytest.raises(TrainingError, match="answered all right or all wrong"):
        trained(student, asked, tmp_path / "o", GrpoObjective(answers=2, answer_tokens=20))
