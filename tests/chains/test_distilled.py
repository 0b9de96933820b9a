"""A teacher's chains: the published forms, our tags, the filters, and ranks as searched chains have them."""

from __future__ import annotations

import json

import pytest

from harness.chains.distilled import Output, Taught, chains_of_outputs, filtered, in_our_tags, read_outputs
from harness.errors import DataError
from harness.records import Problem

SKY = {
    "system": "Think first.",
    "conversations": [
        {"from": "user", "value": "What is 2 + 2?"},
        {"from": "assistant", "value": "<|begin_of_thought|>\n\n2 and 2.\n\n<|end_of_thought|>\n\n"
         "<|begin_of_solution|>\n\nIt is \\boxed{4}.\n\n<|end_of_solution|>"},
    ],
}  # fmt: skip
OPEN_R1 = {
    "uuid": "u1", "problem": "What is 3 + 3?", "answer": "6", "solution": "6",
    "generations": ["<think>\n3 and 3.\n</think>\n\nIt is \\boxed{6}.", "<think>3, 3, 3, 3"],
    "finish_reasons": ["stop", "length"],
}  # fmt: skip
MESSAGES = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "<think>a</think>b"}]}


def written(tmp_path, *rows):
    path = tmp_path / "teacher.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_published_forms_are_read_and_get_our_tags(tmp_path):
    outputs = list(read_outputs(written(tmp_path, SKY, OPEN_R1, MESSAGES), "math"))
    assert [o.problem.prompt for o in outputs] == ["What is 2 + 2?", "What is 3 + 3?", "What is 3 + 3?", "Q"]
    assert [o.finish for o in outputs] == ["stop", "stop", "length", "stop"]
    assert [o.problem.gold for o in outputs] == [{}, {"answer": "6"}, {"answer": "6"}, {}]
    kept, left_out = filtered(outputs)
    assert [o.text.split("</think>")[0].split() for o in kept] == [
        ["<think>", "2", "and", "2."], ["<think>", "3", "and", "3."], ["<think>a"],
    ]  # fmt: skip
    assert left_out == {"cut by the limit": 1}
    assert "solution" not in kept[0].text


def test_parquet_is_read_as_jsonl_is(tmp_path):
    from datasets import Dataset

    Dataset.from_list([OPEN_R1]).to_parquet(tmp_path / "t.parquet")
    a, b = (list(read_outputs(p, "math")) for p in (tmp_path / "t.parquet", written(tmp_path, OPEN_R1)))
    assert a == b


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<think>a", "without one closed thought"),
        ("b", "without one closed thought"),
        ("a</think>b", "without one closed thought"),
        ("<think>a</think> ", "without an answer"),
        ("<think>a</think>b<think>", "without one closed thought"),
        ("<think>a<think>c</think>b", "with foreign tags"),
    ],
)
def test_nothing_unfinished_or_malformed_passes(text, why):
    output = Output(problem=Problem(id="p", family="number", prompt="q", gold={}), text=text)
    kept, left_out = filtered([output])
    assert not kept
    assert left_out == {why: 1}


def test_control_tokens_and_doubles_do_not_pass(tokenizer):
    problem = Problem(id="p", family="number", prompt="q", gold={})
    texts = ["<think>a</think>b", "<think>a</think>b", f"<think>a{tokenizer.eos_token}</think>b"]
    kept, left_out = filtered([Output(problem=problem, text=text) for text in texts], [tokenizer])
    assert len(kept) == 1
    assert left_out == {"duplicates": 1, "with foreign tags": 1}


def test_tags_of_other_models_become_ours():
    assert in_our_tags("<Thought>x</Thought>y") == "<think>x</think>y"


def test_chains_are_ranked_within_problem_and_verdict(tokenizer):
    problem = Problem(id="p", family="number", prompt="What is 1 + 1?", gold={"answer": 2})
    texts = [("<think>1 + 1 = 2. 1 + 1 = 2.</think>2", True), ("<think>1</think>2", True), ("<think>1</think>3", False)]
    chains = chains_of_outputs(
        [Taught(problem=problem, text=text, correct=right, reason="") for text, right in texts], tokenizer
    )
    assert [(c.correct, c.rank) for c in chains] == [(True, 0), (True, 1), (False, 0)]
    assert chains[0].length < chains[1].length
    assert all(c.token_ids[-1] == tokenizer.eos_token_id for c in chains)
    assert tokenizer.decode(chains[0].token_ids[:-1]) == texts[1][0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("[1", "teacher.jsonl:1: not JSON"),
        ("[1]", "not an object"),
        ("{}", "has no question"),
        ('{"problem": "q"}', "has no text under generations"),
        ('{"problem": "q", "generations": [1]}', "has no text under generations"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}', "2 turns"),
    ],
)
def test_broken_rows_are_named(tmp_path, row, said):
    path = tmp_path / "teacher.jsonl"
    path.write_text(row + "\n")
    with pytest.raises(DataError, match=said.replace("[", r"\[")):
        list(read_outputs(path, "math"))
