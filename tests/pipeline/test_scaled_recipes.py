"""What a profile changes of a recipe's stages, and suites that a recipe names itself."""

import pytest
import yaml

from harness.errors import RecipeError
from harness.pipeline.graph import build
from harness.pipeline.recipe import profile_names, recipe_names
from harness.pipeline.recipe_files import load_profile, load_recipe


def written(tmp_path, name, **data):
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name} | data))
    return str(path)


def profile(tmp_path, **data):
    return load_profile(written(tmp_path, "own", kind="profile", extends="tiny", **data))


def test_a_profile_changes_keys_of_stages_and_settings_go_above(tmp_path):
    scale = profile(tmp_path, stages={"sft": {"rule": "longest"}, "of_another_recipe": {"rule": "longest"}})
    usual, scaled = load_recipe("ablation_full"), load_recipe("ablation_full", scale=scale)
    assert (usual.stages["sft"].rule, scaled.stages["sft"].rule) == ("mixed", "longest")
    assert scaled.stages["sft"].per_problem == usual.stages["sft"].per_problem
    assert {**scaled.stages, "sft": None} == {**usual.stages, "sft": None}
    assert load_recipe("ablation_full", ["stages.sft.rule=shortest"], scale).stages["sft"].rule == "shortest"


def test_doses_of_a_stage_follow_what_a_profile_changes(tmp_path):
    scale = profile(tmp_path, stages={"dpo": {"chosen": "shortest"}})
    scaled = load_recipe("dose_response", scale=scale)
    chosen = {stage.chosen for name, stage in scaled.stages.items() if name.split("@")[0] == "dpo"}
    assert chosen == {"shortest"}


def test_a_wrong_key_names_the_profile(tmp_path):
    scale = profile(tmp_path, stages={"sft": {"rul": "longest"}})
    with pytest.raises(RecipeError, match=r"profile own: stages.sft: stages.sft.*rul: unknown key.*'rule'"):
        load_recipe("ablation_full", scale=scale)


@pytest.mark.parametrize("name", profile_names())
def test_shipped_profiles_change_stages_that_some_recipe_has(name):
    known = {stage for recipe in recipe_names() for stage in load_recipe(recipe).stages}
    assert {*load_profile(name).stages} <= known


def test_the_paper_scale_trains_on_the_longest_chains_and_tests_trees_on_math_alone():
    paper = load_profile("paper")
    assert load_recipe("ablation_full", scale=paper).stages["sft"].rule == "longest"
    scored = {job.name: job.params for job in build(load_recipe("test_time", scale=paper), paper).jobs.values()}
    assert {tuple(params["tasks"]) for params in scored.values() if "suite" in params} == {("math500",)}


def test_a_recipe_names_a_suite_of_its_own(tmp_path):
    own = written(tmp_path, "mine", extends="ablation_full", suite="sums", suites={"sums": ["mini_math"]})
    jobs = build(load_recipe(own), load_profile("tiny")).jobs.values()
    assert {tuple(job.params["tasks"]) for job in jobs if job.kind == "eval"} == {("mini_math",)}
    [search] = {tuple(job.params["families"]) for job in jobs if job.kind == "search"}
    assert search == ("mini_math",)


@pytest.mark.parametrize(
    ("suites", "message"),
    [
        ({"own": ["mini_mat"]}, "suite 'own': no task 'mini_mat'.*did you mean 'mini_math'"),
        ({"own": []}, "suite 'own' names no task"),
        ({"own": ["mini_math", "mini_math"]}, "suite 'own': mini_math is named twice"),
    ],
)
def test_faults_of_own_suites_are_named(tmp_path, suites, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(written(tmp_path, "mine", extends="ablation_full", suites=suites))


def test_an_unknown_suite_is_named_with_the_own_ones(tmp_path):
    with pytest.raises(RecipeError, match=r"no suite 'sum'.*did you mean 'sums'"):
        load_recipe(written(tmp_path, "mine", extends="ablation_full", suite="sum", suites={"sums": ["mini_math"]}))


@pytest.mark.parametrize(
    ("launch", "message"),
    [
        (
            "accelerate launch --config_file shipped:accelerate/fsdp.yaml",
            r"fsdp.yaml: there is no such file.*fsdp2\.yaml",
        ),
        ("accelerate launch 'x", "No closing quotation"),
    ],
)
def test_a_launch_that_cannot_be_is_refused_with_the_profile(launch, message):
    with pytest.raises(RecipeError, match=message):
        load_profile("paper", [f"sft.launch={launch}"])
