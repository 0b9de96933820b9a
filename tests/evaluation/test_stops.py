"""Stop strings: they end the answer, and never a thought."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from harness.evaluation.evaluate import evaluate
from harness.evaluation.plan import EvalPlan
from harness.evaluation.spec import Decoding, ProblemData
from harness.grading.thinking import stopped
from harness.models.prompts import may_think
from harness.models.spec import Prompting
from harness.problems.registry import select
from tests.evaluation.test_asking import Noting, own  # noqa: F401 - a fixture

NEXT = "\n\nQuestion: What is 2 + 3?\nAnswer: \\boxed{5}"


def answers(tokenizer, folder, run, reply, stop=(), **prompting):
    """(requests, samples) of a task of one's own where every problem gets ``reply``."""
    completer = Noting(tokenizer, reply)
    one = EvalPlan(
        tasks=select(["sums"], None, [folder]), task_paths=[folder], prompting=Prompting(**prompting),
        decoding=Decoding(max_tokens=200, stop=[*stop]),
    )  # fmt: skip
    return completer.requests, evaluate(completer, tokenizer, one, run).samples


def test_a_question_that_a_base_model_goes_on_with_is_not_graded(tokenizer, own, tmp_path):  # noqa: F811
    """The last number of the whole text was: 5, of the question that the model had made up."""
    folder = own('generation_kwargs: {until: ["\\n\\nQuestion:"]}')
    asked, samples = answers(
        tokenizer, folder, tmp_path / "run", "It is \\boxed{1}." + NEXT, chat=False, thinking="off"
    )
    assert {sample.text for sample in samples} == {"It is \\boxed{1}."}
    assert {sample.problem_id: sample.grade.correct for sample in samples}["b"]
    assert {request.stop for request in asked} == {("\n\nQuestion:",)}


def test_a_stop_string_does_not_end_a_thought(tokenizer, own, tmp_path):  # noqa: F811
    folder = own('generation_kwargs: {until: ["\\n\\nQuestion:"]}')
    reply = f"<think>Hm.{NEXT} No.</think>It is \\boxed{{1}}.{NEXT}"
    asked, samples = answers(tokenizer, folder, tmp_path / "run", reply)
    assert {sample.text for sample in samples} == {f"<think>Hm.{NEXT} No.</think>It is \\boxed{{1}}."}
    assert {sample.problem_id: sample.grade.correct for sample in samples}["b"]
    assert {request.stop for request in asked} == {()}


def test_what_is_cut_after_its_answer_by_the_limit_is_finished(tokenizer, own, tmp_path):  # noqa: F811
    asked, samples = answers(tokenizer, own(), tmp_path / "run", "It is \\boxed{1}.###" + " on" * 400, stop=["###"])
    assert {(sample.text, sample.finish) for sample in samples} == {("It is \\boxed{1}.", "stop")}
    assert {request.stop for request in asked} == {()}


def test_a_task_that_names_no_stop_gets_none(tokenizer, own, tmp_path):  # noqa: F811
    """lm-eval's default is an empty line, in the middle of many answers."""
    reply = "First.\n\nIt is \\boxed{1}."
    asked, samples = answers(tokenizer, own(), tmp_path / "run", reply, chat=False, thinking="off")
    assert {sample.text for sample in samples} == {reply}
    assert {request.stop for request in asked} == {()}


def test_the_next_question_stops_examples_as_text(tokenizer, own, tmp_path):  # noqa: F811
    reply = "\\boxed{1}" + NEXT
    asked, samples = answers(tokenizer, own(), tmp_path / "run", reply, few_shot=1, chat=False, thinking="off")
    assert {sample.text for sample in samples} == {"\\boxed{1}\n"}
    assert {request.stop for request in asked} == {("\nQuestion:",)}


def test_a_resumed_run_cuts_as_the_first_did(tokenizer, own, tmp_path):  # noqa: F811
    folder = own()
    first = answers(tokenizer, folder, tmp_path / "run", "\\boxed{1} END more", stop=["END"])[1]
    asked, again = answers(tokenizer, folder, tmp_path / "run", "other", stop=["END"])
    assert (asked, again) == ([], first)
    drawn = [json.loads(line) for line in (tmp_path / "run" / "generated.jsonl").read_text().splitlines()]
    assert {row["text"] for row in drawn} == {"\\boxed{1} END more"}


def test_tasks_of_ours_take_stops_too(tokenizer, tmp_path):
    completer = Noting(tokenizer, "\\boxed{1} END \\boxed{2}")
    one = EvalPlan(
        tasks=select(["mini_math"], None), data=ProblemData(count=3), decoding=Decoding(stop=["END"]),
        prompting=Prompting(thinking="off"),
    )  # fmt: skip
    assert {sample.text for sample in evaluate(completer, tokenizer, one, tmp_path).samples} == {"\\boxed{1} "}
    assert {request.stop for request in completer.requests} == {("END",)}


def test_where_thoughts_are_to_be_expected(tokenizer):
    plain = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE()), chat_template="{{ messages }}")
    assert may_think(tokenizer, Prompting())
    assert may_think(tokenizer, Prompting(chat=False))  # the vocabulary has the tags: the model may know them
    assert not may_think(tokenizer, Prompting(thinking="off"))
    assert not may_think(plain, Prompting())
    assert may_think(plain, Prompting(think_tags="[a],[b]"))
    assert may_think(plain, Prompting(thinking="on"))


def test_stops_as_they_are_typed():
    assert Decoding(stop=["\\n\\nQ:"]).stop == ["\n\nQ:"]
    with pytest.raises(ValidationError, match="end every answer"):
        Decoding(stop=[""])


def test_where_a_response_is_stopped():
    tags = ("<think>", "</think>")
    assert stopped("a b c", ["b", "c"]) == "a "
    assert stopped("<think>a b", ["b"]) == "<think>a b"  # not closed: no answer yet
    assert stopped("a b</think>c b", ["b"], tags, prefilled=True) == "a b</think>c "
    assert stopped("a b</think>c b", ["b"]) == "a b</think>c "
    assert stopped("a", []) == "a"
