"""Claims against samples of known difference: verdicts, corrections, seeds, published values, the command."""

from __future__ import annotations

import json
import random

import pytest

from harness.errors import RecipeError
from harness.files import published_rows
from harness.journal import write_rows
from harness.pipeline.recipe import recipe_names
from harness.pipeline.recipe_files import load_recipe
from harness.records import Grade, Sample
from harness.results.claims import findings, published
from harness.results.collapses import collapses
from harness.results.records import Claim
from harness.view.claims import table
from tests.commands import here as harness

N = 300


def run(rate, seed=0, missing=0.0, task="mini_math"):
    """One training's samples: right at ``rate``, without an answer at ``missing``, by a draw of the item."""
    rng = random.Random(f"{seed}")
    out = []
    for i in range(N):
        draw = rng.random()
        verdict = "correct" if draw < rate else "unfinished" if draw > 1 - missing else "wrong"
        out.append(
            Sample(
                key=f"{task}{i}", task=task, problem_id=f"{task}-{i}", index=0, seed=0, prompt_ids_hash="h", text="",
                token_ids=[], finish="stop", thinking_tokens=9, answer_tokens=1,
                grade=Grade(verdict=verdict, reason="r"),
            )
        )  # fmt: skip
    return out


def claim(expect="higher", metric="accuracy", **more):
    return Claim(says="s", arm="a", against="b", expect=expect, metric=metric, **more)


def verdict(said, a, b):
    [finding] = findings({"c": said}, {"sampled": {"a": a, "b": b}})
    return finding.verdict


def test_verdicts_follow_the_direction_claimed():
    high, low = [run(0.7)], [run(0.4)]
    assert verdict(claim("higher"), high, low) == "reproduced"
    assert verdict(claim("lower"), high, low) == "contradicted"
    assert verdict(claim("higher"), low, high) == "contradicted"
    assert verdict(claim("higher"), [run(0.42)], [run(0.4, seed=1)]) == "too small to see"
    many, few = [run(0.4, missing=0.4)], [run(0.4, missing=0.05)]
    assert verdict(claim("higher", "no_answer"), many, few) == "reproduced"
    assert verdict(claim("lower", "no_answer"), many, few) == "contradicted"


def test_sameness_needs_evidence_too():
    same = claim("same", margin=0.1)
    assert verdict(same, [run(0.5)], [run(0.5)]) == "reproduced"
    assert verdict(same, [run(0.9)], [run(0.5)]) == "contradicted"
    assert verdict(same, [run(0.58, seed=1)], [run(0.5, seed=2)]) == "too small to see"  # unlike items: a wide interval


def test_more_claims_ask_for_more_evidence():
    """The same difference is resolved alone and not among twenty, by Holm."""
    a, b = [run(0.485)], [run(0.45)]
    one = findings({"c": claim()}, {"sampled": {"a": a, "b": b}})
    many = findings({f"c{i}": claim() for i in range(20)}, {"sampled": {"a": a, "b": b}})
    assert one[0].verdict == "reproduced"
    assert {f.verdict for f in many} <= {"undecided", "too small to see"}
    assert many[0].smallest > one[0].smallest
    assert many[0].p_holm == pytest.approx(min(1.0, 20 * one[0].p))


def test_trainings_that_disagree_widen_the_interval():
    steady = findings({"c": claim()}, {"sampled": {"a": [run(0.6), run(0.6)], "b": [run(0.5), run(0.5)]}})[0]
    shaky = findings({"c": claim()}, {"sampled": {"a": [run(0.7), run(0.5)], "b": [run(0.4), run(0.6)]}})[0]
    assert steady.difference == pytest.approx(shaky.difference, abs=0.03)
    assert steady.verdict == "reproduced"
    assert shaky.verdict == "too small to see"
    assert shaky.high - shaky.low > 2 * (steady.high - steady.low)
    assert shaky.smallest > 2 * steady.smallest
    assert shaky.seeds == 2


@pytest.mark.slow
def test_no_false_findings_beyond_the_level():
    """Arms that differ by chance alone: the share of resolved single claims is near 5%."""
    found = [verdict(claim(), [run(0.5, seed=2 * i)], [run(0.5, seed=2 * i + 1)]) for i in range(40)]
    assert sum(v in ("reproduced", "contradicted") for v in found) <= 6  # 2 expected


def test_trainings_are_paired_by_seed():
    """Arms that share what their seeds bring: it cancels where they are paired, and not where they are crossed."""
    good, bad = [run(0.65), run(0.55), run(0.45)], [run(0.62), run(0.52), run(0.42)]
    [matched] = findings({"c": claim()}, {"sampled": {"a": good, "b": bad}})
    [crossed] = findings({"c": claim()}, {"sampled": {"a": good, "b": [bad[1], bad[2], bad[0]]}})
    assert matched.verdict == "reproduced"
    assert crossed.verdict == "too small to see"
    assert crossed.high - crossed.low > 3 * (matched.high - matched.low)
    # An arm that was trained once stands beside each training of the other.
    [once] = findings({"c": claim()}, {"sampled": {"a": good, "b": [run(0.2)]}})
    assert (once.seeds, once.verdict) == (3, "reproduced")


def test_where_nothing_is_missing_nothing_can_be_repaired():
    said = claim("lower", "no_answer")
    a, b = [run(0.4)], [run(0.4, missing=0.02, seed=1)]
    weak = {"sampled": {"a": a, "b": b}}
    [finding] = findings({"c": said}, weak)
    assert finding.verdict == "nothing to repair"
    assert finding.control < said.margin
    # It takes no share of the level that the other claims are decided at.
    both = findings({"c": said, "d": claim()}, {"sampled": {"a": [run(0.485)], "b": [run(0.45, missing=0.01)]}})
    assert [f.verdict for f in both] == ["nothing to repair", "reproduced"]
    assert both[1].p_holm == both[1].p


def test_one_primary_test_a_claim_and_tasks_only_within_a_resolved_one():
    tasks = ("mini_math", "mini_blocks", "mini_rules")

    def suite(rates, seed=0):
        return [s for task, rate in zip(tasks, rates, strict=True) for s in run(rate, seed, task=task)]

    clear = findings({"c": claim()}, {"sampled": {"a": [suite((0.7, 0.7, 0.5))], "b": [suite((0.5, 0.5, 0.5))]}})
    assert [f.task for f in clear] == ["", *tasks]
    assert [f.verdict for f in clear[:3]] == ["reproduced"] * 3
    assert clear[3].verdict in ("undecided", "too small to see")
    assert clear[0].difference == pytest.approx(sum(f.difference for f in clear[1:]) / 3)
    assert clear[0].items == 3 * N
    even = findings({"c": claim()}, {"sampled": {"a": [suite((0.5, 0.5, 0.5))], "b": [suite((0.5, 0.5, 0.5), 1)]}})
    assert [f.verdict for f in even[1:]] == [None] * 3


def test_where_tasks_pull_apart_so_that_the_scales_disagree_nothing_is_resolved():
    """From 0 to 8% is more than from 50 to 38% on the arcsine scale, and less in points."""
    ours = run(0.9, missing=0.08) + run(0.4, missing=0.385, task="mini_blocks")
    others = run(0.9) + run(0.4, missing=0.5, task="mini_blocks")
    for expect in ("higher", "lower"):
        primary = findings({"c": claim(expect, "no_answer")}, {"sampled": {"a": [ours], "b": [others]}})[0]
        assert primary.difference < 0
        assert primary.p < 0.05
        assert primary.verdict in ("undecided", "too small to see")


def test_to_show_sameness_takes_more_than_to_show_a_difference():
    sides = {"sampled": {"a": [run(0.5, seed=1)], "b": [run(0.5, seed=2)]}}
    [same] = findings({"c": claim("same")}, sides)
    [higher] = findings({"c": claim("higher")}, sides)
    assert same.smallest / higher.smallest == pytest.approx((1.96 + 1.28) / (1.96 + 0.84), rel=0.01)


def test_a_claim_is_tested_under_the_decoding_that_it_names():
    sampled, greedy = {"a": [run(0.7)], "b": [run(0.4)]}, {"a": [run(0.4)], "b": [run(0.7)]}
    said = {"c": claim(), "g": claim(decoding="greedy"), "x": claim(decoding="beam")}
    found = findings(said, {"sampled": sampled, "greedy": greedy})
    assert {f.claim: f.verdict for f in found} == {"c": "reproduced", "g": "contradicted"}


def test_collapse_is_a_share_of_trainings_with_its_exact_interval():
    arms = {"+dpo": [run(0.3, missing=m) for m in (0.4, 0.3, 0.0, 0.1, 0.0)], "sft": [run(0.4)] * 5}
    dpo, sft = collapses({"sampled": arms})
    assert (dpo.arm, dpo.decoding, dpo.collapsed, dpo.trainings) == ("+dpo", "sampled", 2, 5)
    assert (dpo.low, dpo.high) == pytest.approx((0.0527, 0.8534), abs=1e-4)  # tables of Clopper and Pearson
    assert (sft.collapsed, sft.low, sft.high) == (0, 0.0, pytest.approx(0.5218, abs=1e-4))


def test_claims_of_arms_that_were_not_run_are_left_out():
    assert findings({"c": claim()}, {"sampled": {"a": [run(0.5)]}}) == []


def test_published_differences_are_the_papers():
    claims = load_recipe("ablation_full").claims
    assert published(claims["dpo_stops_answering"])["blocksworld"] == pytest.approx(93.6 - 1.8)
    assert published(claims["balance_repairs"])["math500"] == pytest.approx(46.4 - 31.8)
    assert published(claims["masking_helps"])["gsm8k"] == pytest.approx(87.2 - 86.8)
    assert published(claims["long_cot_hurts"]) == {}
    four, seven = load_recipe("sft_data").claims, load_recipe("test_time").claims
    assert published(four["long_cot_hurts_b"])["multi_if_en"] == pytest.approx(10.0 - 47.8)
    assert published(seven["trees_help_at_32"]) == {"math500": pytest.approx(82.8 - 79.2)}
    assert published(load_recipe("joint_loss").claims["alpha_1_answers"])["blocksworld"] == pytest.approx(9.0 - 47.4)


def test_every_claim_of_the_paper_names_rows_that_hold_it():
    for name in recipe_names():
        for key, claim in load_recipe(name).claims.items():
            assert not claim.published or published(claim), (name, key)


def test_tables_that_share_rows_agree():
    """Table 6's alpha 0 and 1 are Table 5's cDPO and joint loss, its SFT row is Table 4's searched data."""
    five, six, four = (published_rows(f"marco_o1_v2.table{n}")["rows"] for n in (5, 6, 4))
    assert six["alpha_0"] == five["+cdpo"]
    assert six["alpha_1"] == five["+joint_loss"]
    assert {t: c["accuracy"] for t, c in five["sft"].items()} == {t: c["accuracy"] for t, c in four["searched"].items()}


def test_a_recipe_keeps_the_claims_about_arms_it_has():
    assert list(load_recipe("data_balance").claims) == ["dpo_stops_answering", "balance_repairs"]
    assert list(load_recipe("masking").claims) == ["masking_helps"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{says: s, arm: +dop, against: sft}", r"'\+dop' is no arm.*\+dpo"),
        ("{says: s, arm: +dpo, against: sft, published: marco}", "no published rows 'marco'"),
        ("{says: s, arm: +dpo, against: sft, metrik: accuracy}", "unknown key.*metric"),
        ("{says: s, arm: +dpo, against: sft, expect: better}", "higher"),
    ],
)
def test_wrong_claims_are_named(line, said, tmp_path):
    (tmp_path / "r.yaml").write_text(f"extends: ablation_full\nname: r\nclaims: {{mine: {line}}}\n")
    with pytest.raises(RecipeError, match=said):
        load_recipe(str(tmp_path / "r.yaml"))


@pytest.fixture
def store(tmp_path):
    arms = {"base": 0.4, "sft": 0.6, "sft_long_cot": 0.1}
    for arm, rate in arms.items():
        folder = tmp_path / "stages" / arm
        folder.mkdir(parents=True)
        write_rows(folder / "samples.jsonl", (sample.model_dump() for sample in run(rate)))
    saved = {"recipe": "ablation_full", "profile": "tiny", "control": "sft", "arms": {arm: [arm] for arm in arms}}
    (tmp_path / "recipes" / "r0").mkdir(parents=True)
    manifest = {"date": "2026", "recipe": load_recipe("ablation_full").model_dump()}
    (tmp_path / "recipes" / "r0" / "run.json").write_text(json.dumps(saved | {"manifest": manifest}))
    return tmp_path


def test_the_command_shows_every_claim_that_was_tested(store):
    done = harness("claims", "--store", str(store))
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "2 reproduced of 2 claims" in done.stdout
    rows = json.loads(harness("claims", "--store", str(store), "--json").stdout)
    assert {row["claim"]: row["verdict"] for row in rows} == {
        "searched_data_helps": "reproduced", "long_cot_hurts": "reproduced",
    }  # fmt: skip
    assert "| reproduced |" in harness("claims", "--store", str(store), "--markdown").stdout
    file = store / "claims.json"
    file.write_text(json.dumps(rows))
    tables = [harness("claims", *of, "--format", "md", code=0).stdout for of in ((file,), ("--store", store))]
    assert len({"\n".join(line for line in shown.splitlines() if line.startswith("|")) for shown in tables}) == 1
    for name in ("ablation_full", "r0"):
        assert harness("claims", name, "--store", str(store)).stdout == done.stdout
    for name in ("r1", "ablation_ful"):
        lacks = harness("claims", name, "--store", str(store)).stderr
        assert lacks.strip() == f"harness: no finished recipe of '{name}' in {store}; there are ablation_full"


def test_a_recipe_without_claims_is_named(store):
    done = harness("claims", "tiny_models", "--store", str(store))
    assert done.returncode == 2
    assert done.stderr.strip() == "harness: recipe tiny_models makes no claims"


def test_tables_and_claims_of_a_further_decoding(store):
    file = store / "recipes" / "r0" / "run.json"
    saved = json.loads(file.read_text())
    claims = {"g": claim("higher", decoding="greedy").model_dump() | {"arm": "sft", "against": "base"}}
    greedy = {"base": ["sft"], "sft": ["base"]}  # the other way round
    saved["manifest"]["recipe"]["claims"] = claims
    file.write_text(json.dumps(saved | {"decodings": {"greedy": greedy}}))
    [row] = json.loads(harness("claims", "r0", "--store", str(store), "--json", code=0).stdout)
    assert (row["verdict"], row["decoding"]) == ("contradicted", "greedy")
    accuracy = {}
    for decoding in ("sampled", "greedy"):
        done = harness("leaderboard", "r0", "--decoding", decoding, "--store", str(store), "--json", code=0)
        board = json.loads(done.stdout)
        assert board["decoding"] == decoding
        accuracy[decoding] = {cell["arm"]: cell["accuracy"] for cell in board["rows"]}
    assert accuracy["greedy"]["base"] == accuracy["sampled"]["sft"]
    done = harness("leaderboard", "r0", "--decoding", "beam", "--store", str(store))
    assert done.stderr.strip() == "harness: ablation_full (tiny): no decoding 'beam'; there are sampled, greedy"
    assert done.returncode != 0
    for given in (["--runs", "a,b"], ["table.json"]):
        done = harness("leaderboard", *given, "--decoding", "greedy", "--store", str(store))
        assert (done.returncode, done.stderr.startswith("harness: --decoding greedy: of a recipe's run")) == (2, True)


def test_no_difference_is_said_to_be_seen_from_more_than_all_items():
    """Two trainings that disagree leave one degree of freedom, and a smallest difference of several hundred points."""
    said, arms = {"c": claim()}, {"a": [run(0.9), run(0.1)], "b": [run(0.5), run(0.5)]}
    found = findings(said, {"sampled": arms})
    assert found[0].smallest > 1
    assert table(said, found).rows[0][2] == ">100"
