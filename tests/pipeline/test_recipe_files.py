"""Reading recipes: errors name file, line, key and the nearest valid name; ``--set`` changes one thing."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError, RecipeError
from harness.pipeline.graph import build
from harness.pipeline.recipe_files import load_profile, load_recipe, split_settings

RECIPE = """\
extends: ablation_full
name: mine
stages:
  extra:
    kind: preference
    model: sft
    chains: trees
    objective: {label_smoothing: 0.1}
arms:
  sft: sft
  +extra: extra
"""


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("chains: trees", "chain: trees", 7, r"stages.extra.chain: unknown key \(did you mean 'chains'\?\)"),
        ("chains: trees", "chains: tree", 7, "no search stage (did you mean 'trees'?)"),
        ("label_smoothing: 0.1", "label_smooth: 0.1", 8, "unknown key (did you mean 'label_smoothing'?)"),
        ("label_smoothing: 0.1", "label_smoothing: 0.7", 8, "less than 0.5"),
        ("kind: preference", "kind: preferences", 5, "no kind 'preferences' (did you mean 'preference'?)"),
        ("model: sft", "model: sftt", None, None),  # a model of the profile, for all that the recipe knows
        ("  +extra: extra", "  +extra: trees", 11, "yields no model"),
        ("name: mine", "name: mine\ncontrol: sft_", 3, "control 'sft_' is no arm (did you mean 'sft'?)"),
        ("name: mine", "name: mine\nsuite: embeded", 3, "no suite 'embeded' (did you mean 'embedded'?)"),
        ("extends: ablation_full", "extends: ablation_ful", 1, "did you mean 'ablation_full'"),
    ],
)
def test_errors_name_file_line_key_and_the_nearest_name(tmp_path, old, new, line, said):
    path = written(tmp_path, RECIPE.replace(old, new))
    if said is None:
        with pytest.raises(RecipeError, match=r"no stage, and no model of profile tiny, is 'sftt' .did you mean 'sft'"):
            build(load_recipe(path), load_profile("tiny"))
        return
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    assert f"{path}:{line}: " in str(error.value)
    assert said.replace("\\", "") in str(error.value)


def test_every_defect_is_told_at_once(tmp_path):
    text = RECIPE.replace("chains: trees", "chains: tree").replace("  sft: sft\n", "  sft: trees\n")
    with pytest.raises(RecipeError) as error:
        load_recipe(written(tmp_path, text))
    assert len(str(error.value).splitlines()) == 2


def test_an_error_in_what_is_extended_names_that_file(tmp_path):
    (tmp_path / "base.yaml").write_text("name: base\nstages:\n  s: {kind: sft, model: student}\n")
    with pytest.raises(RecipeError, match=r"base.yaml:3: stages.s.chains: is missing"):
        load_recipe(written(tmp_path, "extends: base\nname: mine\n"))


def test_settings_change_one_key_and_nothing_else():
    before = load_recipe("ablation_full")
    after = load_recipe("ablation_full", ["stages.cdpo.objective.label_smoothing=0.2"])
    assert after.stages["cdpo"].objective.label_smoothing == 0.2
    assert {n for n in before.stages if before.stages[n] != after.stages[n]} == {"cdpo"}
    profile = load_profile("tiny", ["eval.count=50", "models.student=some/model"])
    assert profile.eval.count == 50
    assert profile.eval.max_tokens == load_profile("tiny").eval.max_tokens
    assert profile.models["student"] == "some/model"
    served = load_profile("tiny", ["models.student.base_url=http://127.0.0.1:1/v1", "models.student.backend=openai"])
    assert served.model("student").model == "shipped:student"
    assert split_settings(["a.b=1", "profile.eval.count=2"]) == (["a.b=1"], ["eval.count=2"])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("stages.cdpo.objective.label_smoothin=0.2", "--set .*unknown key.*label_smoothing"),
        ("stages.cdpo", "write key=value"),
        ("control.x=1", "control holds no keys"),
        ("name=[", "no YAML value"),
    ],
)
def test_wrong_settings_are_named(setting, said):
    with pytest.raises(RecipeError, match=said):
        load_recipe("ablation_full", [setting])


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "more than 20,000 keys and values"),
        ("a: &a [*a]\n", "alias [*]a stands inside of what it names"),
        ("a: *b\n", "alias [*]b stands inside of what it names, or for nothing"),
        ("a: " + "[" * 2000 + "]" * 2000, "levels deep"),
        ("a: " + "[" * 900_000, "levels deep"),
        ("a: " + "{b: " * 2000, "levels deep"),
        ("about: " + "x" * 10_000_000, "larger than 1,000,000"),
        ("".join(f"k{i}: 1\n" for i in range(60_000)), "more than 20,000"),
        ("extends: ablation_full\nname: x\nseeds: [" + "0," * 300_000 + "]", "more than 20,000"),
        ("extends: ablation_full\nname: x\nseeds: [" + "7" * 5000 + "]", "not YAML"),
        ("extends: ablation_full\nname: x\narms: 5\n", "arms: Input should be a valid dictionary"),
        ("extends: ablation_full\nname: x\nclaims: 5\n", "claims: Input should be a valid dictionary"),
        ("extends: [ablation_full]\nname: x\n", "give one name"),
        ("extends: " + "a" * 5000, "give one name"),
        ("name: a\nname: b\n", ":2: name stands here a second time"),
        ("name: a\nstages:\n  s: {kind: search}\n  s: {kind: search}\n", ":4: stages.s stands here a second time"),
        ("5: a\n", "5 is no key"),
        ("when: 2001-99-99\n", "not YAML"),
        ("a: !!python/object/apply:os.system [true]\n", "not YAML"),
        ("extends: ablation_full\nname: x\nstages: {t: {kind: pretrain, spec: studnt}}", "did you mean 'student'"),
        (
            "extends: masking\nname: x\nstages: {cdpo: {kind: preference, model: sft, chains: trees, "
            "objective: {mask_prefix_dpo: true}}}",
            "did you mean 'mask_prefix'",
        ),
    ],
    ids=str.split("laughs itself nothing brackets unclosed maps large keys seeds digits arms claims list long twice "
                  "stage number date tag spec mask"),
)  # fmt: skip
def test_a_file_of_any_content_is_one_line(tmp_path, text, said):
    with pytest.raises(RecipeError, match=said) as error:
        load_recipe(written(tmp_path, text))
    assert len(str(error.value)) < 400


def test_a_file_that_is_not_utf_8_is_one_line(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(HarnessError, match=r"mine.yaml: not UTF-8"):
        load_recipe(str(tmp_path / "mine.yaml"))


def test_a_device_is_no_recipe(tmp_path):
    (tmp_path / "mine.yaml").symlink_to("/dev/zero")
    with pytest.raises(RecipeError, match="no file"):
        load_recipe(str(tmp_path / "mine.yaml"))


def test_anchors_that_are_small_may_be_used(tmp_path):
    text = RECIPE.replace("{label_smoothing: 0.1}", "&o {label_smoothing: 0.1}").replace(
        "arms:", "  other: {kind: preference, model: sft, chains: trees, objective: *o}\narms:"
    )
    recipe = load_recipe(written(tmp_path, text))
    assert recipe.stages["other"].objective == recipe.stages["extra"].objective


@pytest.mark.parametrize("seeds", ["[0, 0]", "[-1]", "[]", "[4294967296]", "[true, x]"])
def test_seeds_are_distinct_and_within_bounds(tmp_path, seeds):
    with pytest.raises(RecipeError, match=r"mine.yaml:2: seeds"):
        load_recipe(written(tmp_path, RECIPE.replace("name: mine", f"seeds: {seeds}\nname: mine")))
