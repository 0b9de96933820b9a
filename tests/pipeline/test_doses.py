"""Stages with a dose of their own, and the short form that trains arms at several doses."""

from __future__ import annotations

import pytest

from harness.errors import RecipeError
from harness.pipeline.graph import build
from harness.pipeline.recipe_files import load_profile, load_recipe

RECIPE = """\
extends: ablation_full
name: mine
arms: {sft: sft, +dpo: dpo, +masking: masking}
claims: {}
doses:
  arms: [+dpo]
  at:
    low: {learning_rate: 1.0e-5, seeds: 2}
    high: {learning_rate: 1.0e-3, epochs: 2}
"""


def loaded(tmp_path, text, *settings):
    (tmp_path / "mine.yaml").write_text(text)
    return load_recipe(str(tmp_path / "mine.yaml"), settings)


def trainings(graph, stage):
    return [job.params for job in graph.jobs.values() if job.stage == stage]


def test_each_dose_is_a_stage_and_an_arm_of_its_own(tmp_path):
    recipe = loaded(tmp_path, RECIPE)
    assert [*recipe.arms] == ["sft", "+masking", "+dpo@low", "+dpo@high"]
    graph = build(recipe, load_profile("tiny"), seeds=[0, 1, 2])
    low, high, other = (trainings(graph, name) for name in ("dpo@low", "dpo@high", "masking"))
    assert [params["dose"]["learning_rate"] for params in low] == [1e-5] * 2
    assert {(params["dose"]["learning_rate"], params["dose"]["epochs"]) for params in high} == {(1e-3, 2)}
    # What a dose does not name is the profile's.
    assert {(params["dose"]["beta"], params["dose"]["batch_size"]) for params in low} == {(0.1, 16)}
    assert {params["dose"]["learning_rate"] for params in other} == {5e-5}
    assert not trainings(graph, "dpo")
    assert [len(graph.arms[arm]) for arm in ("sft", "+dpo@low", "+dpo@high")] == [3, 2, 3]


def test_a_stage_without_a_dose_is_the_same_stage_as_one_that_says_what_the_profile_says(tmp_path):
    plain = build(loaded(tmp_path, RECIPE.partition("doses:")[0]), load_profile("tiny"))
    text = "  masking: {kind: preference, model: sft, chains: trees, chosen: shortest, dose: {learning_rate: 5.0e-5},"
    text += "\n    objective: {label_smoothing: 0.1, sft_weight: 1.0, mask_prefix: both}}\n"
    own = build(loaded(tmp_path, RECIPE.partition("doses:")[0] + "stages:\n" + text), load_profile("tiny"))
    assert plain.arms == own.arms


def test_an_arm_of_fewer_trainings_has_the_first_seeds(tmp_path):
    text = RECIPE.partition("doses:")[0].replace("+dpo: dpo", "+dpo: {model: dpo, seeds: 2}")
    graph = build(loaded(tmp_path, text), load_profile("tiny"), seeds=[4, 7, 9])
    assert [params["seed"] for params in trainings(graph, "dpo")] == [4, 7]
    assert len(graph.arms["+masking"]) == 3


def test_search_problems_of_the_suites_levels():
    from harness.pipeline.sources import problems_of
    from harness.problems.embedded import mini_math

    levels = {}
    for mix in ("search", "suite"):
        profile = load_profile("tiny", [f"search.mix={mix}"])
        graph = build(load_recipe("smoke"), profile, seeds=[0])
        job = next(job for job in graph.jobs.values() if job.kind == "search")
        levels[mix] = {p.level for p in problems_of(job) if p.family == "mini_math"}
    assert levels == {"search": {*mini_math.SEARCH_LEVELS}, "suite": {*mini_math.SUITE_LEVELS}}


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("[+dpo]", "[+dop]", 6, "doses: '+dop' is no arm (did you mean '+dpo'?)"),
        ("[+dpo]", "[]", 6, "at least 1"),
        ("learning_rate: 1.0e-5", "learning_rates: 1.0e-5", 8, "unknown key (did you mean 'learning_rate'?)"),
        ("seeds: 2", "seeds: 0", 8, "greater than or equal to 1"),
        ("sft: sft,", "sft: student,", None, None),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, old, new, line, expected):
    if expected is None:
        text = RECIPE.replace("+dpo: dpo", "+dpo: student")
        with pytest.raises(RecipeError, match="arm '\\+dpo' is not of a stage that trains"):
            loaded(tmp_path, text)
        return
    with pytest.raises(RecipeError) as error:
        loaded(tmp_path, RECIPE.replace(old, new))
    assert f"mine.yaml:{line}: " in str(error.value)
    assert expected in str(error.value)


def test_the_dose_of_a_stage_is_told_in_the_record_of_a_recipe(tmp_path):
    data = loaded(tmp_path, RECIPE).model_dump(mode="json")
    assert data["stages"]["dpo@low"]["dose"] == {"learning_rate": 1e-5}
    assert data["doses"] is None
