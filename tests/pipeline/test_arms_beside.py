"""Arms beside the paper's: switches of an SFT stage, mixed chains, a model's own chains, a budget for the thought."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RecipeError
from harness.pipeline.graph import build
from harness.pipeline.kinds import all_kinds
from harness.pipeline.kinds.sft import mixed
from harness.pipeline.preview import tree
from harness.pipeline.recipe_files import load_profile, load_recipe
from harness.training.spec import Objective, SftObjective
from harness.view.render import terminal
from tests.chains.test_select import chain

STUDENTS_OWN = "stages.own={{kind: distil, teacher: {}, plain: true}}"


def graph(*settings, profile="tiny", name="ablation_2026", seeds=(3, 5), scale=()):
    return build(load_recipe(name, settings), load_profile(profile, scale), seeds=seeds)


def jobs(made, stage):
    return [job for job in made.jobs.values() if job.stage == stage]


def refused(*settings, profile="tiny"):
    with pytest.raises(RecipeError) as error:
        graph(*settings, profile=profile)
    assert "\n" not in str(error.value)
    return str(error.value)


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.02, 0.98), st.integers(0, 9))
def test_a_mix_keeps_its_share_and_no_row_stands_in_it_twice(own, other, share, seed):
    rows, others = ([{"prompt_ids": [side], "completion_ids": [n]} for n in range(many)] for side, many in
                    ((0, own), (1, other)))  # fmt: skip
    out, added = mixed(rows, others, share, seed)
    ids = [(row["prompt_ids"][0], row["completion_ids"][0]) for row in out]
    assert len(set(ids)) == len(ids) <= own
    assert sum(side for side, _ in ids) == added >= 1
    assert abs(added - share * len(out)) <= 1
    assert len(out) == own or added == other or abs(other - share * own) <= 1  # fewer only where others are too few
    assert mixed(rows, others, share, seed) == (out, added)


def test_the_two_sources_of_a_mix_have_rules_of_their_own(tmp_path):
    made = graph("stages.mix.mix.rule=longest", "stages.mix.rule=shortest", "stages.mix.per_problem=1")
    job = jobs(made, "mix")[0]
    assert [made.jobs[job.inputs[role]].kind for role in ("chains", "mix")] == ["chains", "distil"]
    problems = [f"p{n}" for n in range(10)]
    own, other = (
        [chain([side, *range(n)], problem=p) for p in problems for n in (1, 4)] for side in (30, 40)
    )  # fmt: skip
    rows, objective, figures = all_kinds()["sft"].data(job, tmp_path, iter(own), mix=iter(other))
    assert (len(rows), figures) == (10, {"mixed": 2, "mean_tokens": (8 * 2 + 2 * 5) / 10})
    assert {(row["completion_ids"][0], len(row["completion_ids"])) for row in rows} == {(30, 2), (40, 5)}
    assert objective == SftObjective()
    shown = figures | {"rows": 10, "steps": 1, "loss": 1.0}
    assert all_kinds()["sft"].summary(shown).endswith("2 of them mixed in")


def test_another_share_trains_that_arm_alone_and_a_mix_is_seen_before_it_runs():
    before, after = graph(), graph("stages.mix.mix.share=0.5")
    assert {arm for arm in before.arms if before.arms[arm] != after.arms[arm]} == {"sft_mix"}
    page = terminal.text(tree(load_recipe("ablation_2026"), load_profile("tiny")), 100)
    for text in ("mix: sft on trees, mixed; 20% on long_cot, mixed", "own: outputs of student",
                 "arm budget, thoughts closed at 64 tokens"):  # fmt: skip
        assert text in page


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("stages.mix.mix.chains=tree", "chains 'tree' is no distil or search stage (did you mean 'trees'?)"),
        ("stages.mix.mix.chains=sft", "chains 'sft' is no distil or search stage"),
        ("stages.mix.mix.share=1", "stages.mix.mix.share: "),
        ("stages.mix.mix.share=0", "stages.mix.mix.share: "),
        ("stages.mix.mix.rule=tallest", "stages.mix.mix.rule: "),
        ("stages.mix.chains=''", "chains '' is no distil or search stage"),
        ("stages.dft.objective.beta=1", "stages.dft.objective.beta: unknown key"),
        ("stages.simpo.objective.gamma=-1", "stages.simpo.objective.gamma: "),
        ("stages.simpo.objective.ld_alpha=0.5", "ld_alpha weighs sums and length_normalized takes means: use one"),
        ("arms.budget.thinking_budget=0", "arms.budget"),
        ("arms.budget.decode=mcts", "thinking_budget does not go with decode: mcts, whose grammar caps each thought"),
        (STUDENTS_OWN.format("trees"), "teacher 'trees' is a search stage, which yields no model"),
        (STUDENTS_OWN.format("rft"), "starts from itself, by way of"),
        (STUDENTS_OWN.format("studnt"), "is 'studnt' (did you mean 'student'?)"),
    ],
)
def test_mistakes_are_one_line(setting, said):
    message = refused(setting) if "itself" not in said else None
    if message is None:  # each stage of the circle is named
        with pytest.raises(RecipeError) as error:
            load_recipe("ablation_2026", [setting])
        message = str(error.value)
        assert len(message.splitlines()) == 2
    assert said in message


def test_switches_reach_the_training():
    made = graph()
    [params] = {json.dumps(job.params["objective"]) for job in jobs(made, "dft")}
    assert SftObjective(**json.loads(params)) == SftObjective(dft=True)
    simpo = Objective(reference_free=True, length_normalized=True, gamma=1.0, beta=2.0)
    assert jobs(made, "simpo")[0].params["objective"] == simpo.model_dump()
    assert jobs(made, "ld_dpo")[0].params["objective"]["ld_alpha"] == 0.5


def test_a_named_teacher_is_asked_also_where_the_profile_has_a_file():
    for profile in ("tiny", "paper"):
        made = graph(profile=profile, seeds=(0,))
        teach, distil = jobs(made, "own")
        assert (teach.kind, distil.params["padding"]) == ("teach", 0)
        assert teach.models == {"model": jobs(made, "rft")[0].models["model"]}
        assert "file" not in teach.how
    assert "file" in jobs(graph(profile="paper", seeds=(0,)), "long_cot")[0].how


def test_a_stage_teaches_with_what_it_is_after_each_training():
    made = graph(STUDENTS_OWN.format("sft"), "stages.rft.model=sft")
    teachers = [job for job in jobs(made, "own") if job.kind == "teach"]
    assert [job.name for job in teachers] == ["teach own #3", "teach own #5"]
    assert [job.inputs["model"] for job in teachers] == [
        digest for digest, job in made.jobs.items() if job.stage == "sft" and job.kind == "sft"
    ]
    for job, seed in zip(jobs(made, "rft"), (3, 5), strict=True):
        assert made.jobs[job.inputs["chains"]].name == f"distil own #{seed}"
    [whole] = [job for job in jobs(graph(), "own") if job.kind == "teach"]
    assert whole.name == "teach own"  # the base model is the same for every seed


def test_a_budget_holds_for_its_arm_under_every_decoding_and_for_no_other():
    made = graph()
    for arms in (made.arms, *made.decodings.values()):
        budgets = {arm: {made.jobs[run].params["thinking_budget"] for run in runs} for arm, runs in arms.items()}
        assert budgets == {arm: {64} if arm == "budget" else {None} for arm in arms}
    greedy = made.decodings["greedy"]
    assert made.jobs[greedy["budget"][0]].inputs == made.jobs[greedy["sft"][0]].inputs
    made = graph(scale=["eval.decodings.short={thinking_budget: 8}"])
    budgets = {arm: made.jobs[runs[0]].params["thinking_budget"] for arm, runs in made.decodings["short"].items()}
    assert budgets == {arm: 64 if arm == "budget" else 8 for arm in budgets}


def test_a_curve_is_scored_within_the_budget_of_its_arm():
    arms = "arms={sft: sft, sft short: {model: sft, thinking_budget: 32}, dpo: {model: dpo, thinking_budget: 32}}"
    made = graph(arms, "claims={}", "control=sft", "stages.dpo.curve=[0.25, 0.5]")
    [(arm, points)] = made.curves.items()
    assert arm == "dpo"
    assert points[0.0] == made.decodings["greedy"]["sft short"]
    runs = [run for at in points.values() for run in at]
    assert {made.jobs[run].params["thinking_budget"] for run in runs} == {32}
