"""A scripted model for tests and dry runs: no weights, every kind of ending, and a server's faults on demand."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.models.backends import tokenizer_path
from harness.models.backends.openai import OpenAICompleter
from harness.models.loading import load_tokenizer
from harness.models.spec import ModelSpec


def scripted_text(prompt: str, seed: int) -> str:
    """A reply that depends on prompt and seed alone: mostly a closed thought and a number, sometimes each failure."""
    dice = hashlib.sha256(f"{seed}\x1f{prompt}".encode()).digest()
    if (open_tag := re.search(r"<(/?[\w-]+)>[^<]*$", prompt)) and open_tag[1] != "think":
        # A search asks for the rest of an open thought with its closing tag, or for the answer after the thinking.
        if open_tag[1] == "/think":
            return f"The answer is \\boxed{{{dice[1] % 6}}}."
        text = "".join(f"So {n} + {dice[3] % 20} = {n + dice[3] % 20}. " for n in range(1 + dice[2] % 6))
        return text if dice[0] % 16 == 0 else f"{text}</{open_tag[1]}>"  # some end the turn in the middle of a thought
    number = dice[1] % 20
    thought = "".join(f"So {n} + {number} = {n + number}. " for n in range(2 + dice[2] % 6))
    return {
        0: f"<think>{thought}",  # never closed
        1: f"<think>{thought}</think>",  # no answer
        2: "<think>" + "Wait, let me check that again. " * 40,  # a loop
        3: f"{thought}</think>The answer is \\boxed{{{number}}}.",  # an orphan close
    }.get(dice[0] % 16, f"<think>{thought}</think>The answer is \\boxed{{{number}}}.")


FAULTS = ("error", "reset", "stall", "torn", "malformed", "no choices", "wrong finish")


def scripted_server(
    tokenizer: Any, concurrency: int = 64, faults: float = 0.0, latency: float = 0.0, retries: int = 12,
    reply: Callable[[str, int], str] = scripted_text, context: int = 0,
) -> OpenAICompleter:  # fmt: skip
    """The server backend over a scripted server in this process, which answers ``reply(prompt, seed)``.

    ``faults``: share of calls that fail, each kind of FAULTS as often. Which calls fail depends on the request and the
    attempt alone.
    """
    attempts: Counter[str] = Counter()

    async def post(sent: bytes) -> tuple[int, str]:
        if latency:
            await asyncio.sleep(latency)
        body = json.loads(sent)
        which = hashlib.sha256(sent).hexdigest()
        attempts[which] += 1
        dice = hashlib.sha256(f"{which}{attempts[which]}".encode()).digest()
        fault = FAULTS[dice[1] % len(FAULTS)] if dice[0] / 256 < faults else ""
        if fault == "error":
            return (503 if dice[2] % 2 else 500), "overloaded"
        if fault == "reset":
            raise ConnectionResetError("connection reset by peer")
        if fault == "stall":
            raise TimeoutError("timed out")
        text = reply(tokenizer.decode(body["prompt"]), body["seed"])
        met = [stop for stop in body["stop"] or () if stop in text]
        for stop in met:
            text = text.split(stop)[0]
        ids = tokenizer.encode(text, add_special_tokens=False)
        if body["stop"] and not met:
            ids.append(tokenizer.eos_token_id)
        reason = "length" if len(ids) > body["max_tokens"] else "stop"
        ids = ids[: body["max_tokens"]]
        text = tokenizer.decode(ids) if reason == "length" else text
        choice = {"text": text, "token_ids": ids, "finish_reason": "aborted" if fault == "wrong finish" else reason}
        if fault == "malformed":
            choice = {"text": {"not": "text"}, "finish_reason": "stop"}
        answer = json.dumps({"choices": [] if fault == "no choices" else [choice]})
        return 200, answer[: len(answer) // 2] if fault == "torn" else answer

    return OpenAICompleter(
        base_url="http://mock/v1", model="mock", tokenizer=tokenizer, concurrency=concurrency, retries=retries,
        backoff=0.001, post=post, context=context,
    )  # fmt: skip


@contextmanager
def running(spec: ModelSpec, folder: Path) -> Iterator[tuple[OpenAICompleter, Any]]:
    """A scripted server, with the faults and the latency of the spec."""
    tokenizer = load_tokenizer(tokenizer_path(spec))
    yield scripted_server(tokenizer, spec.in_flight, spec.mock_faults, spec.mock_latency), tokenizer
