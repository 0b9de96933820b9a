"""Estimates of a dry run: sizes of models, rates from finished stages, bounds where nothing was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.pipeline.graph import build
from harness.pipeline.preview import parameters, rates_of, stage_rows
from harness.pipeline.recipe_files import load_profile, load_recipe
from tests.commands import here


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


def arithmetic(recipe, profile, stage):
    scale = load_profile(profile)
    graph = build(load_recipe(recipe, scale=scale), scale, seeds=[0])
    [row] = [row for row in stage_rows(graph, Path("nowhere"), scale.gpu) if row.name == stage]
    return row, scale.gpu


def test_a_training_that_was_never_measured_is_computed_and_says_how():
    row, _ = arithmetic("ablation_full", "paper", "train sft")
    assert row.basis == "8 × parameters × tokens at 40% of 8 × 989 TFLOP/s (NVIDIA H100)"
    assert row.seconds == pytest.approx(8 * 8e9 * row.tokens / (0.4 * 8 * 989e12))
    # 18 bytes a parameter on 8 GPUs; 7 bytes a token of 32 layers of width 4,096.
    assert row.memory == pytest.approx(8e9 * 18 / 8 + 7 * 32 * 4096 * 16384, rel=0.2)
    pairs, _ = arithmetic("ablation_full", "paper", "train dpo")
    assert pairs.memory - row.memory == pytest.approx(row.memory - 18e9, rel=1e-6)  # two sides


@pytest.mark.parametrize("recipe", ["ablation_full", "sft_data"])
@pytest.mark.parametrize("profile", ["small", "paper"])
def test_what_is_trained_fits_the_card_that_the_profile_names(recipe, profile):
    scale = load_profile(profile)
    graph = build(load_recipe(recipe, scale=scale), scale, seeds=[0])
    rows = stage_rows(graph, Path("nowhere"), scale.gpu)
    # A quarter more: Llama-3.2-1B has 1.24e9 parameters.
    assert max(1.25 * (row.memory or 0) for row in rows) < scale.gpu.memory * 1e9


def test_a_dry_run_names_bases_and_what_does_not_fit(tmp_path):
    less = ("--set", "profile.gpu.memory=12", "--store", tmp_path, "--dry-run")
    out = " ".join(here("run-recipe", "sft_data", "--profile", "small", *less, code=0).stdout.split())
    assert "12 GB: does not fit: train sft_long_cot_b" in out
    assert "time¹: 8 × parameters × tokens at 40% of 1 × 362 TFLOP/s (NVIDIA L40S)" in out
    tiny = " ".join(here("run-recipe", "ablation_full", *less[2:], code=0).stdout.split())
    assert "tokens/s on two CPU cores, rates.json" in tiny
