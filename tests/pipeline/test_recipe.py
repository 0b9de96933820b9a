"""Recipes: strict keys with a hint, inheritance, and digests that change only what depends on the change."""

from __future__ import annotations

import itertools

import pytest
import yaml

from harness.errors import RecipeError
from harness.pipeline.graph import build
from harness.pipeline.recipe import profile_names, recipe_names
from harness.pipeline.recipe_files import load_profile, load_recipe


@pytest.mark.parametrize("name", recipe_names())
@pytest.mark.parametrize("profile", profile_names())
def test_every_shipped_recipe_builds_at_every_profile(name, profile):
    jobs = build(load_recipe(name), load_profile(profile)).jobs
    order = list(jobs)
    for digest, job in jobs.items():
        assert all(order.index(needed) < order.index(digest) for needed in job.inputs.values())


def test_the_arms_of_the_ablation_are_the_papers_in_its_order():
    recipe = load_recipe("ablation_full")
    assert list(recipe.arms) == [
        "base", "sft_long_cot", "sft", "+dpo", "+data_balance", "+cdpo", "+joint_loss", "+masking",
    ]  # fmt: skip
    steps = [recipe.stages[t] for t in ("dpo", "data_balance", "cdpo", "joint_loss", "masking")]
    for before, after in itertools.pairwise(steps):
        a, b = before.model_dump(), after.model_dump()
        changed = {k for k in a if a[k] != b[k] and k not in ("objective", "curve")}
        changed |= {k for k in a["objective"] if a["objective"][k] != b["objective"][k]}
        assert changed in ({"chosen"}, {"label_smoothing"}, {"sft_weight"}, {"mask_prefix"})


def test_single_technique_recipes_share_stages_with_the_ablation():
    profile = load_profile("tiny")
    full = set(build(load_recipe("ablation_full"), profile).jobs)
    for name in ("data_balance", "cdpo", "joint_loss", "masking"):
        own = build(load_recipe(name), profile)
        new = [job for digest, job in own.jobs.items() if digest not in full]
        arms = {"masking": 3, "joint_loss": 3}.get(name, 1)
        assert len(new) <= 6 * arms, name  # of a new arm: two seeds, each trained and scored twice
        assert {job.kind for job in new} <= {"preference", "eval"}


def recipe_file(tmp_path, **changes):
    data = {"extends": "ablation_full", "name": "mine"} | changes
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def test_a_switch_of_one_arm_reruns_that_arm_alone(tmp_path):
    profile = load_profile("tiny")
    before = build(load_recipe("ablation_full"), profile)
    stage = load_recipe("ablation_full").stages["cdpo"].model_dump()
    stage["objective"]["label_smoothing"] = 0.2
    after = build(load_recipe(recipe_file(tmp_path, stages={"cdpo": stage})), profile)
    assert {arm for arm in before.arms if before.arms[arm] != after.arms[arm]} == {"+cdpo"}
    assert len(set(after.jobs) - set(before.jobs)) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contol": "sft"}, "contol: unknown key.*did you mean 'control'"),
        ({"control": "sftt"}, "no arm.*did you mean 'sft'"),
        ({"stages": {"x": {"kind": "sft", "model": "student", "chains": "tree"}}}, "did you mean 'trees'"),
        ({"stages": {"x": {"kind": "sft", "model": "student", "chains": "trees", "rul": "x"}}}, "rul: unknown key"),
        ({"stages": {"x": {"kind": "cook"}}}, "cook"),
        ({"arms": {"sft": "trees"}}, "yields no model"),
        ({"extends": "ablation_ful"}, "did you mean 'ablation_full'"),
    ],
)
def test_mistakes_are_named_with_a_hint(tmp_path, changes, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe_file(tmp_path, **changes))


def test_files_that_are_no_recipes(tmp_path):
    with pytest.raises(RecipeError, match="no such file"):
        load_recipe(str(tmp_path / "none.yaml"))
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1")
    with pytest.raises(RecipeError, match="not YAML"):
        load_recipe(str(bad))
    bad.write_text("- 1")
    with pytest.raises(RecipeError, match="mapping"):
        load_recipe(str(bad))
    bad.write_text("extends: bad")
    with pytest.raises(RecipeError, match="extends itself"):
        load_recipe(str(bad))


def test_unknown_arms_and_models(tmp_path):
    with pytest.raises(RecipeError, match=r"did you mean '.cdpo'"):
        build(load_recipe("ablation_full"), load_profile("tiny"), ["+cdp"])
    path = recipe_file(tmp_path, arms={"sft": "sft", "odd": "studnt"})
    with pytest.raises(RecipeError, match="did you mean 'student'"):
        build(load_recipe(path), load_profile("tiny"))
