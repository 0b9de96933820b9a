"""Prompts as they are sent: examples before a problem, and what --dry-run and tasks show print of them."""

from __future__ import annotations

import json

import pytest

from harness.errors import DataError
from harness.evaluation.asking import as_sent
from harness.evaluation.evaluate import evaluate
from harness.evaluation.plan import EvalPlan
from harness.evaluation.spec import Decoding, ProblemData, Selection
from harness.grading.grade import Grader
from harness.models.spec import Prompting
from harness.problems.embedded import problems
from harness.problems.examples import examples, solution
from harness.problems.registry import select
from tests.commands import here as harness
from tests.replies import MockCompleter

TASK = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/test.jsonl, more: {folder}/more.jsonl}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: gold
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
process_results: !function sums.process_results
"""


class Noting(MockCompleter):
    """Keeps what it is asked."""

    def __init__(self, tokenizer, reply="The answer is \\boxed{4}."):
        super().__init__(tokenizer, lambda text: reply)
        self.requests = []

    async def complete(self, request):
        self.requests.append(request)
        return await super().complete(request)

    @property
    def prompts(self):
        return [self.tokenizer.decode(request.prompt_ids) for request in self.requests]


@pytest.fixture
def own(tmp_path):
    """Writes a task of one's own with more lines in its file; returns its folder."""

    def written(*lines):
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        for split, names in (("test", "abcdef"), ("more", "uvwxyz")):
            rows = [
                {"id": f"{name}", "family": "number", "prompt": f"{name} plus {n}?", "gold": json.dumps({"answer": n})}
                for n, name in enumerate(names)
            ]
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "sums.yaml").write_text(TASK.format(folder=folder) + "\n".join(lines) + "\n")
        (folder / "sums.py").write_text("from harness.problems.load import process_results\n")
        return folder

    return written


def plan(*tasks, folder=None, **prompting):
    paths = [folder] if folder else []
    chosen = select([*tasks] or ["sums"], None, paths)
    return EvalPlan(
        tasks=chosen, task_paths=paths, prompting=Prompting(**prompting), data=ProblemData(count=6),
        decoding=Decoding(max_tokens=40),
    )  # fmt: skip


def texts(tokenizer, one):
    return [text for _, text in as_sent(one, tokenizer)[one.tasks[0].name]]


def test_chat_models_get_examples_as_turns_the_same_for_every_problem(tokenizer):
    sent, bare = (texts(tokenizer, plan("mini_math", few_shot=n)) for n in (2, 0))
    shown = {problem.prompt: solution(problem) for problem in problems("mini_math", "search", 64)}
    heads = {text.removesuffix(end.removeprefix("<|bos|>")) for text, end in zip(sent, bare, strict=True)}
    [head] = heads
    turns = [turn.split("<|user|>")[-1].split("<|end|>")[0] for turn in head.split("<|assistant|>")]
    answers = [turn.split("<|end|>")[0] for turn in head.split("<|assistant|>")[1:]]
    assert [shown[question] for question in turns[:2]] == answers
    assert len(set(turns[:2])) == 2
    assert texts(tokenizer, plan("mini_math", few_shot=2)) == sent


def test_base_models_get_questions_and_answers_as_text(tokenizer):
    sent = texts(tokenizer, plan("mini_rules", few_shot=2, chat=False))[0]
    first, second, own = sent.split("\n\n")
    assert first.startswith("Question: ")
    assert "\nAnswer: " in second
    assert own == f"Question: {problems('mini_rules', 'eval', 6)[0].prompt}\nAnswer:"


def test_without_examples_prompts_and_keys_are_what_they_were(tokenizer, tmp_path):
    sent = [Noting(tokenizer) for _ in range(3)]
    for completer, change in zip(sent, ({}, {"few_shot": 0}, {"few_shot": 1}), strict=True):
        evaluate(completer, tokenizer, plan("mini_math", **change), tmp_path / str(change.get("few_shot")))
    before, none, one = ([request.key("model") for request in completer.requests] for completer in sent)
    assert before == none
    assert not set(before) & set(one)
    assert {request.stop for request in sent[0].requests} == {()}


def test_examples_of_a_task_of_ones_own_are_drawn_once(tokenizer, own):
    """They were drawn from the machine's entropy, so that a resumed run asked something else."""
    one = plan(folder=own("fewshot_split: more", "num_fewshot: 3"))
    sent = texts(tokenizer, one)
    assert sent == texts(tokenizer, one)
    assert len({text.rsplit("<|user|>", 1)[0] for text in sent}) == 1
    assert all(text.count("<|assistant|>\\boxed{") == 3 for text in sent)
    assert not any(f"{name} plus" in sent[0].rsplit("<|user|>", 1)[0] for name in "abcdef")


def test_a_problem_is_never_its_own_example(tokenizer, own):
    """lm-eval takes test problems where a task names no split for them, the asked one among them."""
    for text, name in zip(texts(tokenizer, plan(folder=own(), few_shot=5, chat=False)), "abcdef", strict=True):
        assert text.count(f"Question: {name} plus") == 1
        assert text.count("Question:") == 6


def test_more_examples_than_there_are_is_one_line(tokenizer, own):
    with pytest.raises(DataError, match="sums: has 5 examples, no 6"):
        texts(tokenizer, plan(folder=own(), few_shot=6))
    with pytest.raises(DataError, match="ifeval: has no examples to show"):
        examples("ifeval")


def test_a_form_of_ones_own_is_kept(tokenizer, own):
    folder = own("fewshot_split: more")
    file = folder / "sums.yaml"
    file.write_text(file.read_text().replace("doc_to_text: prompt", 'doc_to_text: "Q: {{prompt}} A:"'))
    text = texts(tokenizer, plan(folder=folder, few_shot=1, chat=False))[0]
    assert text.startswith("Q: ")
    assert text.endswith("\n\nQ: a plus 0? A:")


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("few_shot", [None, 2])
def test_what_is_shown_is_what_is_sent(tokenizer, own, tmp_path, chat, few_shot):
    """--dry-run printed an empty prompt for tasks of one's own, tasks show one without examples or system message."""
    folder = own("fewshot_split: more", "num_fewshot: 1")
    one = plan(folder=folder, few_shot=few_shot, chat=chat, system="Be brief.")
    completer = Noting(tokenizer)
    evaluate(completer, tokenizer, one, tmp_path / "run")
    sent = texts(tokenizer, one)
    assert sorted(prompt.removeprefix("<|bos|>") for prompt in completer.prompts) == sorted(
        prompt.removeprefix("<|bos|>") for prompt in sent
    )
    options = ["--task-path", folder, "--system", "Be brief.", "--json"]
    options += [] if chat else ["--no-chat-template"]
    options += ["--few-shot", few_shot] if few_shot is not None else []
    shown = json.loads(harness("tasks", "show", "sums", "--number", 1, *options, code=0).stdout)
    assert shown["prompt"] == sent[1]
    dry = ["eval", "--model", "mock", "--backend", "mock", "--tasks", "sums", "--store", tmp_path, "--dry-run"]
    seen = json.loads(harness(*dry, *options, code=0).stdout)
    assert seen["first_prompt"] == sent[0]
    assert seen["rows"][0]["problems"] == 6


def test_a_system_message_before_plain_text_is_shown_as_sent(tokenizer, tmp_path):
    one = plan("mini_math", chat=False, system="Be brief.")
    completer = Noting(tokenizer)
    evaluate(completer, tokenizer, one, tmp_path)
    assert {p.removeprefix("<|bos|>") for p in completer.prompts} == set(texts(tokenizer, one))


def test_a_row_without_grader_of_ours_is_shown(own, tmp_path):
    """It ended in a traceback, and check called a task that runs a failure."""
    folder = own()
    file = folder / "sums.yaml"
    file.write_text(file.read_text().replace("doc_to_text: prompt", "doc_to_text: question"))
    (folder / "test.jsonl").write_text('{"question": "1 + 1?", "answer": "2", "gold": "2"}\n')
    (folder / "more.jsonl").write_text('{"question": "1 + 2?", "answer": "3", "gold": "3"}\n')
    (folder / "sums.py").write_text("def process_results(doc, results):\n    return {'acc': 1.0}\n")
    shown = json.loads(harness("tasks", "show", "sums", "--task-path", folder, "--json", code=0).stdout)
    assert "1 + 1?" in shown["prompt"]
    assert shown["gold"]["answer"] == "2"
    common = ("--task-path", folder, "--model", "shipped:student", "--store", tmp_path, "--json")
    found = json.loads(harness("check", "--tasks", "sums", *common, code=0).stdout)["findings"]
    assert ("sums", "note") in {(row["what"], row["status"]) for row in found}
    assert any(row["what"] == "sums prompts" and row["status"] == "ok" for row in found)


def test_worked_answers_are_right():
    with Grader() as grader:
        for family in ("mini_math", "mini_blocks", "mini_rules", "letter_count"):
            for one in examples(family)[:20]:
                assert grader.grade(one.family, one.gold, solution(one)).correct, one.id


def test_training_problems_of_gsm8k_end_in_the_form_that_is_asked_for(shared_data, tokenizer):
    found = examples("gsm8k", shared_data)
    assert len(found) == 7473
    assert solution(found[0]) == (
        "Natalia sold 48/2 = 24 clips in May.\nNatalia sold 48+24 = 72 clips altogether in April and May.\n"
        "The answer is \\boxed{72}."
    )
    one = plan("gsm8k", few_shot=4, chat=False)
    one = EvalPlan(tasks=one.tasks, prompting=one.prompting, data=ProblemData(data_dir=shared_data),
                   selection=Selection(limit=2))  # fmt: skip
    assert [text.count("\nThe answer is \\boxed{") for text in texts(tokenizer, one)] == [4, 4]
