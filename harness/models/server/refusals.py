"""What a server means by refusing a request: the context overflowed, or it does not know a field of the body."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_N = r"(\d[\d,]*)"
# The words of each server; a group named ``limit`` is its context, ``prompt`` its count of the prompt's tokens.
_OVERFLOWS = [
    re.compile(pattern.replace("LIMIT", rf"(?P<limit>{_N[1:-1]})").replace("PROMPT", rf"(?P<prompt>{_N[1:-1]})"), re.S)
    for pattern in (
        # OpenAI, vLLM and SGLang: the prompt's share is given in one of three forms.
        r"maximum context length (?:is|of) LIMIT tokens?.*?\(?PROMPT (?:in the messages|in your prompt|in the prompt)",
        r"maximum context length (?:is|of) LIMIT tokens? and your request has PROMPT input",
        r"maximum context length (?:is|of) LIMIT tokens?.*?PROMPT tokens from the input",
        r"maximum context length (?:is|of) LIMIT",
        r"passed PROMPT input tokens.*?context length is only LIMIT",
        r"prompt \(length PROMPT\) is longer than the maximum model length of LIMIT",
        r"longer than the maximum model length",
        r"input \(PROMPT tokens\) is longer than the model's context length \(LIMIT",
        # llama.cpp, llama-cpp-python
        r"request \(PROMPT tokens\) exceeds the available context size \(LIMIT",
        r"exceed_context_size_error.*?\"n_prompt_tokens\"\s*:\s*PROMPT.*?\"n_ctx\"\s*:\s*LIMIT",
        r"exceed_context_size_error|exceeds the available context size",
        r"[Rr]equested tokens \(\d+\) exceed context window of LIMIT",
        # TGI
        r"`inputs` tokens \+ `max_new_tokens` must be <= LIMIT\. Given: PROMPT",
        r"`inputs` must have less than LIMIT tokens\. Given: PROMPT",
        # LM Studio, Ollama, TensorRT-LLM
        r"context length of only LIMIT",
        r"input length exceeds the (?:maximum )?context length",
        r"[Pp]rompt length \(PROMPT\).*?exceeds? (?:the )?max\w*[ _](?:input|seq\w*)[ _]len\w* \(?LIMIT",
        r"exceeds? (?:the )?max_seq_len",
        r"context_length_exceeded",
    )
]  # fmt: skip
_FIELD_WORDS = re.compile(
    r"unrecogni[sz]ed|unknown|unsupported|not supported|not permitted|extra|unexpected|invalid", re.I
)


class Overflow(NamedTuple):
    """The prompt, or the prompt with what it asked for, is longer than the context. None: the server does not say."""

    limit: int | None
    prompt: int | None


def overflow(status: int, page: str) -> Overflow | None:
    """The overflow that a reply tells of, in the words of vLLM, SGLang, llama.cpp, TGI, LM Studio and OpenAI."""
    if status not in (400, 413, 422, 500):
        return None
    for pattern in _OVERFLOWS:
        if match := pattern.search(page):
            given = {name: int(value.replace(",", "")) for name, value in match.groupdict().items() if value}
            return Overflow(given.get("limit"), given.get("prompt"))
    return None


def refused_fields(status: int, page: str, optional: Iterable[str]) -> list[str]:
    """Which of the ``optional`` fields of a body the server names as unknown to it."""
    if status not in (400, 404, 422) or not _FIELD_WORDS.search(page):
        return []
    return [name for name in optional if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", page)]


def readable(page: str, secrets: Iterable[str] = ()) -> str:
    """The beginning of an error page, without what a terminal would obey and without keys that it repeats."""
    for secret in secrets:
        page = page.replace(secret, "***")
    return " ".join("".join(c if c.isprintable() else " " for c in page[:400]).split())[:200]
