"""``curve`` and ``retention`` of a recipe: which evaluations they add, what they leave alone, and what is refused."""

from __future__ import annotations

import pytest

from harness.errors import RecipeError
from harness.pipeline.graph import build
from harness.pipeline.kinds import kind_of
from harness.pipeline.preview import tree
from harness.pipeline.recipe_files import load_profile, load_recipe
from harness.view.render import terminal
from tests.pipeline.test_recipe import recipe_file

CURVE = "stages.dpo.curve={}"


CURVED = CURVE.format("[0.25, 0.5]")


def graph(settings=(), profile=(), seeds=(3, 5), name="ablation_full", scale="tiny", **more):
    """With a curve of plain DPO, unless the settings say otherwise."""
    return build(load_recipe(name, [CURVED, *settings]), load_profile(scale, profile), seeds=seeds, **more)


def test_an_arm_whose_stage_has_a_curve_is_scored_on_the_way():
    made = graph()
    assert list(made.curves) == ["+dpo"]
    greedy, points = made.decodings["greedy"], made.curves["+dpo"]
    assert list(points) == [0.0, 0.25, 0.5, 1.0]
    assert points[0.0] == greedy["sft"]  # what it starts from is an arm
    assert points[1.0] == greedy["+dpo"]
    for share in (0.25, 0.5):
        jobs = [made.jobs[digest] for digest in points[share]]
        assert [job.name for job in jobs] == [f"eval +dpo at {share} #{seed} greedy" for seed in (3, 5)]
        for job, end in zip(jobs, (made.jobs[digest] for digest in points[1.0]), strict=True):
            assert job.inputs == end.inputs  # the same training
            assert job.params == end.params | {"at": f"model@{share}"}


def test_a_curve_changes_its_stage_and_arm_alone():
    plain, curved = graph([CURVE.format("[]")]), graph()
    assert plain.curves == {}
    changed = {arm for arm in plain.arms if plain.arms[arm] != curved.arms[arm]}
    assert changed == {"+dpo"}
    assert len({*curved.jobs} - {*plain.jobs}) == 10  # two seeds: trained, scored twice, and at two points
    ended = graph([CURVE.format("[1]")])  # 1 is the finished model, which is there anyway
    assert {*ended.jobs} == {*plain.jobs}
    assert list(ended.curves["+dpo"]) == [0.0, 1.0]
    assert "curve" not in next(job for job in ended.jobs.values() if job.stage == "dpo").params
    several = graph([CURVE.format("[0.25, 0.5, 1]")])
    assert {*several.jobs} == {*curved.jobs}


def test_the_training_keeps_what_is_scored():
    made = graph()
    stage = next(job for job in made.jobs.values() if job.stage == "dpo")
    assert stage.params["curve"] == [0.25, 0.5]
    memory, disk = kind_of(stage.kind).bytes_of(stage, 1000, None)
    plain = graph([CURVE.format("[]")])
    other = next(job for job in plain.jobs.values() if job.stage == "dpo")
    assert kind_of(other.kind).bytes_of(other, 1000, None) == (memory, disk - 2 * 4000)


def test_without_a_decoding_of_its_own_a_curve_is_drawn_once_under_the_main_one():
    made = graph(profile=["eval.curve=sampled"])
    points = made.curves["+dpo"]
    assert points[1.0] == made.arms["+dpo"]
    assert points[0.0] == made.arms["sft"]
    jobs = [made.jobs[digest] for digest in points[0.25]]
    assert [(job.params["samples"], job.params["temperature"], job.params["seed"]) for job in jobs] == [
        (1, 0.6, 3), (1, 0.6, 5),
    ]  # fmt: skip
    assert jobs[0].name == "eval +dpo at 0.25 #3"
    assert made.jobs[points[1.0][0]].params["samples"] == 2


def test_an_arm_has_points_for_its_own_trainings_and_a_start_where_that_is_an_arm():
    few = graph(["arms.+dpo={model: dpo, seeds: 1}"])
    assert {*map(len, few.curves["+dpo"].values())} == {1}
    alone = ["control=+dpo", "arms={+dpo: dpo}", "claims={}"]
    assert list(graph(alone).curves["+dpo"]) == [0.25, 0.5, 1.0]
    tree_alone = ["arms={sft: {model: sft, decode: mcts}, +dpo: dpo}", "claims={}"]
    assert list(graph(tree_alone).curves["+dpo"]) == [0.25, 0.5, 1.0]
    assert graph(["arms={sft: sft, +dpo: {model: dpo, decode: mcts}}", "claims={}"]).curves == {}
    student = graph(["stages.sft.curve=[0.1]"])
    assert list(student.curves) == ["sft", "+dpo"]
    assert student.curves["sft"][0.0] == student.decodings["greedy"]["base"]
    assert graph().until("dpo").curves == {}


def test_doses_of_a_stage_with_a_curve_have_curves():
    doses = ["doses={arms: [+dpo], at: {a: {learning_rate: 1.0e-4}, b: {}}}", "claims={}"]
    assert list(graph(doses).curves) == ["+dpo@a", "+dpo@b"]


@pytest.mark.parametrize("shares", ["[0.5, 0.25]", "[0.5, 0.5]", "[0]", "[1.5]", "[.nan]", "[half]", "0.5", "[-0.1]"])
def test_shares_that_are_none_are_named(shares):
    with pytest.raises(RecipeError, match=r"^--set .*: stages\.dpo\.curve") as error:
        load_recipe("ablation_full", [CURVE.format(shares)])
    assert "\n" not in str(error.value)


def test_the_graph_shows_curves():
    shown = terminal.text(tree(load_recipe("ablation_full", [CURVED]), load_profile("tiny")), 80)
    assert "dpo: preference on trees, longest; curve at 0.25, 0.5\n" in shown


def test_tasks_beside_the_suite_are_scored_in_the_same_evaluations():
    plain, more = graph(seeds=[0]), graph(["retention=[mini_premise]"], seeds=[0])
    assert [job.name for job in more.jobs.values()] == [job.name for job in plain.jobs.values()]
    for before, after in zip(plain.jobs.values(), more.jobs.values(), strict=True):
        if before.name.startswith("eval"):
            assert after.params == before.params | {"retention": ["mini_premise"]}
            assert after.depends["data"] != before.depends["data"]  # the task's file counts, too
            answers = [kind_of("eval").items(job, {"model": None}) for job in (before, after)]
            assert answers[1] == answers[0] * 4 / 3
        else:
            assert after.digest == before.digest


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ("[mini_math]", "retention: mini_math is scored already; name tasks beside suite embedded"),
        ("[mini_premise, mini_premise]", "retention: mini_premise is scored already"),
        ("[mini_premis]", "retention: no task 'mini_premis' .did you mean 'mini_premise'"),
        ("mini_premise", "retention: "),
    ],
)
def test_wrong_tasks_beside_the_suite_are_named(tasks, said):
    with pytest.raises(RecipeError, match=said) as error:
        load_recipe("ablation_full", [f"retention={tasks}"])
    assert "\n" not in str(error.value)


def test_a_profile_may_score_or_search_what_a_recipe_sets_apart(tmp_path):
    apart = ["retention=[mini_premise]"]
    with pytest.raises(RecipeError, match=r"at profile tiny: retention: mini_premise is of suite overthinking"):
        graph(apart, ["suite=overthinking"])
    searched = ["suite=overthinking", "search.sources=[{file: x.jsonl, family: mini_math}]", "distil.padding=0"]
    with pytest.raises(RecipeError, match=r"retention: mini_math is searched; name tasks that nothing is trained on"):
        graph(["suite=overthinking", "retention=[mini_math]", "claims={}"], searched)
    path = recipe_file(tmp_path, retention=["mini_premise", "nothing"])
    with pytest.raises(RecipeError, match=r"mine.yaml:\d+: retention: no task 'nothing'"):
        load_recipe(path)
