"""A whole run through lm-eval: resume, equal verdicts, lm-eval's own score beside ours."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from harness.errors import Usage
from harness.evaluation.evaluate import evaluate
from harness.evaluation.plan import EvalPlan, load_samples
from harness.evaluation.spec import Decoding, ProblemData, Selection
from harness.evaluation.tasks import load_tasks
from harness.files import shipped
from harness.models.backends.hf import HFCompleter
from harness.models.prompts import prompt_ids
from harness.models.spec import Prompting
from harness.problems.embedded import FAMILIES, problems
from harness.problems.registry import select, tasks
from harness.results.runs import evaluate_and_summarise
from tests.commands import here as harness
from tests.replies import MockCompleter

TASK = """
task: {name}
output_type: generate_until
custom_dataset: !function local.dataset
test_split: test
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "0"
process_results: !function local.process_results
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
LOCAL = """
import json
from harness.problems.load import process_results
from datasets import Dataset

def dataset(**_):
    gold = json.dumps({"answer": "5"})
    rows = [{"id": str(n), "family": "number", "prompt": f"{n} + 1 = ?", "gold": gold} for n in range(3)]
    return {"test": Dataset.from_list(rows)}
"""


@pytest.fixture(scope="module")
def completer(student):
    return HFCompleter(student, threads=1)


def run(completer, folder, **settings):
    decoding = Decoding(max_tokens=150, **settings)
    plan = EvalPlan(tasks=select([], "embedded"), decoding=decoding, data=ProblemData(split="dev", count=12))
    return evaluate_and_summarise(completer, completer.tokenizer, plan, folder)


def test_a_task_has_a_number_of_samples_of_its_own(completer, tmp_path):
    decoding = Decoding(max_tokens=20, samples=1, samples_of={"mini_rules": 3})
    data = ProblemData(split="dev", count=2)
    for name, tasks_ in (("here", ["mini_math", "mini_rules"]), ("alone", ["mini_rules"])):
        plan = EvalPlan(tasks=select(tasks_, None), decoding=decoding, data=data)
        evaluate_and_summarise(completer, completer.tokenizer, plan, tmp_path / name)
    drawn = {
        name: [(s.task, s.problem_id, s.index, s.seed) for s in load_samples(tmp_path / name)]
        for name in ("here", "alone")
    }
    assert [sum(task == of for task, *_ in drawn["here"]) for of in ("mini_math", "mini_rules")] == [2, 6]
    assert [row for row in drawn["here"] if row[0] == "mini_rules"] == drawn["alone"]
    assert len({seed for *_, seed in drawn["alone"]}) == 6


def test_run_resume_and_agreement_with_lm_eval(completer, tmp_path):
    rows = run(completer, tmp_path / "whole")
    samples = load_samples(tmp_path / "whole")
    assert len(samples) == 36
    assert {task: row.n for task, row in rows.items()} == {"mini_math": 12, "mini_blocks": 12, "mini_rules": 12}
    theirs = json.loads((tmp_path / "whole" / "metrics.json").read_text())["lm_eval"]
    for task, row in rows.items():
        assert theirs[task] == pytest.approx(row.accuracy)

    # Killed after 10 samples and a torn line: the rest is sampled, and every verdict and token is the same.
    lines = (tmp_path / "whole" / "generated.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "generated.jsonl").write_bytes(b"".join(lines[:10]) + lines[10][:20])
    assert run(completer, tmp_path / "part") == rows
    assert load_samples(tmp_path / "part") == samples

    before = completer.generated_tokens
    assert run(completer, tmp_path / "whole") == rows
    assert completer.generated_tokens == before  # nothing was generated again
    other = run(completer, tmp_path / "whole", seed=1)
    assert completer.generated_tokens > before  # another seed is another sample, in the same journal
    assert load_samples(tmp_path / "whole") != samples
    assert set(other) == set(rows)


def test_prompts_through_lm_eval_are_the_chat_template_with_one_bos(completer, tmp_path):
    from harness.models.base import seed_of

    run(completer, tmp_path / "r")
    expected = {
        p.id: f"{seed_of(prompt_ids(completer.tokenizer, p.prompt)):012x}"
        for family in ("mini_math", "mini_blocks", "mini_rules")
        for p in problems(family, "dev", 12)
    }
    got = {s.problem_id: s.prompt_ids_hash for s in load_samples(tmp_path / "r")}
    assert got == expected


@pytest.mark.parametrize(
    ("names", "prompting"),
    [
        (["mini_rules", "letter_count", "mini_math"], Prompting()),
        (["letter_count"], Prompting(system="Be brief.")),
        (["mini_math", "letter_count"], Prompting(system="Be brief.", chat=False)),
    ],
)
def test_our_tasks_give_the_same_files_without_lm_eval(tokenizer, tmp_path, names, prompting):
    """lm-eval is left out where it adds nothing, as its import takes a second; the results are those with it."""
    plan = EvalPlan(
        tasks=select(names, None), decoding=Decoding(samples=2), prompting=prompting,
        selection=Selection(limit=7), data=ProblemData(split="dev", count=12),
    )  # fmt: skip
    through = replace(plan, tasks=[replace(task, max_tokens=None) for task in plan.tasks])
    completer = MockCompleter(tokenizer, lambda prompt: f"<think>x</think>{len(prompt) % 30}")
    files = []
    for name, each in (("without", plan), ("through", through)):
        evaluate_and_summarise(completer, tokenizer, each, tmp_path / name)
        texts = [(tmp_path / name / file).read_text() for file in ("samples.jsonl", "problems.jsonl")]
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        assert set(metrics["lm_eval"]) == set(names)
        files.append((*texts, metrics | {"seconds": 0}))
    assert files[0] == files[1]
    levels = {p.id: p.level for family in FAMILIES for p in problems(family, "dev", 12)}
    found = {s.problem_id: s.level for s in load_samples(tmp_path / "through")}
    assert found == {name: levels.get(name, 0) for name in found}  # a sample keeps its problem's
    assert len(set(found.values())) > 1 or names == ["letter_count"]


def test_task_files_that_say_more_than_ours_are_left_to_lm_eval(tmp_path):
    assert all(task.max_tokens for task in tasks().values())
    shutil.copytree(shipped("tasks"), tmp_path / "tasks")
    assert not any(task.max_tokens for task in tasks([tmp_path / "tasks"]).values())


def test_registry():
    assert set(tasks()) >= {"mini_math", "mini_blocks", "mini_rules", "gsm8k"}
    with pytest.raises(Usage, match="did you mean 'mini_math'"):
        select(["mini_maths"], None)
    with pytest.raises(Usage, match="no suite"):
        select([], "embeded")
    with pytest.raises(Usage, match="no tasks named"):
        select([], None)


def test_one_prompt_in_two_tasks_is_asked_once_and_both_show_that_sample(tokenizer, tmp_path):
    """Before, each task sampled anew, showed its own text, and both showed the first one after a resume."""
    for name in ("first", "second"):
        (tmp_path / f"{name}.yaml").write_text(TASK.format(name=name))
    (tmp_path / "local.py").write_text(LOCAL)
    asked = []

    def reply(prompt):
        asked.append(prompt)
        return f"<think>x</think>{len(asked)}"

    decoding = Decoding(max_tokens=20, samples=2)
    plan = EvalPlan(tasks=select(["first", "second"], None, [tmp_path]), decoding=decoding, task_paths=[tmp_path])
    completer = MockCompleter(tokenizer, reply)
    for _ in range(2):  # at once, and from the journal
        evaluate(completer, tokenizer, plan, tmp_path / "run")
        samples = load_samples(tmp_path / "run")
        texts = {task: [(s.problem_id, s.text) for s in samples if s.task == task] for task in ("first", "second")}
        assert texts["first"] == texts["second"]
        assert len(asked) == len({text for _, text in texts["first"]}) == 6


def test_lm_eval_is_left_as_it_was():
    from lm_eval import evaluator
    from lm_eval.api import task

    before = evaluator.get_git_commit_hash, task.tqdm
    load_tasks(EvalPlan(tasks=select(["mini_math"], None), data=ProblemData(split="dev", count=2)))
    assert (evaluator.get_git_commit_hash, task.tqdm) == before


def test_options_that_do_not_go_together_are_refused(tmp_path):
    common = ["eval", "--model", "mock", "--backend", "mock", "--tasks", "letter_count", "--store", str(tmp_path)]
    for more, message in (
        (["--budget", "3"], "need --decode mcts"),
        (["--decode", "mcts", "--samples", "3"], "--samples does not go with --decode mcts"),
        (["--decode", "mcts", "--max-tokens", "9"], "--max-tokens does not go with"),
        (["--decode", "mcts", "--max-unfinished", "0.1"], "--max-unfinished does not go with"),
        (["--ids", "1", "--limit", "1"], "exclude each other"),
        (["--base-url", "http://a/v1,http://b/v1"], "one server"),
    ):
        done = harness(*common, *more, code=2)
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_fresh_forgets_trees_and_plain_samples_too(tmp_path):
    run = ["eval", "--model", "mock", "--backend", "mock", "--tasks", "letter_count", "--limit", "2"]
    run += ["--out", str(tmp_path)]
    harness(*run, "--decode", "mcts", "--budget", "2")
    kept = tmp_path / "plain-notes"
    kept.mkdir()
    assert (tmp_path / "trees").is_dir()
    assert (tmp_path / "plain" / "samples.jsonl").is_file()
    harness(*run, "--fresh")
    assert not (tmp_path / "trees").exists()
    assert not list(tmp_path.glob("plain*/samples.jsonl"))
    assert kept.is_dir()
