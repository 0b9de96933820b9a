"""Result files of other tools, in the shapes that these write: what is graded, and what is a thought."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError
from harness.evaluation.response_files import FORMATS, read_responses
from harness.evaluation.responses import match, score, with_gold
from harness.grading.grade import Grader
from harness.records import Problem

QUESTIONS = (
    "A cook breaks 7 eggs into a bowl and then 5 more. How many eggs are in the bowl?",
    "Two trams leave with 40 riders each. Nine riders get off. How many riders are left?",
)
PROBLEMS = [
    Problem(id="eggs", family="number", prompt=f"{QUESTIONS[0]} Box it.", source=QUESTIONS[0], gold={"answer": 12}),
    Problem(id="trams", family="number", prompt=f"{QUESTIONS[1]} Box it.", source=QUESTIONS[1], gold={"answer": 71}),
]
THOUGHT = "seven and five, or \\boxed{99}"


@pytest.fixture(scope="module")
def grader():
    with Grader(1) as pool:
        yield pool


def written(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def graded(grader, path, form, by_gold=False):
    """(id, verdict, think state, tokens of thinking) of each response in a file."""
    rows = read_responses(path, form)
    found = with_gold(rows, "number", path) if by_gold else match(rows, PROBLEMS, path)
    samples = score(found, grader, 1)
    return [
        (r.problem.id if r.problem else None, s.grade.verdict, s.grade.think_state, s.thinking_tokens)
        for r, s in zip(found, samples, strict=True)
    ]


# --- a field of its own for the thought ------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_a_thought_in_a_field_of_its_own_is_measured_and_never_graded(grader, tmp_path, field):
    rows = [
        {"id": "eggs", "response": "\\boxed{12}", field: THOUGHT},
        {"id": "eggs", "response": "", field: "so it is \\boxed{12}"},
        {"id": "eggs", "response": None, field: "so it is \\boxed{12}", "finish": "length"},
        {"id": "eggs", "response": "I do not know.", field: "\\boxed{12}"},
        {"id": "eggs", "response": "\\boxed{12}", field: "it ends in </think> \\boxed{99}"},
        {"id": "eggs", "response": "<think>more \\boxed{12}", field: "one thought"},
        {"id": "eggs", "response": "\\boxed{12}", field: None},
        {"id": "eggs", "response": "\\boxed{12}", field: True},
    ]
    found = graded(grader, written(tmp_path / "f.jsonl", *rows), "jsonl")
    assert [(verdict, state) for _, verdict, state, _ in found] == [
        ("correct", "closed"), ("no_answer", "closed"), ("unfinished", "closed"), ("no_answer", "closed"),
        ("correct", "closed"), ("unfinished", "unclosed"), ("correct", "none"), ("correct", "none"),
    ]  # fmt: skip
    assert all(tokens > 3 for *_, tokens in found[:5])
    assert found[6][3] == 0


def test_a_thought_that_is_no_text_is_one_line(tmp_path):
    path = written(tmp_path / "f.jsonl", {"id": "eggs", "response": "12", "reasoning": {"a": 1}})
    with pytest.raises(DataError, match=r"f\.jsonl:1: reasoning_content, reasoning, thinking hold a thought as text"):
        match(read_responses(path), PROBLEMS, path)


# --- OpenAI's batch output, and vLLM's run_batch, which writes the same ----------------------------------------------


def batch(name, message, finish="stop", status=200, **more):
    choice = {"index": 0, "message": {"role": "assistant", "refusal": None, **message}, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": {}}
    response = {"status_code": status, "request_id": "req-1", "body": body}
    return {"id": "batch_req_1", "custom_id": name, "response": response, "error": None, **more}


def test_openai_batch_output(grader, tmp_path):
    failed = {"code": "batch_expired", "message": "This request could not be executed."}
    items = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "\\boxed{71}"}]},
    ]
    replied = {"object": "response", "status": "completed", "incomplete_details": None, "output": items}
    cut = replied | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": items[:1]}
    two = batch("eggs", {"content": "\\boxed{12}"})
    two["response"]["body"]["choices"].append(
        {"index": 1, "message": {"content": "\\boxed{13}"}, "finish_reason": "stop"}
    )
    texts = {"object": "text_completion", "choices": [{"index": 0, "text": "\\boxed{12}", "finish_reason": "stop"}]}
    rows = [
        batch("trams", {"content": "\\boxed{71}"}),
        batch("eggs", {"content": "The answer is 1"}, "length"),
        batch("eggs", {"content": None, "refusal": "No."}),
        {"id": "batch_req_9", "custom_id": "eggs", "response": None, "error": failed},
        {"id": "r", "custom_id": "trams", "response": {"status_code": 200, "body": replied}, "error": None},
        {"id": "r", "custom_id": "trams", "response": {"status_code": 200, "body": cut}, "error": None},
        two,
        {"id": "r", "custom_id": "eggs", "response": {"status_code": 200, "body": texts}, "error": None},
        {"id": "r", "custom_id": "eggs", "response": {"status_code": 400, "body": {"error": {}}}, "error": None},
    ]
    found = graded(grader, written(tmp_path / "f.jsonl", *rows), "openai-batch")
    assert [each[:3] for each in found] == [
        ("trams", "correct", "none"), ("eggs", "unfinished", "none"), ("eggs", "no_answer", "none"),
        ("eggs", "infra_error", "none"), ("trams", "correct", "closed"), ("trams", "unfinished", "closed"),
        ("eggs", "correct", "none"), ("eggs", "wrong", "none"), ("eggs", "correct", "none"),
        ("eggs", "infra_error", "none"),
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_vllm_batches_and_offline_outputs(grader, tmp_path, field):
    message = {"content": "\\boxed{12}", field: THOUGHT, "tool_calls": []}
    rows = [batch("eggs", message), batch("eggs", {"content": None, field: THOUGHT}, "length")]
    output = {
        "index": 0, "text": "so 80 - 9</think>\\boxed{71}", "token_ids": [1, 2], "cumulative_logprob": None,
        "logprobs": None, "finish_reason": "stop", "stop_reason": "Question:",
    }  # fmt: skip
    rendered = (
        f"<|im_start|>user\n{QUESTIONS[0]} 12.\n\n{QUESTIONS[1]}\nBox it.<|im_end|>\n<|im_start|>assistant\n<think>"
    )
    offline = {"request_id": "0", "prompt": rendered, "prompt_token_ids": [1], "finished": True}
    rows.append(offline | {"outputs": [output, output | {"index": 1, "text": "so 80", "finish_reason": "length"}]})
    found = graded(grader, written(tmp_path / "f.jsonl", *rows), "vllm")
    assert [each[:3] for each in found] == [
        ("eggs", "correct", "closed"), ("eggs", "unfinished", "closed"), ("trams", "correct", "orphan_close"),
        ("trams", "unfinished", "none"),
    ]  # fmt: skip


# --- evalscope -------------------------------------------------------------------------------------------------------


def scope(index, question, content, stop="stop"):
    message = {
        "id": "1a", "content": content, "source": "generate", "role": "assistant", "tool_calls": None, "model": "m",
    }  # fmt: skip
    output = {"id": "c", "model": "m", "choices": [{"message": message, "stop_reason": stop, "logprobs": None}]}
    asked = {"id": "1b", "content": f"Think first.\n\n{question}\nPut it in a box.", "source": None, "role": "user"}
    return {
        "index": index, "model": "m", "model_output": output | {"usage": None, "error": None},
        "messages": [asked, message], "metadata": {"reasoning": "7 + 5 = 12"},
    }  # fmt: skip


def test_evalscope_predictions_and_reviews(grader, tmp_path):
    parts = [{"type": "reasoning", "reasoning": THOUGHT, "signature": None}, {"type": "text", "text": "\\boxed{12}"}]
    failed = scope(0, QUESTIONS[0], "")
    failed["model_output"] |= {"choices": [], "error": "timed out"}
    rows = [
        scope(0, QUESTIONS[1], "\\boxed{71}"),  # each subset counts from 0: the question decides
        scope(0, QUESTIONS[0], parts),
        scope(0, QUESTIONS[0], "The answer is 1", "max_tokens"),
        failed,
    ]
    path = written(tmp_path / "f.jsonl", *rows)
    assert [each[:3] for each in graded(grader, path, "evalscope")] == [
        ("trams", "correct", "none"), ("eggs", "correct", "closed"), ("eggs", "unfinished", "none"),
        ("eggs", "infra_error", "none"),
    ]  # fmt: skip
    judged = {"score": {"value": {"acc": 1.0}, "extracted_prediction": "12", "prediction": "\\boxed{12}"}}
    review = {"index": 0, "target": "12", "messages": rows[1]["messages"], "sample_score": judged}
    older = {"index": 1, "input": QUESTIONS[0], "target": "12", "sample_score": judged | {"sample_id": 1}}
    path = written(tmp_path / "r.jsonl", review, older)
    assert [each[1:3] for each in graded(grader, path, "evalscope", by_gold=True)] == [
        ("correct", "closed"), ("correct", "none"),
    ]  # fmt: skip
    message = {"role": "assistant", "content": "\\boxed{71}", "tool_calls": []}
    before = {
        "id": "chat-1", "object": "chat.completion", "model": "m", "answer_id": "answer-1", "subset_name": "main",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None}],
        "raw_input": {"question": QUESTIONS[1], "answer": "80 - 9 = 71\n#### 71"},
    }  # fmt: skip
    assert graded(grader, written(tmp_path / "o.jsonl", before), "evalscope")[0][:2] == ("trams", "correct")


# --- verifiers -------------------------------------------------------------------------------------------------------


def test_verifiers_results(grader, tmp_path):
    def row(number, question, completion, **more):
        prompt = [{"role": "system", "content": "Think."}, {"role": "user", "content": f"Solve this.\n\n{question}"}]
        return {
            "example_id": number, "prompt": prompt, "completion": completion, "task": "default", "reward": 0.0,
            "error": None, "answer": "12", "generation_ms": 1.5, "total_ms": 2.0, "turns": 1.0, **more,
        }  # fmt: skip

    say = {"role": "assistant", "content": "\\boxed{12}", "tool_calls": None}
    tool = [{"role": "assistant", "content": "\\boxed{5}"}, {"role": "tool", "content": "12", "tool_call_id": "a"}, say]
    rows = [
        row(0, QUESTIONS[0], [say]),
        row(0, QUESTIONS[0], [say | {"reasoning_content": THOUGHT}]),
        row(0, QUESTIONS[0], tool),
        row(0, QUESTIONS[0], [say | {"content": "The answer is 1"}], is_truncated=True, stop_condition="max_tokens"),
        row(0, QUESTIONS[0], [], error="ModelError(JSONDecodeError())"),
        row(0, QUESTIONS[0], []),
        row(1, QUESTIONS[1], [say]),
        row(0, QUESTIONS[0], "so \\boxed{12}", prompt=QUESTIONS[0]),  # of plain completions
    ]
    path = written(tmp_path / "results.jsonl", *rows)
    verdicts = ["correct", "correct", "correct", "unfinished", "infra_error", "no_answer", "wrong", "correct"]
    found = graded(grader, path, "verifiers")
    assert [each[1] for each in found] == verdicts
    assert [each[0] for each in found] == ["eggs"] * 6 + ["trams", "eggs"]
    assert found[1][2] == "closed"
    assert found[1][3] > 3
    assert graded(grader, path, "verifiers", by_gold=True)[6][1] == "correct"  # the rows carry their gold answers


# --- what is no such file --------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ("custom_id", "response", "error", "body", "choices", "output", "outputs", "message", "content", "index",
     "messages", "model_output", "sample_score", "raw_input", "completion", "prompt", "example_id", "text", "type")
)  # fmt: skip
SHAPED = st.recursive(JSON, lambda inner: st.dictionaries(KEYS, inner, max_size=5) | st.lists(inner, max_size=2))


@settings(max_examples=200)
@given(st.dictionaries(KEYS, SHAPED, max_size=6), st.sampled_from(FORMATS))
def test_any_row_is_read_or_refused_in_one_line(tmp_path_factory, row, form):
    path = written(tmp_path_factory.mktemp("rows") / "f.jsonl", row)
    refused = ""
    try:
        match(read_responses(path, form), PROBLEMS, path)
    except DataError as error:
        refused = str(error)
    assert not refused or (str(path) in refused and "\n" not in refused)


def test_a_file_of_another_tool_says_what_is_missing(tmp_path):
    path = written(tmp_path / "f.jsonl", {"id": "eggs", "response": "12"})
    for form, word in (
        ("openai-batch", "custom_id"),
        ("vllm", "outputs"),
        ("evalscope", "index"),
        ("verifiers", "prompt"),
    ):
        with pytest.raises(DataError, match=rf"f\.jsonl:1: not a row of .*{word}"):
            read_responses(path, form)
