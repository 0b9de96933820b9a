"""Tokens a second of harness's sampler in process, beside the bare model's ``generate`` on the same batch.

Random weights, prompts of random tokens, left-padded in both; every answer of so many tokens. ``equal_answers``: the
share of greedy answers that are the same token for token.
"""

from __future__ import annotations

import gc
import random
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch
from transformers import GenerationConfig

from benchmarks.train_shared_prefix import model_of
from harness.models.backends.hf import HFCompleter
from harness.models.base import Request
from harness.models.loading import load_tokenizer, resolve

ROUNDS = 2


@lru_cache(maxsize=1)
def loaded(shape: str) -> HFCompleter:
    """Through a folder, as every model comes."""
    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        model_of(shape).to(torch.bfloat16 if torch.cuda.is_available() else torch.float32).save_pretrained(folder)
        load_tokenizer(resolve("shipped:student")).save_pretrained(folder)
        completer = HFCompleter(folder)
    completer._eos = set()  # every answer takes its whole length, as in the bare model's generate below
    return completer


def clocked(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    found = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun, found


def rates(shape: str, rows: int, tokens: int, longest: int, temperature: float) -> dict[str, Any]:
    completer, rng = loaded(shape), random.Random(0)
    vocabulary = completer.model.config.vocab_size
    prompts = [[rng.randrange(vocabulary) for _ in range(rng.randint(longest // 3, longest))] for _ in range(rows)]
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts], device=completer.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=completer.device)

    def ours(count: int) -> list[list[int]]:
        asked = [Request(tuple(p), count, temperature=temperature, seed=seed) for seed, p in enumerate(prompts)]
        return [list(answer.token_ids) for answer in completer.generate(asked)]

    def bare(count: int) -> list[list[int]]:
        heat = {"temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}
        config = GenerationConfig(max_new_tokens=count, do_sample=bool(temperature), pad_token_id=0, **heat)
        with torch.inference_mode():
            answers = completer.model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        return answers[:, width:].tolist()  # type: ignore[no-any-return]

    seconds: dict[str, list[float]] = {"harness": [], "bare": []}
    sides, answers = {"harness": ours, "bare": bare}, dict[str, list[list[int]]]()
    for side in sides.values():
        side(4)  # kernels are chosen here
    for number in range(ROUNDS):
        for name in sorted(sides, reverse=bool(number % 2)):
            took, answers[name] = clocked(partial(sides[name], tokens))
            seconds[name].append(took)
    if any(len(answer) != tokens for each in answers.values() for answer in each):
        return {"fault": f"an answer has another length than {tokens}: the comparison is void"}
    out: dict[str, Any] = {name: rows * tokens / min(each) for name, each in seconds.items()}
    out |= {"ratio": out["harness"] / out["bare"], "rows": rows, "tokens": tokens, "seconds_of_rounds": seconds}
    if not temperature:
        pairs = zip(answers["harness"], answers["bare"], strict=True)
        out["equal_answers"] = sum(a == b for a, b in pairs) / rows
    return out


def measurements(quick: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    if quick:
        cases = [("quick", 8, 0.0), ("quick", 8, 1.0)]
    else:
        cases = [("qwen2.5-0.5b", 64, 0.0), ("qwen2.5-0.5b", 64, 1.0), ("qwen2.5-0.5b", 256, 1.0)]
        cases += [("qwen2.5-1.5b", 64, 1.0)]
    tokens, longest = (24, 30) if quick else (128, 300)
    return {
        f"{shape}, {rows} {'sampled' if heat else 'greedy'}": partial(rates, shape, rows, tokens, longest, heat)
        for shape, rows, heat in cases
    }
