"""What ends an answer: a model stops where its chat template ends a turn, whatever else its files name as the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.models.backends.hf import HFCompleter
from harness.models.backends.openai import client
from harness.models.base import Request
from harness.models.loading import load_tokenizer, model_digest
from harness.models.prompts import end_of_turn, ends, prompt_ids, prompt_text
from harness.models.spec import ModelSpec
from harness.problems.embedded import problems
from harness.training.spec import TrainingSpec
from tests.commands import here
from tests.training.trained import sft

OTHER = "<|user|>"  # a token that the student never writes


@pytest.fixture
def base(student, tmp_path) -> Path:
    """The student as base models are: all of its files name another end than its chat template writes."""
    folder = Path(shutil.copytree(student, tmp_path / "base"))
    tokenizer = load_tokenizer(student)
    changes = {"tokenizer_config.json": {"eos_token": OTHER}}
    end = tokenizer.convert_tokens_to_ids(OTHER)
    changes |= {name: {"eos_token_id": end} for name in ("config.json", "generation_config.json")}
    for name, change in changes.items():
        (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | change))
    return folder


def asked(tokenizer) -> list[Request]:
    return [Request(prompt_ids(tokenizer, p.prompt), 400) for p in problems("mini_math", "dev", 3)]


def test_a_base_model_ends_its_answers_where_the_template_does(base, student):
    model, whole = HFCompleter(str(base), threads=1), HFCompleter(student, threads=1)
    answers, expected = (each.generate(asked(each.tokenizer)) for each in (model, whole))
    assert [(a.text, a.token_ids, a.finish, a.ended) for a in answers] == [
        (a.text, a.token_ids, "stop", True) for a in expected
    ]
    # Samples that were drawn before this end was known are not taken for these.
    assert model.digest != model_digest(str(base))
    assert whole.digest == model_digest(student)


@pytest.mark.parametrize(
    ("template", "end"),
    [
        ("{% for m in messages %}<|user|>{{ m.content }}<|end|>\n{% endfor %}", "<|end|>"),
        ("{% for m in messages %}<|user|>{{ m.content }}\n\n{% endfor %}", None),
        ("{% for m in messages %}{{ m.role }}: {{ m.content|upper }}\n{% endfor %}", None),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", None),
        ("{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}<|user|>{% endif %}{% endfor %}", None),
        ("{{ messages[-1].content }} .<|user|><|end|>", "<|user|>"),
        ("{{ messages[-1].content }}\n<added>", "<added>"),
        ("{{ messages[-1].content }}\n\nNext: <added>", None),
        ("{{ raise_exception('no replies') }}", None),
        (None, None),
    ],
)
def test_the_end_is_read_from_the_rendered_template(student, template, end):
    tokenizer = load_tokenizer(student)
    tokenizer.add_tokens(["\n\n", "<added>"])  # ordinary ones: a blank line is one in Gemma's vocabulary
    tokenizer.chat_template = template
    own = tokenizer.eos_token_id
    assert end_of_turn(tokenizer) == end
    assert ends(tokenizer) == {own} | ({tokenizer.convert_tokens_to_ids(end)} if end else set())


def test_training_writes_every_end_of_turn_into_the_model(base, tmp_path):
    tokenizer = load_tokenizer(str(base))
    rows = [(list(prompt_ids(tokenizer, "1 + 1 = ?")), tokenizer.encode("2<|end|>", add_special_tokens=False))] * 4
    for name, lora in (("full", 0), ("lora", 4)):
        sft(str(base), rows, tmp_path / name, spec=TrainingSpec(epochs=1, batch_size=4, lora=lora))
        written = json.loads((tmp_path / name / "generation_config.json").read_text())["eos_token_id"]
        assert set(written) == ends(tokenizer)
        assert len(written) == 2


def test_a_check_names_the_end_of_a_turn(base, student):
    checked = ("check", "--tasks", "mini_math", "--limit", 1, "--model")
    assert "a turn ends in <|end|>, which is not the tokenizer's own end" in said(here(*checked, base))
    assert "which is not" not in said(here(*checked, student))


def said(done) -> str:
    return " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "template",
    [
        "{{ strftime_now('%d %b %Y') }} {{ messages[0].content }}",
        "\n{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
        "{{ date_string }} {{ messages[0].content }}",
    ],
)
def test_a_template_that_prints_the_date_prints_the_same_one_every_day(student, template):
    tokenizer = load_tokenizer(student)
    tokenizer.chat_template = template
    assert prompt_text(tokenizer, "hello").removeprefix("\n") == "26 Jul 2024 hello"
    tokenizer.chat_template = "\n{{ messages[0].content }} on {{ strftime_now('%A, %-d %B %Y; %Y-%m-%d') }}"
    assert prompt_text(tokenizer, "hello") == "\nhello on Friday, 26 July 2024; 2024-07-26"


def test_vllm_is_told_what_ends_a_turn(base, student, tmp_path):
    told = {}
    for name, path in (("base", base), ("student", student)):
        spec = ModelSpec(model=str(path), backend="vllm")
        with client(spec, "http://127.0.0.1:9/v1", "m", tmp_path / name) as (completer, tokenizer):
            told[name] = completer._asking.extra, completer.digest
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    assert told["base"] == ({"stop_token_ids": [end]}, f"vllm:{model_digest(str(base))}+ends-{end}")
    assert told["student"] == ({}, f"vllm:{model_digest(student)}")
