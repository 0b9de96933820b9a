"""``harness recipes`` and the options of ``run-recipe`` that need no stage to run."""

from __future__ import annotations

import pytest

from harness.pipeline.recipe import profile_names, recipe_names
from tests.commands import here as harness


def test_ls_names_every_recipe_and_profile():
    out = harness("recipes", "ls", code=0).stdout
    assert all(f"\n{name} " in f"\n{out}" for name in recipe_names())
    assert all(f"--profile {name} " in out for name in profile_names())


def test_cp_gives_a_file_that_validates_and_is_never_overwritten(tmp_path):
    harness("recipes", "cp", "cdpo", tmp_path / "mine.yaml", code=0)
    assert (tmp_path / "mine.yaml").read_text() == harness("recipes", "cat", "cdpo", code=0).stdout
    assert "mine.yaml: is there already" in harness("recipes", "cp", "cdpo", tmp_path / "mine.yaml", code=2).stderr
    assert "cdpo at tiny: " in harness("recipes", "validate", tmp_path / "mine.yaml", code=0).stdout
    harness("recipes", "cp", "paper", tmp_path, code=0)
    assert (tmp_path / "paper.yaml").exists()


def test_a_profile_is_told_from_a_recipe(tmp_path):
    assert "profile tiny: valid; without student_c" in harness("recipes", "validate", "tiny", code=0).stdout
    harness("recipes", "cp", "tiny", tmp_path / "mine.yaml", code=0)
    assert "profile tiny: valid" in harness("recipes", "validate", tmp_path / "mine.yaml", code=0).stdout
    (tmp_path / "mine.yaml").write_text("extends: tiny\nworkers: 3\n")
    assert "begins with 'kind: profile'" in harness("recipes", "validate", tmp_path / "mine.yaml", code=2).stderr
    (tmp_path / "mine.yaml").write_text("kind: profile\nextends: tiny\nworkers: many\n")
    assert "mine.yaml:3: workers: " in harness("recipes", "validate", tmp_path / "mine.yaml", code=2).stderr
    (tmp_path / "mine.yaml").write_text("kind: profile\nextends: tiny\nseeds: [0, 1, 2]\n")
    assert "profile tiny: valid" in harness("recipes", "validate", tmp_path / "mine.yaml", code=0).stdout
    bad = harness("recipes", "validate", tmp_path / "mine.yaml", "--set", "profile.workers=many", code=2)
    assert "workers" in bad.stderr
    (tmp_path / "recipe.yaml").write_text("extends: cdpo\nabout: mine\n")
    assert "cdpo at tiny" in harness("recipes", "validate", tmp_path / "recipe.yaml", code=0).stdout
    (tmp_path / "one.yaml").write_text("extends: other\n")
    (tmp_path / "other.yaml").write_text("extends: one\n")
    assert "extends itself" in harness("recipes", "validate", tmp_path / "one.yaml", code=2).stderr
    assert "tiny is a profile" in harness("run-recipe", "tiny", code=2).stderr


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_validates_draws_and_dry_runs_at_every_scale(name, tmp_path):
    told = harness("recipes", "validate", name, code=0).stdout
    for profile in ("tiny", "small", "paper"):
        assert f"{name} at {profile}: " in told
        out = harness("run-recipe", name, "--profile", profile, "--dry-run", "--store", tmp_path, code=0).stdout
        assert "to run" in out
        assert max(map(len, out.splitlines())) <= 80, out
        drawn = harness("recipes", "graph", name, "--profile", profile, code=0).stdout
        assert max(map(len, drawn.splitlines())) <= 80, drawn
    assert not list(tmp_path.iterdir())


def test_a_dry_run_tells_what_is_left_out_and_what_is_not_known(tmp_path):
    done = harness("run-recipe", "sft_data", "--dry-run", "--store", tmp_path, code=0)
    assert "profile tiny has no model 'student_c'; left out: base c, long_cot c, searched c" in done.stderr
    paper = harness("run-recipe", "sft_data", "--profile", "paper", "--dry-run", "--store", tmp_path, code=0).stdout
    assert "34 GB" in paper  # on each of 8 GPUs: weights, gradient and moments of 8B parameters, and activations
    assert "≤" in paper


def test_seeds_until_and_arms_choose_stages(tmp_path):
    def stages(*options, recipe="ablation_full"):
        out = harness("run-recipe", recipe, "--dry-run", "--store", tmp_path, *options, code=0).stdout
        return [
            line.split("to run")[0].split(maxsplit=1)[1].strip()
            for line in out.splitlines()
            if " to run" in line and " stages to run" not in line
        ]

    assert len([s for s in stages("--seeds", "3") if s.startswith("train cdpo")]) == 3
    assert [s for s in stages("--seeds", "4,7") if s.startswith("train sft #")] == ["train sft #4", "train sft #7"]
    assert stages("--until", "trees") == ["search 1/2", "search 2/2", "chains"]
    some = stages("--arms", "+dpo", "--seeds", "1")
    scored = ["train dpo", "eval +dpo", "eval +dpo greedy"]
    assert some[-3:] == scored
    assert not any("masking" in stage or " at " in stage for stage in some)
    curve = stages("--arms", "+dpo", "--seeds", "1", recipe="learning_curves")
    assert curve[-6:] == [*scored, *(f"eval +dpo at {part} greedy" for part in (0.1, 0.25, 0.5))]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seeds", "0"], "--seeds 0: give how many"),
        (["--seeds", "1,1"], "each once"),
        (["--seeds", "many"], "--seeds many"),
        (["--seeds", "1,,2"], "--seeds 1,,2: give how many"),
        (["--seeds", "-1,2"], "--seeds -1,2: give how many"),
        (["--seeds", "99999999999"], "--seeds 99999999999: give how many"),
        (["--seeds", "9999999999"], "1,000 at most"),
        (["--seeds", "7" * 5000], "give how many"),
        (["--set", "seeds=[0,0,0]"], "seed 0 is given twice"),
        (["--set", "profile.seeds=[1,1]"], "seed 1 is given twice"),
        (["--set", "seeds=[-1]"], "greater than or equal to 0"),
        (["--set", "profile.sft.epochs=.inf"], "finite"),
        (["--set", "x=" + "[" * 2000], "no YAML value"),
        (["--until", "tree"], "did you mean 'trees'"),
        (["--arms", "+cdp"], "did you mean '+cdpo'"),
        (["--executor", "slurm"], "local, ray"),
        (["--profile", "tinny"], "did you mean 'tiny'"),
        (["--set", "profile.eval.cout=3"], "did you mean 'count'"),
    ],
)
def test_wrong_options_get_one_line(options, said, tmp_path):
    done = harness("run-recipe", "ablation_full", "--dry-run", "--store", tmp_path, *options, code=2)
    assert said in done.stderr
    assert done.stderr.startswith("harness: ")
    assert len(done.stderr.splitlines()) == 1
