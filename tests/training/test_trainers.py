"""Our trainers against each other and themselves: layouts, micro-batches, trees, adapters, cached references."""

from __future__ import annotations

import json
import random

import pytest
import torch

from harness.errors import TrainingError
from harness.training.spec import Objective, TrainingSpec
from tests.training.trained import changed, preference, sft

SPEC = TrainingSpec(learning_rate=1e-3, epochs=2, batch_size=4)
ROWS = changed(SPEC, layout="rows")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def forest():
    """(prompt, chains): 8 trees of 4 chains that fork at any depth."""
    rng = random.Random(0)

    def ids(n):
        return [rng.randrange(30, 120) for _ in range(n)]

    trees = []
    for _ in range(8):
        stem, branch = ids(25), ids(15)
        chains = [stem + branch + ids(5), stem + branch + ids(9), stem + ids(12), ids(20)]
        trees.append((ids(12), [[*chain, 1] for chain in chains]))
    return trees


@pytest.fixture(scope="module")
def pairs(forest):
    return [(p, c[i], c[j]) for p, c in forest for i, j in ((0, 1), (0, 2), (3, 1), (2, 3))]


@pytest.fixture(scope="module")
def chains(forest):
    return [(p, c) for p, cs in forest for c in cs]


def curve(folder):
    log = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    return [row for row in log if "loss" in row]


def same_curve(a, b, names=("loss", "grad_norm"), rel=2e-3):
    a, b = curve(a), curve(b)
    assert len(a) == len(b) > 1
    for name in names:
        assert [row[name] for row in a] == pytest.approx([row[name] for row in b], rel=rel, abs=2e-4), name


OBJECTIVE = Objective(
    beta=0.5, label_smoothing=0.1, sft_weight=1.0, sft_normalization="token_mean", mask_prefix="both",
    length_normalized=True,
)  # fmt: skip


@pytest.mark.parametrize("trees", [False, True])
def test_shared_layout_and_micro_batches_train_the_same(student, forest, pairs, chains, tmp_path, trees):
    plain = changed(ROWS, trees=trees)
    for name, run in {
        "sft": lambda spec, out: sft(student, chains, out, mean="sequence_mean", spec=spec),
        "dpo": lambda spec, out: preference(student, pairs, out, objective=OBJECTIVE, spec=spec),
    }.items():
        figures = run(plain, tmp_path / f"{name}-rows")
        shared = run(changed(plain, layout="shared"), tmp_path / f"{name}-shared")
        less_memory = changed(plain, layout="shared", micro_batch=1, recompute=True)
        run(less_memory, tmp_path / f"{name}-micro")
        same_curve(tmp_path / f"{name}-rows", tmp_path / f"{name}-shared")
        same_curve(tmp_path / f"{name}-rows", tmp_path / f"{name}-micro")
        assert shared.tokens_through_network < figures.tokens_in_rows / (1.5 if trees else 1.0)


def test_pairs_of_trees_train_as_the_same_pairs_in_rows(student, pairs, tmp_path):
    """One step over all pairs: grouped in trees or row by row, the loss and its gradient are the same."""
    whole = changed(ROWS, epochs=1, batch_size=len(pairs))
    preference(student, pairs, tmp_path / "rows", objective=OBJECTIVE, spec=whole)
    trees = changed(SPEC, epochs=1, batch_size=8, trees=True)
    preference(student, pairs, tmp_path / "trees", objective=OBJECTIVE, spec=trees)
    a, b = curve(tmp_path / "rows")[0], curve(tmp_path / "trees")[0]
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
    assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-4)
    assert b["tokens/network"] < b["tokens/rows"] / 1.5 < a["tokens/network"] / 2.5


def test_adapters_train_over_shared_prefixes_and_are_merged(student, pairs, tmp_path):
    from safetensors.torch import load_file

    spec = changed(ROWS, trees=True, lora=4)
    preference(student, pairs, tmp_path / "rows", objective=OBJECTIVE, spec=spec)
    preference(student, pairs, tmp_path / "shared", objective=OBJECTIVE, spec=changed(spec, layout="shared"))
    same_curve(tmp_path / "rows", tmp_path / "shared")
    assert (tmp_path / "shared" / "adapter" / "adapter_model.safetensors").exists()
    before = load_file(f"{student}/model.safetensors")
    after = load_file(tmp_path / "shared" / "model.safetensors")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_the_log_names_every_term(student, pairs, tmp_path):
    spec = changed(SPEC, trees=True, term_norms=1)
    preference(student, pairs, tmp_path / "m", objective=changed(OBJECTIVE, sft_weight=0.7), spec=spec)
    for row in curve(tmp_path / "m"):
        assert row["loss"] == pytest.approx(row["preference"] + 0.7 * row["sft"], rel=1e-3)
        assert row["chosen_change"] - row["rejected_change"] == pytest.approx(row["margin"] / 0.5, abs=1e-3)
        assert row["tokens/chosen"] > 0 < row["tokens/rejected"]
        assert 0 < row["shared_share"] < 1
        assert row["logps/chosen"] < 0
        assert row["grad_norm/preference"] > 0 < row["grad_norm/sft"]


def test_one_reference_serves_every_objective(student, pairs, tmp_path, monkeypatch):
    from harness.training.trainer import PreferenceTrainer

    calls = []
    original = PreferenceTrainer._reference_logps
    monkeypatch.setattr(PreferenceTrainer, "_reference_logps", lambda self, *a: calls.append(1) or original(self, *a))
    more = {"spec": changed(ROWS, epochs=1), "reference": tmp_path / "reference"}
    for number, objective in enumerate((OBJECTIVE, Objective(), Objective(length_normalized=True))):
        preference(student, pairs, tmp_path / f"{number}", objective=objective, **more)
    assert len(calls) == 1
    preference(student, pairs[:-1], tmp_path / "other", objective=OBJECTIVE, **more)
    assert len(calls) == 2
    [file, _] = sorted((tmp_path / "reference").iterdir())
    file.write_bytes(file.read_bytes()[:-40])  # a torn file is computed anew
    for name, data in (("a", pairs), ("b", pairs[:-1])):
        preference(student, data, tmp_path / name, objective=OBJECTIVE, **more)
    assert len(calls) == 3
    same_curve(tmp_path / "0", tmp_path / "a")


def test_the_first_loss_is_what_no_change_gives(student, pairs, tmp_path):
    """Policy equals reference before the first step, so the preference term is log 2 whatever the epsilon."""
    objective = Objective(beta=0.3, label_smoothing=0.2)
    preference(student, pairs, tmp_path / "m", objective=objective, spec=changed(SPEC, trees=True))
    assert curve(tmp_path / "m")[0]["loss"] == pytest.approx(0.6931, abs=1e-3)


def test_a_loss_that_is_no_number_ends_with_the_last_good_checkpoint(student, chains, tmp_path):
    spec = TrainingSpec(learning_rate=1e30, epochs=4, batch_size=4, warmup=0.0, save_steps=1)
    with pytest.raises(
        TrainingError,
        match=r"became (nan|inf).*lower the learning rate.*(kept in|There is no checkpoint).*To start anew, remove",
    ):
        sft(student, chains, tmp_path / "m", spec=spec)
    assert not (tmp_path / "m").exists()


def test_a_finished_model_says_what_it_is(student, pairs, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    about = {"recipe": "unit", "data": "digest 123"}
    preference(student, pairs, tmp_path / "m", objective=OBJECTIVE, spec=SPEC, about=about)
    card = (tmp_path / "m" / "README.md").read_text()
    for text in ("base model", "recipe | unit", "digest 123", "label_smoothing 0.1", "sft_normalization token_mean"):
        assert text in card
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert "shared_prefix" not in json.dumps(config)
    assert AutoTokenizer.from_pretrained(tmp_path / "m").chat_template
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "m").config.eos_token_id is not None
    assert (tmp_path / "m" / "generation_config.json").exists()


def test_a_batch_that_cannot_be_split_is_named(student, chains, tmp_path):
    with pytest.raises(TrainingError, match="multiple of both"):
        sft(student, chains, tmp_path / "m", spec=changed(SPEC, micro_batch=3))


def test_a_folder_belongs_to_one_training(student, chains, tmp_path):
    figures = sft(student, chains, tmp_path / "m", spec=ROWS)
    weights = (tmp_path / "m" / "model.safetensors").stat().st_mtime_ns
    assert sft(student, chains, tmp_path / "m", spec=changed(SPEC, micro_batch=2)) == figures  # done: nothing runs
    assert (tmp_path / "m" / "model.safetensors").stat().st_mtime_ns == weights
    with pytest.raises(TrainingError, match="another training's model"):
        sft(student, chains[:-1], tmp_path / "m", spec=SPEC)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(TrainingError, match="no model of ours"):
        sft(student, chains, tmp_path / "mine", spec=SPEC)
    assert (tmp_path / "mine" / "thesis.txt").exists()

    def stop(step, total):
        if step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sft(student, chains, tmp_path / "half", spec=changed(SPEC, save_steps=4), progress=stop)
    with pytest.raises(TrainingError, match=r"half\.work holds a training of other data or settings"):
        sft(student, chains, tmp_path / "half", spec=SPEC, seed=1)


def test_fewer_rows_than_a_batch_are_split_as_told(student, chains, tmp_path):
    figures = sft(student, chains[:10], tmp_path / "m", spec=changed(SPEC, batch_size=16, micro_batch=4))
    assert figures.steps == 2  # two passes of all ten
