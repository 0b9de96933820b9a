"""Every arm under every decoding, once for each training seed; sampling seeds are shared by arms, not by trainings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import RecipeError
from harness.pipeline.graph import build
from harness.pipeline.kinds.evaluate import EvalScale
from harness.pipeline.recipe import profile_names
from harness.pipeline.recipe_files import load_profile, load_recipe
from harness.results.records import Claim, RunRecord
from tests.pipeline.test_recipe import recipe_file

CLAIM = "claims.mine={{says: s, arm: {arm}, against: sft, decoding: {decoding}}}"


def graph(name="ablation_full", settings=(), seeds=(3, 5), profile="tiny", **changes):
    return build(load_recipe(name, settings), load_profile(profile), seeds=seeds, **changes)


def test_every_arm_is_scored_once_for_each_seed_under_each_decoding():
    made = graph()
    assert list(made.decodings) == ["greedy"]
    for arms in (made.arms, *made.decodings.values()):
        assert list(arms) == list(load_recipe("ablation_full").arms)
        assert {len(digests) for digests in arms.values()} == {2}
    for arm, (first, second) in made.arms.items():
        assert first != second, arm
    greedy = made.decodings["greedy"]
    assert {arm for arm, (first, second) in greedy.items() if first == second} == {"base"}
    every = (made.arms, greedy, *made.curves.values())
    scored = {digest for runs in every for digests in runs.values() for digest in digests}
    assert scored == {digest for digest, job in made.jobs.items() if job.name.startswith("eval ")}


def test_the_seed_of_sampling_is_that_of_the_training_and_the_same_for_all_arms():
    made = graph()
    for number in range(2):
        seeds = {made.jobs[digests[number]].params["seed"] for digests in made.arms.values()}
        assert seeds == {[3, 5][number]}
    greedy = [made.jobs[digest].params for digests in made.decodings["greedy"].values() for digest in digests]
    assert {(job["seed"], job["temperature"], job["samples"]) for job in greedy} == {(0, 0, 1)}


def test_a_number_of_answers_that_is_named_holds_for_all_tasks():
    section = EvalScale(
        samples_of={"aime": 16}, decodings={"greedy": {"temperature": 0, "samples": 1}, "top": {"top_p": 0.9}}
    )
    repeats = {name: section.under(name, None, 0).repeats("aime") for name in ("", "greedy", "top")}
    assert repeats == {"": 16, "greedy": 1, "top": 16}
    assert section.under("", 8, 0).repeats("aime") == 8
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        EvalScale(samples_of={"aime": 0})
    with pytest.raises(ValueError, match=r"no task 'aim'.*did you mean 'aime'"):
        EvalScale(samples_of={"aim": 2})


def test_no_two_pairs_of_seeds_share_random_numbers():
    scales = [EvalScale(seed=seed) for seed in range(3)]
    drawn = [scale.under("", None, seed).seed for scale in scales for seed in (0, 1, 2**32 - 1)]
    assert len(set(drawn)) == len(drawn)


def test_labels_name_the_seed_where_a_result_depends_on_it():
    names = {job.name for job in graph().jobs.values()}
    assert {"eval base #3", "eval base greedy", "eval +dpo #5", "eval +dpo #5 greedy"} <= names
    assert {"eval base", "eval base greedy", "eval +dpo"} <= {job.name for job in graph(seeds=[4]).jobs.values()}


def test_trees_and_an_arms_own_number_of_answers_are_of_the_main_decoding_alone():
    made = graph("test_time")
    assert {"best@8 tree", "best@32 tree"} <= {*made.arms}
    greedy = made.decodings["greedy"]
    assert {*greedy} == {"base", "base@8", "base@32", "best", "best@8", "best@32"}
    assert greedy["base"] == greedy["base@32"]  # one job: one greedy answer
    assert made.jobs[made.arms["base@32"][0]].params["samples"] == 32


def test_a_further_decoding_changes_no_other_evaluation():
    less = build(load_recipe("ablation_full"), load_profile("tiny", ["eval.decodings={}", "eval.curve=''"]))
    more = build(load_recipe("ablation_full"), load_profile("tiny"))
    assert less.decodings == {}
    assert less.arms == more.arms
    hot = load_profile("tiny", ["eval.decodings.hot={temperature: 1, top_p: 0.9}"])
    both = build(load_recipe("ablation_full"), hot)
    assert list(both.decodings) == ["greedy", "hot"]
    one = both.jobs[both.decodings["hot"]["base"][0]].params
    assert (one["temperature"], one["top_p"], one["samples"]) == (1, 0.9, 2)


@pytest.mark.parametrize("profile", profile_names())
def test_every_shipped_scale_is_greedy_too(profile):
    section = load_profile(profile).eval
    assert section.under("greedy", 8, 1).identity()["temperature"] == 0
    assert load_profile(profile, ["eval.decodings.greedy.top_p=0.5"]).eval.under("greedy", None, 0).top_p == 0.5


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("eval.decodings.greedy.temprature=0", "eval.decodings.greedy.temprature: unknown key.*'temperature'"),
        ("eval.decodings.greedy.samples=0", "eval.decodings.greedy.samples: .*greater than or equal to 1"),
        ("eval.curve=gredy", "eval.curve: no decoding 'gredy' .did you mean 'greedy'.*there are sampled, greedy"),
        ("eval.decodings={}", "eval.curve: no decoding 'greedy'; there are sampled"),
        ("eval.decodings.sampled={samples: 1}", "'sampled' is the main decoding"),
    ],
)
def test_mistakes_in_a_decoding_are_named(setting, said):
    with pytest.raises(RecipeError, match=said):
        load_profile("tiny", [setting])


def test_a_claim_may_name_a_decoding_that_there_is(tmp_path):
    def claimed(arm, decoding):
        return graph(settings=[CLAIM.format(arm=arm, decoding=decoding)])

    assert claimed("+dpo", "greedy").decodings["greedy"]
    assert Claim(says="s", arm="a", against="b", decoding="sampled").decoding == ""
    with pytest.raises(RecipeError, match=r"'mine': profile tiny has no decoding 'gredy' .did you mean 'greedy'"):
        claimed("+dpo", "gredy")
    tree = {"tree": {"model": "sft", "decode": "mcts"}, "sft": "sft"}
    path = recipe_file(tmp_path, arms=tree)
    with pytest.raises(RecipeError, match=r"'tree' is decoded by trees, so under 'sampled' alone") as error:
        graph(path, [CLAIM.format(arm="tree", decoding="greedy")])
    assert "\n" not in str(error.value)


def test_a_stage_alone_has_no_decodings():
    assert graph().until("sft").decodings == {}


def test_records_of_before_still_load():
    old = {"recipe": "r", "profile": "p", "control": "a", "arms": {"a": ["1"]}, "manifest": {"date": "2026"}}
    assert RunRecord.model_validate(old).decodings == {}


def test_a_run_with_other_decodings_is_another_run():
    from harness.pipeline.record import run_id

    recipe, profile, made = load_recipe("smoke"), load_profile("smoke"), graph("smoke", profile="smoke")
    assert run_id(recipe, profile, made) != run_id(recipe, profile, replace(made, decodings={}))
