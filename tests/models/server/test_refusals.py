"""An overflow is recognised in the words of many servers, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from harness.models.server.refusals import Overflow, overflow, readable, refused_fields

OPENAI = (
    "This model's maximum context length is 4,097 tokens. However, you requested 4600 tokens (100 in the messages, "
    "4500 in the completion). Please reduce the length of the messages or completion."
)
VLLM = (
    "This model's maximum context length is 512 tokens. However, you requested 600 tokens (100 in the messages, 500 in "
    "the completion). Please reduce the length of the messages or completion. None"
)
VLLM_LATER = (
    "'max_tokens' or 'max_completion_tokens' is too large: 500. This model's maximum context length is 512 tokens and "
    "your request has 21 input tokens (500 > 512 - 21). None"
)
VLLM_NEW = (
    "You passed 600 input tokens and requested 1 output tokens. However, the model's context length is only 512 "
    "tokens, resulting in a maximum input length of 511 tokens. Please reduce the length of the input prompt."
)
VLLM_PROMPT = (
    "The decoder prompt (length 600) is longer than the maximum model length of 512. Make sure that `max_model_len` is "
    "no smaller than the number of text tokens."
)
LLAMA_CPP = (
    '{"error":{"code":400,"message":"request (600 tokens) exceeds the available context size (512 tokens), try '
    'increasing it","type":"exceed_context_size_error","n_prompt_tokens":600,"n_ctx":512}}'
)
LLAMA_CPP_PYTHON = "Requested tokens (600) exceed context window of 512"
SGLANG = "The input (600 tokens) is longer than the model's context length (512 tokens)."
SGLANG_TOTAL = (
    "Requested token count exceeds the model's maximum context length of 512 tokens. You requested a total of 600 "
    "tokens: 100 tokens from the input messages and 500 tokens for the completion."
)
TGI = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 512. Given: 100 `inputs` tokens and 500"
TGI_PROMPT = "Input validation error: `inputs` must have less than 512 tokens. Given: 600"
LM_STUDIO = (
    "Trying to keep the first 600 tokens when context the overflows. However, the model is loaded with context length "
    "of only 512 tokens, which is not enough."
)


@pytest.mark.parametrize(
    ("status", "page", "limit", "prompt"),
    [
        (400, OPENAI, 4097, 100),
        (400, VLLM, 512, 100),
        (400, VLLM_LATER, 512, 21),
        (400, VLLM_NEW, 512, 600),
        (400, VLLM_PROMPT, 512, 600),
        (400, LLAMA_CPP, 512, 600),
        (500, LLAMA_CPP, 512, 600),
        (500, LLAMA_CPP_PYTHON, 512, None),
        (400, SGLANG, 512, 600),
        (400, SGLANG_TOTAL, 512, 100),
        (422, TGI, 512, 100),
        (422, TGI_PROMPT, 512, 600),
        (400, LM_STUDIO, 512, None),
        (400, "the prompt is longer than the maximum model length", None, None),
        (400, "input length exceeds the context length", None, None),
        (400, '{"error": {"code": "context_length_exceeded"}}', None, None),
    ],
)
def test_an_overflow_is_recognised_with_its_numbers(status, page, limit, prompt):
    assert overflow(status, page) == Overflow(limit, prompt)


@pytest.mark.parametrize(
    ("status", "page"),
    [
        (400, "unknown field return_token_ids; see docs section context length"),
        (401, VLLM),
        (404, "The model `m` does not exist."),
        (500, "CUDA out of memory"),
        (400, "temperature must be in [0, 2]"),
    ],
)
def test_other_refusals_are_no_overflow(status, page):
    assert overflow(status, page) is None


def test_fields_that_a_server_does_not_know_are_named():
    fields = ["top_k", "min_p", "return_token_ids"]
    assert refused_fields(400, "Unrecognized request argument supplied: top_k", fields) == ["top_k"]
    page = '{"detail":[{"type":"extra_forbidden","loc":["body","min_p"],"msg":"Extra inputs are not permitted"}]}'
    assert refused_fields(422, page, fields) == ["min_p"]
    assert refused_fields(400, "stop_k is unknown", fields) == []
    assert refused_fields(500, "unknown error in top_k", fields) == []


def test_error_pages_neither_drive_a_terminal_nor_repeat_a_key():
    page = "\x1b[31mbad key sk-1234\x07\n" + "x" * 1000
    shown = readable(page, ["sk-1234"])
    assert shown.startswith("[31mbad key *** x")
    assert len(shown) <= 200
