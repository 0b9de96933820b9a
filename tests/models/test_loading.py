"""A model is loaded whole or refused with one line that says what is wrong with its files."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest

from harness.errors import ModelError
from harness.models.loading import context_length, load_model, load_tokenizer, names, resolve
from tests.commands import here


@pytest.fixture
def copy(student, tmp_path) -> Path:
    shutil.copytree(student, tmp_path / "model")
    return tmp_path / "model"


def configured(folder: Path, **change: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))


def spoil(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Path("anything")}, 2))


def lost_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    places = {
        "model.norm.weight": "model-00001-of-00002.safetensors",
        "lm_head.weight": "model-00002-of-00002.safetensors",
    }
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: configured(folder, num_hidden_layers=9), r"missing \(model.layers.3\..*, \.\.\.\)"),
        (lambda folder: configured(folder, num_hidden_layers=2), r"without a place \(model.layers.2\."),
        (lambda folder: configured(folder, num_hidden_layers=-1), r"without a place \(model.layers.0\."),
        (
            lambda folder: configured(folder, vocab_size=999),
            r"of another shape \(.*: \d+x\d+, not 999x",
        ),
        (lambda folder: configured(folder, tie_word_embeddings=False), r"1 missing \(lm_head.weight\)"),
        (lambda folder: spoil(folder, weights(folder)[:-9000]), "could be loaded"),
        (lambda folder: spoil(folder, b""), "could be loaded"),
        (lambda folder: spoil(folder, b"\xff" * 5000), "could be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), "could be loaded"),
        (pickled, "could be loaded .*save them as safetensors"),
        (lost_shard, "could be loaded"),
    ],
)
def test_what_is_wrong_with_a_models_files_is_one_line(copy, capfd, damage, message):
    damage(copy)
    with pytest.raises(ModelError, match=message) as refused:
        load_model(str(copy))
    assert "\n" not in str(refused.value)
    assert "MISSING" not in capfd.readouterr().err


def test_weights_that_share_storage_are_not_missing(copy):
    model = load_model(str(copy))
    model.save_pretrained(copy, max_shard_size="500KB")
    assert len(list(copy.glob("model-*.safetensors"))) > 1
    again = load_model(str(copy))
    assert all(a.equal(b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))


@pytest.mark.parametrize("command", ["eval", "train"])
def test_a_model_that_lacks_weights_is_neither_evaluated_nor_trained(copy, tmp_path, command):
    configured(copy, num_hidden_layers=9)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "1 + 1 = ?", "completion": "2"}\n' * 4)
    arguments = {
        "eval": ["eval", "--model", copy, "--tasks", "letter_count", "--limit", 1, "--store", tmp_path / "runs"],
        "train": ["train", "sft", "--model", copy, "--data", rows, "--out", tmp_path / "out"],
    }
    done = here(*arguments[command], code=2)
    assert "missing (model.layers.3." in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "model").exists()


def test_the_context_is_that_of_the_configuration(copy):
    configured(copy, max_position_embeddings=77)
    assert context_length(str(copy)) == 77
    with pytest.raises(ModelError, match="no configuration"):
        context_length(str(copy.parent))


CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend", "Qwen2TokenizerFast", "GPT2Tokenizer")
REAL = [path for path in (os.environ.get("HARNESS_TEST_MODEL"),) if path]


@pytest.mark.parametrize("model_type", ["llama", "qwen2", "qwen3", "phi3"])
@pytest.mark.parametrize(
    "named", ["PreTrainedTokenizerFast", "TokenizersBackend", "Qwen2TokenizerFast", "GPT2Tokenizer"]
)
def test_a_tokenizer_is_what_transformers_would_choose(copy, model_type, named):
    (copy / "config.json").write_text(json.dumps({"model_type": model_type}))
    file = copy / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tokenizer_class": named}))
    same_tokenizer(str(copy))


@pytest.mark.parametrize("path", [*(f"shipped:{name}" for name in names()), *REAL])
def test_tokenizers_of_models_are_what_transformers_would_choose(path):
    same_tokenizer(resolve(path))


def same_tokenizer(path: str) -> None:
    from transformers import AutoTokenizer

    ours, theirs = load_tokenizer(path), AutoTokenizer.from_pretrained(path)
    assert type(ours) is type(theirs)
    for of in (
        lambda t: t.backend_tokenizer.to_str(),
        lambda t: t.init_kwargs,
        lambda t: t.special_tokens_map,
        lambda t: t.chat_template,
        lambda t: t.get_added_vocab(),
    ):
        assert of(ours) == of(theirs)
