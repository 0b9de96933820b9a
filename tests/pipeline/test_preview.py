"""Estimates of a dry run: sizes of models, rates from finished stages, bounds where nothing was measured."""

from __future__ import annotations

import json

import pytest

from harness.pipeline.graph import build
from harness.pipeline.preview import parameters, rates_of, stage_rows
from harness.pipeline.recipe_files import load_profile, load_recipe


def test_parameters_are_those_of_the_weights(student):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(student)
    assert parameters(student) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8e9),
        ("Qwen/Qwen2.5-1.5B-Instruct", 1.5e9),
        ("Qwen/Qwen2.5-72B-Instruct", 72e9),
        ("some/model", None),
        ("gpt-4turbo", None),
    ],
)
def test_a_hub_name_tells_its_size(name, size):
    assert parameters(name) == size


def test_a_finished_stage_gives_the_rate_of_its_kind_and_model(tmp_path):
    def done(digest, **record):
        (tmp_path / "stages" / digest).mkdir(parents=True)
        (tmp_path / "stages" / digest / "done.json").write_text(json.dumps(record))

    done("t", kind="sft", inputs={}, models={"model": "student"}, seconds=10.0,
         figures={"rows": 5, "tokens_in_rows": 1000})  # fmt: skip
    done("e", kind="eval", inputs={"model": "t"}, models={}, seconds=20.0,
         figures={"generated_tokens": 4000, "rows": {"a": {"samples": 40}}})  # fmt: skip
    rates = rates_of(tmp_path)
    assert (rates["sft", "student"].per_item, rates["sft", "student"].seconds) == (200, 0.01)
    assert (rates["eval", "student"].per_item, rates["eval", "student"].seconds) == (100, 0.005)
    graph = build(load_recipe("ablation_full"), load_profile("tiny"), ["base"], [0])
    found, greedy = stage_rows(graph, tmp_path)
    assert (found.tokens, found.at_most) == (900 * 2 * 100, False)
    assert found.seconds == pytest.approx(900)
    assert greedy.tokens == 900 * 100


def test_without_a_rate_the_token_limit_is_the_bound_and_no_time_is_told(tmp_path):
    graph = build(load_recipe("ablation_full"), load_profile("paper"), ["base"])
    found, _ = stage_rows(graph, tmp_path)
    assert found.at_most
    assert found.tokens % 16384 == 0
    assert found.seconds is None
    assert found.memory == 32e9
