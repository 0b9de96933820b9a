"""Models in every form that people have (PEFT adapters, .gguf files, a revision on the hub), and their identities."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from harness.errors import ModelError, Usage
from harness.models.backends import opened, tokenizer_path
from harness.models.backends.hf import HFCompleter
from harness.models.base import Request
from harness.models.loading import context_length, load_model, load_tokenizer, model_digest, tokenizer_digest
from harness.models.places import adapted, commit_of, resolve, source
from harness.models.prompts import prompt_ids
from harness.models.spec import ModelSpec
from harness.pipeline.identity import model_identity
from harness.training.spec import TrainingSpec
from tests.commands import here
from tests.models.test_digests import cached
from tests.training.trained import sft


@pytest.fixture(scope="module")
def trained(tmp_path_factory, student) -> Path:
    """A finished LoRA training: the merged model, and its adapter in the folder ``adapter``."""
    base = Path(shutil.copytree(student, tmp_path_factory.mktemp("lora") / "base"))
    rows = [([5, 6, 7], [9, 10, 11, 1])] * 4
    sft(str(base), rows, base.parent / "m", spec=TrainingSpec(learning_rate=1e-2, epochs=4, batch_size=4, lora=4))
    return base.parent / "m"


@pytest.fixture
def adapter(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained / "adapter", tmp_path / "adapter"))


def based(adapter: Path, base: object) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": base}))


def test_an_adapter_is_merged_into_its_base(trained, adapter, student):
    merged, own = load_model(str(trained)).state_dict(), load_model(str(adapter)).state_dict()
    assert all(merged[name].equal(own[name]) for name in merged)
    assert not all(merged[name].equal(value) for name, value in load_model(student).state_dict().items())
    half = load_model(str(adapter), dtype=next(iter(merged.values())).bfloat16().dtype).state_dict()
    assert all(merged[name].bfloat16().equal(half[name]) for name in merged)
    assert context_length(str(adapter)) == context_length(student)


def test_an_adapter_has_its_own_tokenizer_or_its_bases(adapter, student):
    files = [file for file in adapter.iterdir() if "token" in file.name or file.suffix == ".jinja"]
    for file in files:
        file.unlink()
    assert load_tokenizer(str(adapter)).get_vocab() == load_tokenizer(student).get_vocab()
    assert tokenizer_digest(str(adapter)) == tokenizer_digest(student)
    shutil.copy(Path(student) / "tokenizer.json", adapter)
    shutil.copy(Path(student) / "tokenizer_config.json", adapter)
    (adapter / "chat_template.jinja").write_text("{{ messages[0].content }}!")
    assert load_tokenizer(str(adapter)).chat_template.endswith("!")
    assert tokenizer_digest(str(adapter)) != tokenizer_digest(student)


def test_the_digest_of_an_adapter_covers_both(adapter, trained, tmp_path):
    first = model_digest(str(adapter))
    moved = Path(shutil.copytree(trained.parent / "base", tmp_path / "moved"))
    based(adapter, str(moved))
    assert model_digest(str(adapter)) == first  # where the base lies is no part of what it says
    for file in (moved / "model.safetensors", adapter / "adapter_model.safetensors"):
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        assert model_digest(str(adapter)) != first
        first = model_digest(str(adapter))


def test_an_adapter_of_a_training_from_an_adapter_names_that_one(adapter, trained, tmp_path):
    rows = [([5, 6, 7], [12, 13, 1])] * 4
    sft(str(adapter), rows, tmp_path / "again", spec=TrainingSpec(learning_rate=1e-2, epochs=2, batch_size=4, lora=4))
    merged = load_model(str(tmp_path / "again")).state_dict()
    own = load_model(str(tmp_path / "again" / "adapter")).state_dict()
    assert all(merged[name].equal(own[name]) for name in merged)
    assert context_length(str(tmp_path / "again" / "adapter")) == context_length(str(trained))
    for file in (tmp_path / "again" / "adapter").glob("*token*"):
        file.unlink()
    assert (
        load_tokenizer(str(tmp_path / "again" / "adapter")).chat_template == load_tokenizer(str(trained)).chat_template
    )
    sft(str(adapter), rows, tmp_path / "whole", spec=TrainingSpec(learning_rate=1e-2, epochs=1, batch_size=4))
    assert not (tmp_path / "whole" / "adapter").exists()
    assert load_model(str(tmp_path / "whole")).state_dict().keys() == merged.keys()


def widened(adapter: Path) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"r": 5}))


def more_modules(adapter: Path) -> None:
    file = adapter / "adapter_config.json"
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"target_modules": modules, "exclude_modules": None}))
    from safetensors.torch import load_file, save_file

    weights = adapter / "adapter_model.safetensors"
    kept = {name: value for name, value in load_file(weights).items() if "q_proj" not in name}
    save_file(kept, weights)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda adapter: based(adapter, "/no/such/base"), r"its base model is missing, .*: /no/such/base: no such"),
        (
            lambda adapter: based(adapter, "maker/unknown"),
            "is an adapter, and its base model cannot be used: maker/unk",
        ),
        (lambda adapter: based(adapter, None), "names no base model"),
        (lambda adapter: based(adapter, str(adapter)), "names itself"),
        (lambda adapter: based(adapter, resolve("shipped:generator-qwen2")), "does not fit its base model"),
        (widened, "does not fit its base model"),
        (more_modules, "does not fit its base model"),
    ],
)
def test_what_is_wrong_with_an_adapter_is_one_line(adapter, damage, message):
    damage(adapter)
    with pytest.raises(ModelError, match=message) as refused:
        load_model(str(adapter))
    assert "\n" not in str(refused.value)
    done = here("eval", "--model", adapter, "--tasks", "mini_math", "--limit", 1, "--out", adapter / "run", code=2)
    assert "Traceback" not in done.stderr


def test_vllm_does_not_serve_an_adapter(adapter, tmp_path):
    spec = ModelSpec(model=str(adapter), backend="vllm", vllm=sys.executable)
    with pytest.raises(ModelError, match="vLLM serves whole models"), opened(spec, tmp_path):
        raise AssertionError("it was served")


# --- a revision ------------------------------------------------------------------------------------------------------


def test_a_model_of_the_hub_is_identified_by_the_commit_of_its_revision(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    one, two = "a" * 40, "b" * 40
    cached(tmp_path, one)
    cached(tmp_path, two)
    (tmp_path / "models--maker--model" / "refs" / "v1").write_text(one)
    assert commit_of("maker/model") == commit_of("maker/model@main") == two
    assert commit_of("maker/model@v1") == one
    assert commit_of("maker/model@" + "c" * 40) == "c" * 40
    assert commit_of("maker/model@v3") is None
    first = model_digest("maker/model@v1")
    assert first == model_digest(f"maker/model@{one}") != model_digest("maker/model")
    assert model_digest("maker/model") == model_digest(f"maker/model@{two}")
    assert model_digest("maker/model@v3") not in (first, model_digest("maker/model"))
    spec = ModelSpec(model="maker/model", revision="v1")
    assert tokenizer_path(spec) == "maker/model@v1"
    assert source(spec.located) == ("maker/model", {"revision": "v1"})


def test_the_model_of_a_revision_is_the_one_that_is_loaded(student, tmp_path, monkeypatch):
    """Two snapshots in the cache of the hub, the branch main at another one than the tag."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--maker--model"
    for commit, context in (("a" * 40, 77), ("b" * 40, 99)):
        snapshot = Path(shutil.copytree(student, place / "snapshots" / commit))
        config = json.loads((snapshot / "config.json").read_text())
        (snapshot / "config.json").write_text(json.dumps(config | {"max_position_embeddings": context}))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("b" * 40)
    (place / "refs" / "v1").write_text("a" * 40)
    assert [context_length(f"maker/model{at}") for at in ("", "@v1", "@" + "a" * 40)] == [99, 77, 77]
    model = HFCompleter("maker/model@v1", threads=1)
    assert model.context == 77
    assert model.digest == model_digest("maker/model@" + "a" * 40)


def test_a_revision_of_a_folder_is_refused(student, tmp_path):
    with pytest.raises(ModelError, match=r"a revision \(v1\) is of a name on the hub"):
        resolve(f"{student}@v1")
    odd = Path(shutil.copytree(student, tmp_path / "name@v1"))
    assert resolve(str(odd)) == str(odd)
    assert source(str(odd)) == (str(odd), {})


# --- numbers and devices ---------------------------------------------------------------------------------------------


def test_the_dtype_counts_and_is_kept(tmp_path, student):
    ran = ("eval", "--model", "shipped:student", "--tasks", "mini_math", "--limit", 1, "--max-tokens", 8)
    manifests = {}
    for name, more in (
        ("plain", ()),
        ("same", ("--dtype", "float32", "--device", "cpu")),
        ("half", ("--dtype", "bfloat16")),
    ):
        here(*ran, *more, "--out", tmp_path / name, code=0)
        manifests[name] = json.loads((tmp_path / name / "manifest.json").read_text())
    assert manifests["plain"]["computed"] == manifests["same"]["computed"] == {"dtype": "float32", "device": "cpu"}
    assert manifests["half"]["computed"]["dtype"] == "bfloat16"
    assert manifests["plain"]["model_digest"] == manifests["same"]["model_digest"] == model_digest(student)
    assert manifests["half"]["model_digest"] != model_digest(student)
    assert len({manifest["run"] for manifest in manifests.values()}) == 3
    assert "holds an evaluation with other dtype" in here(*ran, "--out", tmp_path / "half", code=2).stderr


def test_a_device_that_is_not_here_is_one_line():
    for device in ("cuda:9", "toaster"):
        with pytest.raises(Usage, match=f"--device {device}: torch cannot use it here") as refused:
            HFCompleter(resolve("shipped:student"), device=device)
        assert "\n" not in str(refused.value)


def test_the_identity_of_a_stage_knows_the_dtype():
    plain = ModelSpec(model=resolve("shipped:student"))
    half, wide = (plain.model_copy(update=change) for change in ({"dtype": "float16"}, {"data_parallel_size": 2}))
    assert model_identity("model", plain) == model_identity("model", wide) != model_identity("model", half)


# --- .gguf files -----------------------------------------------------------------------------------------------------


def test_a_gguf_file_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    monkeypatch.setattr("harness.models.places.find_spec", lambda name: None)
    assert resolve(str(file)) == str(file)
    for load in (load_model, load_tokenizer, context_length):
        with pytest.raises(ModelError, match=r"model.gguf: .* pip install gguf"):
            load(str(file))
    with pytest.raises(ModelError, match=r"other\.gguf: no such file"):
        resolve(str(tmp_path / "other.gguf"))


def test_a_gguf_file_is_identified_by_its_content(tmp_path):
    files = [tmp_path / name for name in ("a.gguf", "b.gguf", "c.gguf")]
    for file, content in zip(files, (b"GGUF1", b"GGUF1", b"GGUF2"), strict=True):
        file.write_bytes(content)
    one, same, other = (model_digest(str(file)) for file in files)
    assert one == same != other
    assert tokenizer_digest(str(files[0])) == one
    assert adapted(str(files[0])) is None


@pytest.mark.slow
def test_a_gguf_file_speaks_as_its_folder_does():
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    folder, file = (os.environ.get(f"HARNESS_TEST_{name}") for name in ("MODEL", "GGUF"))
    if not folder or not file:
        pytest.skip("HARNESS_TEST_MODEL and HARNESS_TEST_GGUF are not set (docs/servers.md says how to run this)")
    question = "What is 2 + 3? Answer with the number alone."
    answers = []
    for path in (folder, file):
        model = HFCompleter(path)
        answers.append(model.generate([Request(prompt_ids(model.tokenizer, question), 16)])[0])
    assert answers[0].text == answers[1].text
    assert answers[0].token_ids == answers[1].token_ids
