"""What is measured, in a process of its own: python -m benchmarks.peers.sides NAME '{"arguments": ...}'.

Each prints one line of JSON. All sides ask the same prompts (mini_math, as the chat template renders them) for the same
number of tokens, whether the model would end its turn or not.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TASK, MODEL = "mini_math", "shipped:student"


def first(backend: str, model: str) -> None:
    """``harness eval`` until its first call of a model; prints the processor seconds of this process and its children.

    The imports here are those that it makes anyway.
    """
    from benchmarks.peers.cpu import of_tree
    from harness.cli import main
    from harness.models.backends.hf import HFCompleter
    from harness.models.server.client import Client

    def told(*_: object, **__: object) -> None:
        print(json.dumps({"cpu": sum(of_tree(os.getpid()).values())}), flush=True)
        os._exit(0)

    HFCompleter.generate = Client.ask = told  # type: ignore[method-assign, assignment]
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = ["harness", "eval", "--backend", backend, "--model", model, "--suite", "embedded", "--out", folder]
        main()


def _plan(count: int, tokens: int) -> Any:
    from harness.evaluation.plan import EvalPlan
    from harness.evaluation.spec import Decoding, ProblemData
    from harness.problems.registry import select

    return EvalPlan(
        tasks=select([TASK], None), decoding=Decoding(max_tokens=tokens, temperature=0.0),
        data=ProblemData(count=count),
    )  # fmt: skip


def harness(url: str, count: int, tokens: int, in_flight: int) -> None:
    from harness.models.spec import ModelSpec
    from harness.results.runs import execute

    gc.set_threshold(50_000, 20, 50)  # as the command line has it
    spec = ModelSpec(model=MODEL, backend="openai", base_url=url, concurrency=in_flight, api="completions")
    with tempfile.TemporaryDirectory() as folder:
        execute(spec, _plan(count, tokens), Path(folder), lambda done, total, tokens: None)


def _requests(tokenizer: Any, count: int, tokens: int) -> list[Any]:
    from harness.models.base import Request
    from harness.models.prompts import prompt_ids
    from harness.problems.load import load

    return [Request(prompt_ids(tokenizer, problem.prompt), tokens) for problem in load(TASK, count=count)]


def bare(url: str, count: int, tokens: int, in_flight: int) -> None:
    """The backend alone: requests out, completions in."""
    from harness.models.backends.openai import OpenAICompleter
    from harness.models.base import complete_all
    from harness.models.loading import load_tokenizer, resolve

    tokenizer = load_tokenizer(resolve(MODEL))
    completer = OpenAICompleter(base_url=url, model="sim", tokenizer=tokenizer, concurrency=in_flight)
    asyncio.run(
        complete_all(completer, _requests(tokenizer, count, tokens), range(count), lambda results: None),
    )


def lm_eval(url: str, count: int, tokens: int, in_flight: int) -> None:
    from lm_eval import simple_evaluate

    from harness.models.loading import resolve

    arguments = {
        "model": "sim", "base_url": f"{url}/completions", "num_concurrent": in_flight, "tokenizer": resolve(MODEL),
        "tokenizer_backend": "huggingface", "max_retries": 3, "timeout": 600,
    }  # fmt: skip
    _by_lm_eval(simple_evaluate, count, tokens, model="local-completions", model_args=arguments)


def _by_lm_eval(simple_evaluate: Any, count: int, tokens: int, **model: Any) -> None:
    from lm_eval.tasks import TaskManager

    from harness.files import shipped

    manager = TaskManager(include_path=str(shipped("tasks")), include_defaults=False, metadata={"count": count})
    settings = f"max_gen_toks={tokens},do_sample=False,temperature=0"
    if not isinstance(model["model"], str):
        settings += f",min_new_tokens={tokens}"
    simple_evaluate(
        tasks=[f"harness_{TASK}"], task_manager=manager, apply_chat_template=True, bootstrap_iters=0,
        gen_kwargs=settings, log_samples=True, confirm_run_unsafe_code=False, **model,
    )  # fmt: skip


def in_process(model: str, count: int, tokens: int, batch: int, batches: list[int], rounds: int) -> None:
    """One model in this process: the bare backend, harness, and lm-eval at several batch sizes; best of ``rounds``.

    One thread, so that what grades has a core of its own.
    """
    import logging

    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    from harness.evaluation.evaluate import evaluate
    from harness.models.backends.hf import HFCompleter
    from harness.models.base import complete_in_chunks
    from harness.models.loading import resolve

    logging.disable(logging.WARNING)
    completer = HFCompleter(resolve(model), batch_size=batch, threads=1)
    completer._eos = set()  # every answer has all its tokens

    def alone(count: int) -> None:
        """The same problems and prompts, completions thrown away: what a plain loop over the backend does."""
        requests = _requests(completer.tokenizer, count, tokens)
        asyncio.run(complete_in_chunks(completer, requests, lambda i: False, lambda results: None))

    def ours(count: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            evaluate(completer, completer.tokenizer, _plan(count, tokens), Path(folder))

    def theirs(size: int) -> Callable[[int], None]:
        lm = HFLM(pretrained=completer.model, tokenizer=completer.tokenizer, batch_size=size)
        return lambda count: _by_lm_eval(simple_evaluate, count, tokens, model=lm)

    sides: dict[str, Callable[[int], None]] = {"bare": alone, "harness": ours}
    sides |= {f"lm-eval, batch {size}": theirs(size) for size in batches}
    for side in sides.values():
        side(4)  # libraries are loaded
    seconds = {}
    for _ in range(rounds):
        for name, side in sides.items():
            started = time.perf_counter()
            side(count)
            seconds[name] = min(seconds.get(name, 1e9), time.perf_counter() - started)
    print(json.dumps(seconds))


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["TQDM_DISABLE"] = os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = os.environ["HF_HUB_OFFLINE"] = "1"
    globals()[sys.argv[1]](**json.loads(sys.argv[2]))
