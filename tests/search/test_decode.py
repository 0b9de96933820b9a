"""Tree search at test time: N answers a problem, no verdict looked at, resumed exactly, beside plain sampling."""

from __future__ import annotations

import json

import pytest

from harness.errors import ModelError
from harness.evaluation.plan import EvalPlan, load_samples
from harness.evaluation.spec import Decoding, ProblemData
from harness.models.backends.hf import HFCompleter
from harness.problems.registry import select
from harness.results.compare import compare_decodings
from harness.results.runs import evaluate_and_summarise
from harness.search.decode import Trees, tokens_of_trees
from harness.search.store import trees
from tests.cli.test_cli import harness


@pytest.fixture(scope="module")
def completer(student):
    return HFCompleter(student, threads=1)


def plan(task="mini_math", budget=4, count=6):
    decoding = Decoding(max_tokens=150, samples=budget)
    data = ProblemData(split="dev", count=count)
    return EvalPlan(tasks=select([task], None), decoding=decoding, data=data, sampler=Trees(budget=budget))


def run(completer):
    return lambda plan, folder, progress: evaluate_and_summarise(completer, completer.tokenizer, plan, folder, progress)


@pytest.fixture(scope="module")
def compared(completer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees")
    return folder, compare_decodings(plan(), run(completer), folder, lambda done, total, tokens: None, tokens_of_trees)


def test_every_problem_gets_its_answers_from_one_tree(compared, completer):
    folder, _ = compared
    samples = load_samples(folder)
    assert sorted((s.problem_id, s.index) for s in samples) == sorted(
        (p, i) for p in {s.problem_id for s in samples} for i in range(4)
    )
    by_prompt = {}
    for stored in trees(folder / "trees"):
        answers = {row["text"] for row in stored.rows if row["node"].rpartition("/")[2].startswith("answer")}
        by_prompt[stored.problem.prompt] = answers
        assert all(row.get("verdict", "no_answer") == "no_answer" for row in stored.rows)
    assert len(by_prompt) == 6
    for sample in samples:
        if sample.finish == "stop":
            assert any(sample.text.endswith(text) for answers in by_prompt.values() for text in answers)
            assert completer.tokenizer.decode(sample.token_ids) == sample.text + completer.tokenizer.eos_token


def test_rows_are_test_at_n_of_the_samples(compared):
    folder, found = compared
    rows, gap = found["mini_math"]
    solved = {}
    for sample in load_samples(folder):
        solved[sample.problem_id] = solved.get(sample.problem_id, False) or sample.grade.correct
    assert rows[0].test == pytest.approx(sum(solved.values()) / 6)
    assert rows[0].tokens == pytest.approx(
        sum(row["generated"] for stored in trees(folder / "trees") for row in stored.rows) / 6
    )
    assert rows[1].guesses == 4
    assert abs(rows[2].tokens - rows[0].tokens) <= 0.5 * rows[1].tokens / 4 + 1 + 0.2 * rows[0].tokens
    assert gap.n == 6
    assert gap.difference == pytest.approx(rows[0].test - rows[2].test)


def test_a_killed_run_ends_in_the_same_samples(compared, completer, tmp_path):
    folder, _ = compared
    whole = load_samples(folder)
    journal = tmp_path / "trees" / "journal.jsonl"
    journal.parent.mkdir()
    (tmp_path / "trees" / "search.json").write_bytes((folder / "trees" / "search.json").read_bytes())
    lines = []
    for stored in list(trees(folder / "trees"))[:2]:
        name = stored.problem.id
        lines.append({"problem": name, "record": stored.problem.model_dump(), "tokens": stored.prompt_tokens})
        lines += [{"problem": name, **row} for row in stored.rows]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]) + '{"problem":"to')
    evaluate_and_summarise(completer, completer.tokenizer, plan(), tmp_path)
    assert load_samples(tmp_path) == whole
    before = completer.generated_tokens
    evaluate_and_summarise(completer, completer.tokenizer, plan(), tmp_path)
    assert completer.generated_tokens == before


def test_conversations_and_foreign_tags_are_refused(completer, tmp_path):
    from dataclasses import replace

    from harness.models.spec import Prompting

    other = replace(plan(), prompting=Prompting(think_tags="<Thought>,</Thought>"))
    with pytest.raises(ModelError, match="<think> tags"):
        evaluate_and_summarise(completer, completer.tokenizer, other, tmp_path)


def test_the_command_prints_both_decodings(tmp_path):
    common = ["eval", "--model", "mock", "--backend", "mock", "--tasks", "letter_count", "--limit", "5"]
    done = harness(*common, "--decode", "mcts", "--budget", "3", "--store", str(tmp_path))
    assert "tree against plain at equal tokens" in done.stdout
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    again = json.loads(harness(*common, "--decode", "mcts", "--budget", "3", "--store", str(tmp_path), "--json").stdout)
    assert [row["name"] for row in again["rows"]] == ["tree", "plain, answers", "plain, tokens"]
    bad = harness(*common, "--decode", "mcts", "--grammar", "nope", "--store", str(tmp_path), code=2)
    assert "no grammar" in bad.stderr
