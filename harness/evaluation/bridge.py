"""Our Completer as an lm-eval model: every sample is journalled and never generated twice.

lm-eval builds the prompts; token ids go to the model, with exactly one BOS. Stop strings of a task are not passed to
the engine: inside a thought they would end it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval.api.model import LM

from harness.journal import Journal, read
from harness.models.base import Completer, Completion, ModelError, Request, complete_in_chunks, seed_of
from harness.models.prompts import render_chat
from harness.thoughts import THINK_OPEN


@dataclass(frozen=True)
class Decoding:
    """Sampling settings of a run. ``max_tokens`` covers thinking and answer; None leaves it to the task."""

    max_tokens: int | None = 512
    temperature: float = 0.6
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Generated:
    """A completion with its identity. ``prefilled``: its prompt already opened the think block."""

    key: str
    prompt_hash: str
    seed: int
    completion: Completion
    prefilled: bool = False


class HarnessLM(LM):
    """lm-eval's view of a Completer. ``generated`` maps (task, document number, repeat) to what was sampled."""

    def __init__(
        self, completer: Completer, tokenizer: Any, decoding: Decoding, journal: Path, chunk: int = 64,
        progress: Callable[[int, int, int], None] = lambda done, total, tokens: None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.completer = completer
        self.tokenizer = tokenizer
        self.decoding = decoding
        self.journal = journal
        self.chunk = chunk
        self.progress = progress
        self.generated: dict[tuple[str, int, int], Generated] = {}
        self.model_calls = 0

    @property
    def tokenizer_name(self) -> str:
        return str(getattr(self.tokenizer, "name_or_path", "tokenizer")).replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return render_chat(self.tokenizer, chat_history, add_generation_prompt)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        asked = [self._request(instance) for instance in requests]
        keys = [
            request.key(self.completer.digest, instance.idx) for request, instance in zip(asked, requests, strict=True)
        ]
        with Journal(self.journal) as journal:
            known = {row["key"]: row for row in read(self.journal)}

            def done(results: list[tuple[int, Completion]]) -> None:
                rows = []
                for index, completion in results:
                    row = {
                        "key": keys[index],
                        "text": completion.text,
                        "ids": list(completion.token_ids),
                        "finish": completion.finish,
                    }
                    known[row["key"]] = row
                    rows.append(row)
                journal.append(rows)
                self.model_calls += len(rows)
                self.progress(sum(k in known for k in keys), len(keys), sum(len(r["ids"]) for r in known.values()))

            asyncio.run(complete_in_chunks(self.completer, asked, lambda i: keys[i] in known, done, self.chunk))
        texts = []
        for request, instance, key in zip(asked, requests, keys, strict=True):
            row = known[key]
            completion = Completion(row["text"], tuple(row["ids"]), row["finish"], len(request.prompt_ids))
            where = (instance.task_name, instance.doc_id, instance.idx)
            prefilled = str(instance.args[0]).rstrip().endswith(THINK_OPEN)
            prompt_hash = f"{seed_of(request.prompt_ids):012x}"
            self.generated[where] = Generated(key, prompt_hash, request.seed, completion, prefilled)
            texts.append(completion.text)
        return texts

    def _request(self, instance: Any) -> Request:
        context, settings = instance.args
        ids = tuple(self.tokenizer.encode(context, add_special_tokens=self.tokenizer.chat_template is None))
        bos = self.tokenizer.bos_token_id
        if bos is not None and ids[:2] == (bos, bos):
            raise ModelError(
                f"{instance.task_name}: the prompt starts with two BOS tokens; the template adds one too many"
            )
        limit = self.decoding.max_tokens or int(settings.get("max_gen_toks", 512))
        return Request(
            ids, limit, self.decoding.temperature, self.decoding.top_p,
            seed=seed_of(self.decoding.seed, ids, instance.idx),
        )  # fmt: skip

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        raise NotImplementedError("harness scores generated text; this task asks for log-likelihoods")

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        raise NotImplementedError("harness scores generated text; this task asks for log-likelihoods")
