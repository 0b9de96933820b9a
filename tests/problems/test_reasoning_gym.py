"""``reasoning_gym:NAME``: with a stand-in for the package, and with the package where it is installed."""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from importlib.util import find_spec
from itertools import islice

import pytest

from harness.errors import DataError
from harness.grading.grade import Grader
from harness.grading.gym import _FORMULAS, _LITERALS, _REFUSED, data_set, package
from harness.pipeline.graph import build
from harness.pipeline.recipe_files import load_profile, load_recipe
from harness.problems.load import load
from harness.problems.reasoning_gym import drawn
from tests.commands import here

real = pytest.mark.skipif(find_spec("reasoning_gym") is None, reason="the package reasoning-gym is not installed")

# A package with three data sets; two verifiers evaluate what they are given, as some of the real one do.
FACTORY = """
import random

class Sums:
    def __init__(self, seed):
        self.seed = seed
    def entry(self, rng):
        a, b = rng.randrange(30), rng.randrange(30)
        return {"question": f"{a} + {b}?", "answer": str(a + b), "metadata": {"pair": (a, b)}}
    def __iter__(self):
        return (self.entry(random.Random(self.seed + n)) for n in range(500))
    def score_answer(self, answer, entry):
        return 1.0 if answer == entry["answer"] else 0.5 if entry["answer"] in answer else 0.0

class Evaluating(Sums):
    def score_answer(self, answer, entry):
        return float(str(eval(answer)) == entry["answer"])

class InTuples(Sums):
    def score_answer(self, answer, entry):
        return float(isinstance(entry["metadata"]["pair"], tuple))

class WithoutAnswer(Sums):
    def entry(self, rng):
        return super().entry(rng) | {"answer": None}

class Hanging(Sums):
    def score_answer(self, answer, entry):
        while answer == "hang":
            pass
        return float(answer == entry["answer"])

class Agreeing(Sums):
    def score_answer(self, answer, entry):
        return 1.0

class Raising(Sums):
    def score_answer(self, answer, entry):
        return float(int(answer) == int(entry["answer"]))

KINDS = {"sums": Sums, "countdown": Evaluating, "n_queens": Evaluating, "hangs": Hanging,
         "tuples": InTuples, "blank": WithoutAnswer, "agrees": Agreeing, "raises": Raising}
DATASETS = {name: (kind, None) for name, kind in KINDS.items()}

def create_dataset(name, seed):
    return DATASETS[name][0](seed)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A package of that name for this process and those that grade."""
    folder = tmp_path / "site" / "reasoning_gym"
    folder.mkdir(parents=True)
    (folder / "factory.py").write_text(FACTORY)
    (folder / "__init__.py").write_text("from reasoning_gym.factory import create_dataset\n")
    about = folder.parent / "reasoning_gym-0.1.25.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: reasoning-gym\nVersion: 0.1.25\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder.parent), *sys.path]))
    monkeypatch.syspath_prepend(folder.parent)
    for name in [name for name in sys.modules if name.partition(".")[0] == "reasoning_gym"]:
        monkeypatch.delitem(sys.modules, name)
    data_set.cache_clear()
    yield
    data_set.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "reasoning_gym"]:
        del sys.modules[name]


def test_problems_are_distinct_and_no_question_of_an_evaluation_is_in_a_search(stand_in):
    found = load("reasoning_gym:sums", count=60)
    assert load("reasoning_gym:sums", count=60, limit=7) == found[:7]
    assert len({problem.prompt for problem in found}) == 60
    assert load("reasoning_gym:sums", count=60, problem_seed=1) != found
    others = load("reasoning_gym:sums", count=300, split="search") + load("reasoning_gym:sums", count=300, split="dev")
    assert not {problem.source for problem in found} & {problem.source for problem in others}
    with pytest.raises(DataError, match="different questions of this split, and no more"):
        load("reasoning_gym:sums", count=900)


def test_gold_answers_pass_and_rows_are_made(stand_in, tmp_path):
    assert "20/20 gold answers correct" in here("check", "--tasks", "reasoning_gym:sums", "--limit", 20, code=0).stdout
    command = ["eval", "--model", "mock", "--backend", "mock", "--tasks", "reasoning_gym:sums,letter_count"]
    done = here(*command, "--limit", 3, "--store", tmp_path, "--json", code=0)
    assert [row["n"] for row in json.loads(done.stdout)["rows"]] == [3, 3]
    names = "reasoning_gym:blank,reasoning_gym:tuples,reasoning_gym:agrees"
    done = here("check", "--tasks", names, "--limit", 2, code=3)
    said = " ".join(done.stdout.split())
    assert "2 without a reference" in said
    assert "refuses its own answer" in said
    assert "calls any answer right" in said
    problem = load("reasoning_gym:sums", limit=1)[0]
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": problem.id, "response": problem.gold["reference"]}) + "\n")
    score = ["score", "--task", "reasoning_gym:sums", "--responses", tmp_path / "in.jsonl", "--json"]
    assert json.loads(here(*score, code=0).stdout)["accuracy"] == 1.0


def test_problems_can_be_searched_and_written(stand_in, tmp_path):
    data = ["data", "reasoning_gym:sums", tmp_path / "data", "--count", 40, "--against", "reasoning_gym:sums", "--json"]
    figures = json.loads(here(*data, code=0).stdout)
    assert (figures["compared"], figures["families"]) == ({"reasoning_gym:sums": 200}, {"reasoning_gym": 40})
    rows = (tmp_path / "data" / "problems.jsonl").read_text().splitlines()
    (tmp_path / "same.jsonl").write_text(json.dumps(load("reasoning_gym:sums", limit=1)[0].document()) + "\n" + rows[0])
    same = ["data", tmp_path / "same.jsonl", tmp_path / "out", "--count", 2, "--against", "reasoning_gym:sums"]
    assert "OVERLAP: 1 with reasoning_gym:sums" in here(*same, code=1).stdout
    done = here(
        "search", "run", "--model", "mock", "--backend", "mock", "--rollouts", 2, "--correct", 0,
        "--tasks", "reasoning_gym:sums", "--limit", 2, "--out", tmp_path / "trees", "--json",
    )  # fmt: skip
    assert json.loads(done.stdout)["problems"] == 2


def test_a_recipe_takes_them_into_a_suite_of_its_own(stand_in, tmp_path):
    tasks = ["mini_math", "reasoning_gym:sums"]
    recipe = {"extends": "ablation_full", "name": "mine", "suite": "gym", "suites": {"gym": tasks}}
    (tmp_path / "mine.yaml").write_text(json.dumps(recipe))
    jobs = build(load_recipe(str(tmp_path / "mine.yaml")), load_profile("tiny")).jobs.values()
    assert {tuple(job.params["tasks"]) for job in jobs if job.kind == "eval"} == {tuple(tasks)}


def test_what_is_read_and_what_it_is_worth(stand_in):
    problem = load("reasoning_gym:sums", limit=1)[0]
    gold, right = problem.gold, problem.gold["entry"]["answer"]
    with Grader() as grader:
        for response, verdict in (
            (f"<think>no</think>So <answer> {right} </answer>.", "correct"),
            (f"First <answer>x</answer>, then <answer>{right}</answer>", "correct"),
            (f"It is \\boxed{{{right}}}.", "correct"),
            (right, "correct"),
            (f"<answer>{right} apples</answer>", "wrong"),
            (f"I think so.\nIt is {right}.", "no_answer"),
        ):
            assert grader.grade("reasoning_gym", gold, response).verdict == verdict, response
        partial = grader.grade("reasoning_gym", gold, f"<answer>{right} apples</answer>")
        assert (partial.details["score"], partial.reason) == (0.5, "the verifier of sums gives 0.5")
        assert (partial.how, grader.grade("reasoning_gym", gold, right).how) == ("marked line", "concluding sentence")
        assert grader.grade("reasoning_gym", gold, right, "length").verdict == "unfinished"


@pytest.mark.parametrize("name", ["countdown", "n_queens"])
def test_no_answer_is_evaluated(stand_in, name, tmp_path):
    gold = {"dataset": name, "entry": {"answer": "3", "metadata": {}}}
    canary = tmp_path / "canary"
    with Grader() as grader:
        assert grader.grade("reasoning_gym", gold, "<answer>(1 + 2)</answer>").correct == (name == "countdown")
        for code in (
            f"open('{canary}', 'w')",
            f"(lambda: open({str(canary)!r}, 'w'))()",
            "().__class__",
            "9" * 55 + "!",
        ):
            assert grader.grade("reasoning_gym", gold, f"<answer>{code}</answer>").verdict == "wrong"
    assert not canary.exists()


def test_a_verifier_that_hangs_costs_its_limit(stand_in):
    gold = {"dataset": "hangs", "entry": {"answer": "3", "metadata": {}}}
    with Grader() as grader:
        assert grader.grade("reasoning_gym", gold, "<answer>hang</answer>").verdict == "grader_timeout"
        assert grader.grade("reasoning_gym", gold, "<answer>3</answer>").verdict == "correct"
        unread = grader.grade("reasoning_gym", gold | {"dataset": "raises"}, "<answer>three</answer>")
        assert (unread.verdict, unread.reason) == ("wrong", "the verifier of raises raises ValueError")


def test_an_absent_package_and_unknown_names_are_one_line(stand_in, monkeypatch):
    done = here("check", "--tasks", "reasoning_gym:sum", code=3)
    assert "no such data set (did you mean 'sums'?)" in " ".join(done.stdout.split())
    data_set.cache_clear()
    with monkeypatch.context() as absent:
        absent.setitem(sys.modules, "reasoning_gym", None)
        done = here("eval", "--model", "mock", "--backend", "mock", "--tasks", "reasoning_gym:sums", code=2)
        absent.undo()
        absent.setattr(metadata, "version", lambda name: "0.1.99")
        with pytest.raises(DataError, match=r"needs the package reasoning-gym 0\.1\.25 \(this is 0\.1\.99\)"):
            package()
    assert "pip install 'harness[reasoning-gym]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_what_needs_lm_eval_is_refused_in_one_line(stand_in):
    common = ["eval", "--model", "mock", "--backend", "mock", "--tasks"]
    for words in (["reasoning_gym:sums", "--few-shot", 2], ["reasoning_gym:sums,arc_easy"]):
        done = here(*common, *words, code=2)
        assert "reasoning_gym:sums: has no task file for lm-eval" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@real
@pytest.mark.parametrize(
    "name", ["chain_sum", "countdown", "gsm_symbolic", "n_queens", "simple_integration", "knights_knaves", "sudoku"]
)
def test_gold_answers_of_the_package_pass(name):
    with Grader() as grader:
        for problem in islice(drawn(f"reasoning_gym:{name}", "eval", 0), 4):
            grade = grader.grade(problem.family, problem.gold, problem.gold["reference"])
            assert grade.correct, (problem.gold["entry"], grade)


@real
def test_which_verifiers_of_the_package_evaluate_is_known():
    """Modules of data sets that call eval or parse_expr are those that ``gym`` lists, or do so to draw problems."""
    import inspect
    import re

    from reasoning_gym.factory import DATASETS

    found = set()
    for name, (kind, _) in DATASETS.items():
        source = inspect.getsource(sys.modules[kind.__module__])
        if re.search(r"(?<![\w.])(?:eval|exec|sympify)\(|\.?parse_expr\(", source):
            found.add(name)
    drawing = {"basic_arithmetic", "codeio", "number_sorting", "propositional_logic"}
    assert found == {*_FORMULAS, *_LITERALS, *_REFUSED} | drawing
