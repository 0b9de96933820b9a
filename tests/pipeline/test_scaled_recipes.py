"""What a profile changes of a recipe's stages, and suites that a recipe names itself."""

import shlex
from pathlib import Path

import pytest
import yaml

from harness.errors import ModelError, RecipeError
from harness.pipeline.graph import build
from harness.pipeline.kinds import evaluate
from harness.pipeline.kinds.sft import SftScale
from harness.pipeline.recipe import profile_names, recipe_names
from harness.pipeline.recipe_files import load_profile, load_recipe
from harness.pipeline.sources import SearchScale
from harness.problems.file import read_problems
from tests.commands import here


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


@pytest.mark.parametrize("name", ["small", "paper"])
def test_each_file_that_a_profile_searches_is_made_by_a_command_that_it_gives(name, tmp_path, monkeypatch):
    """The commands of the generators are run, with a smaller count and without the files of suites."""
    monkeypatch.chdir(tmp_path)
    scale = load_profile(name)
    for source in scale.scale(SearchScale).sources:
        program, command, kind, out, *words = shlex.split(source.made_by)
        assert (program, command, source.file) == ("harness", "data", f"{out}/problems.jsonl")
        given = dict(zip(words[::2], words[1::2], strict=False))
        assert int(given["--count"]) == scale.scale(SearchScale).problems
        if kind in ("planning", "instructions"):
            here(command, kind, out, "--count", 3, "--against", "letter_count", code=0)
            assert {each.family for each in read_problems(Path(source.file))} == {source.family}


def test_a_run_tells_every_missing_file_with_its_command_before_it_begins(tmp_path):
    done = here("run-recipe", "ablation_full", "--profile", "paper", cwd=tmp_path, code=2)
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    made = "is not there; make it with: harness data math data/search/math --count 5000"
    assert any(f"data/search/math/problems.jsonl: {made}" in line for line in lines)
    assert "data/sky_t1_17k.jsonl: is not there; make it with: python -c " in done.stderr
    assert not list(tmp_path.iterdir())
    sources = "profile.search.sources=[{file: own.jsonl, family: number}]"
    command = ("run-recipe", "ablation_full", "--profile", "small", "--set", sources)
    assert here(*command, cwd=tmp_path, code=2).stderr == "harness: own.jsonl: is not there\n"
    dry = here("run-recipe", "ablation_full", "--profile", "paper", "--dry-run", cwd=tmp_path, code=0).stdout
    assert "data/search/planning/problems.jsonl: is not there" in dry


def test_the_teacher_is_asked_what_is_searched_though_the_profile_has_a_file_of_outputs():
    paper = load_profile("paper")
    jobs = build(load_recipe("sft_data", scale=paper), paper).jobs.values()
    taught = {job.stage: job for job in jobs if job.kind == "teach"}
    assert taught["long_cot"].how["file"] == "data/sky_t1_17k.jsonl"
    assert taught["taught"].models["model"].model == "Qwen/QwQ-32B-Preview"
    [search] = {tuple(job.how["files"]) for job in jobs if job.kind == "search"}
    assert tuple(taught["taught"].how["files"]) == search
    assert taught["taught"].params["max_tokens"] == paper.scale(SftScale).max_tokens


def test_arms_whose_teacher_the_profile_leaves_out_are_left_out():
    scale = load_profile("paper", ["models.teacher=null"])
    graph = build(load_recipe("sft_data", scale=scale), scale)
    assert graph.left_out == {"teacher": "teacher"}
    assert "long_cot" in graph.arms


STUDENT = "models.student={model: 'shipped:student', dtype: float16, backend: %s}"


@pytest.mark.parametrize(
    ("profile", "settings", "served"),
    [
        ("tiny", [STUDENT % "hf", "eval.dtype=bfloat16"], ("bfloat16", "hf", 1)),
        ("tiny", [STUDENT % "vllm", "eval.dtype=bfloat16"], ("bfloat16", "hf", 1)),
        ("paper", [], ("auto", "vllm", 8)),  # which is bfloat16 for all: tests/models/test_vllm.py
    ],
)
def test_all_arms_are_evaluated_alike_whatever_the_base_model_says(profile, settings, served, monkeypatch, tmp_path):
    seen = []

    def opened(spec, folder):
        seen.append((spec.dtype, spec.backend, spec.data_parallel_size))
        raise ModelError("seen")

    monkeypatch.setattr(evaluate, "opened", opened)
    graph = build(load_recipe("ablation_full"), load_profile(profile, settings), ["base", "sft"], [0])
    for job in (job for job in graph.jobs.values() if job.kind == "eval"):
        with pytest.raises(ModelError, match="seen"):
            evaluate.Evaluate().run(job, tmp_path, {"model": tmp_path}, lambda *_: None)
    assert seen == [served] * 4
