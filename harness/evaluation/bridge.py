"""Our Completer as an lm-eval model: every sample is journalled and never generated twice.

lm-eval builds the prompts; token ids go to the model, with exactly one BOS. Stop strings of a task are not passed to
the engine, where they would end a thought: they apply to the visible answer, after the split.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval.api.model import LM

from harness.errors import ModelError, SamplesMissing
from harness.evaluation.plan import Decoding, TreeDecoding
from harness.grading.thinking import split
from harness.journal import Journal, read
from harness.models.base import Completer, Completion, Request, complete_all, complete_in_chunks, seed_of
from harness.models.prompts import DEFAULT, encode, is_prefilled, render, think_tags, uses_chat
from harness.models.spec import Prompting


@dataclass(frozen=True)
class Generated:
    """A completion with its identity. ``prefilled``: its prompt already opened the think block."""

    key: str
    task: str
    doc: dict[str, Any]
    doc_id: int
    index: int
    prompt_hash: str
    seed: int
    completion: Completion
    prefilled: bool = False


class HarnessLM(LM):
    """lm-eval's view of a Completer. ``generated`` maps (task, document number, repeat) to what was sampled.

    ``each`` is called with every sample as soon as it is there (journalled before, or new), from this thread.
    """

    def __init__(
        self, completer: Completer, tokenizer: Any, decoding: Decoding, journal: Path,
        prompting: Prompting = DEFAULT, chunk: int = 64,
        progress: Callable[[int, int, int], None] = lambda done, total, tokens: None,
        each: Callable[[Generated], None] = lambda generated: None,
        raw: Callable[[str], bool] = lambda task: True, tree: TreeDecoding | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.completer = completer
        self.tokenizer = tokenizer
        self.decoding = decoding
        self.prompting = prompting
        self.tags = think_tags(tokenizer, prompting)
        self.chat = uses_chat(tokenizer, prompting)
        self.journal = journal
        self.chunk = chunk
        self.progress = progress
        self.each = each
        self.raw = raw
        self.tree = tree
        self.generated: dict[tuple[str, int, int], Generated] = {}
        self.model_calls = 0

    @property
    def tokenizer_name(self) -> str:
        return str(getattr(self.tokenizer, "name_or_path", "tokenizer")).replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return render(self.tokenizer, chat_history, self.prompting, add_generation_prompt)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        seen: Counter[tuple[str, int]] = Counter()
        places = []
        for instance in requests:  # lm-eval repeats the same instance, without a number
            place = (instance.task_name, instance.doc_id)
            places.append((*place, seen[place]))
            seen[place] += 1
        with Journal(self.journal) as journal:
            known = {row["key"]: row for row in read(self.journal)}
            turns = [_turn(instance.doc) for instance in requests]
            for turn in sorted(set(turns)):
                members = [i for i, of in enumerate(turns) if of == turn]
                self._round([requests[i] for i in members], [places[i] for i in members], journal, known, len(requests))
        return [self._text(instance, place) for instance, place in zip(requests, places, strict=True)]

    def _round(
        self, instances: Sequence[Any], places: Sequence[tuple[str, int, int]], journal: Journal,
        known: dict[str, dict[str, Any]], total: int,
    ) -> None:  # fmt: skip
        """Complete one turn of every conversation; without conversations, everything."""
        prompts = [self._prompt(instance, place) for instance, place in zip(instances, places, strict=True)]
        asked = [self._request(i, text, place[2]) for i, text, place in zip(instances, prompts, places, strict=True)]
        model = self.completer.digest if self.tree is None else f"{self.completer.digest}+{self.tree}"
        keys = [request.key(model, place[2]) for request, place in zip(asked, places, strict=True)]
        tokens = sum(len(row["ids"]) for row in known.values())

        def take(index: int) -> None:
            row = known[keys[index]]
            completion = Completion(row["text"], tuple(row["ids"]), row["finish"], len(asked[index].prompt_ids))
            generated = Generated(
                keys[index], places[index][0], instances[index].doc, places[index][1], places[index][2],
                f"{seed_of(asked[index].prompt_ids):012x}", asked[index].seed, completion,
                is_prefilled(prompts[index], self.tags),
            )  # fmt: skip
            self.generated[places[index]] = generated
            self.each(generated)

        def done(results: list[tuple[int, Completion]]) -> None:
            nonlocal tokens
            rows: list[dict[str, Any]] = [
                {"key": keys[i], "text": c.text, "ids": list(c.token_ids), "finish": c.finish} for i, c in results
            ]
            journal.append(row for row in rows if row["key"] not in known)
            for (index, completion), row in zip(results, rows, strict=True):
                known[str(row["key"])] = row
                tokens += len(completion.token_ids)
                take(index)
            self.model_calls += len(rows)
            self.progress(len(self.generated), total, tokens)

        # Two of the same request (one prompt in two tasks) have one key: it is asked once and taken twice.
        missing = [i for i, key in enumerate(keys) if key not in known]
        for index in sorted(set(range(len(keys))) - set(missing)):
            take(index)
        self.progress(len(self.generated), total, tokens)
        if self.tree is not None:
            from harness.evaluation.trees import decode

            decode(self, self.tree, asked, [instance.doc for instance in instances], places, missing, done)
        elif getattr(self.completer, "lockstep", False):
            work = complete_in_chunks(self.completer, asked, lambda i: keys[i] in known, done, self.chunk)
            asyncio.run(work)
        else:
            failed = asyncio.run(complete_all(self.completer, asked, missing, done))
            if failed:
                raise SamplesMissing(
                    f"{len(failed)} of {len(missing)} model calls failed for good, first: {failed[0]}; all other "
                    "samples are kept, and the same command asks for the missing ones"
                )
        for index in missing:
            if places[index] not in self.generated:
                take(index)

    def _prompt(self, instance: Any, place: tuple[str, int, int]) -> str:
        context = str(instance.args[0])
        doc = instance.doc
        if _turn(doc) == 1:
            return context
        # A later turn: the model is given its own earlier answers, without their thinking.
        earlier = [
            entry
            for (task, _, index), entry in self.generated.items()
            if task == place[0] and index == place[2] and entry.doc.get("conversation") == doc["conversation"]
        ]
        messages = [{"role": "system", "content": self.prompting.system}] if self.prompting.system else []
        for entry in sorted(earlier, key=lambda entry: int(entry.doc["turn"])):
            answer = split(entry.completion.text, self.tags, entry.prefilled).answer
            messages += [{"role": "user", "content": entry.doc["prompt"]}, {"role": "assistant", "content": answer}]
        messages.append({"role": "user", "content": doc["prompt"]})
        if self.chat:
            return render(self.tokenizer, messages, self.prompting)
        return "\n\n".join(message["content"] for message in messages)

    def _request(self, instance: Any, prompt: str, index: int) -> Request:
        settings = instance.args[1]
        try:
            ids = encode(self.tokenizer, prompt, self.chat)
        except ModelError as error:
            raise ModelError(f"{instance.task_name}: {error}") from None
        limit = self.decoding.max_tokens or int(settings.get("max_gen_toks", 512))
        seed = seed_of(self.decoding.seed, ids, index)
        return Request(ids, limit, self.decoding.temperature, self.decoding.top_p, seed=seed)

    def _text(self, instance: Any, place: tuple[str, int, int]) -> str:
        """What lm-eval scores: the text as sampled for our tasks, the visible answer up to its stops for others."""
        generated = self.generated[place]
        if self.raw(instance.task_name):
            return generated.completion.text
        answer = split(generated.completion.text, self.tags, generated.prefilled).answer
        for stop in instance.args[1].get("until") or []:
            answer = answer.split(stop)[0] if stop else answer
        return answer

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        raise NotImplementedError("harness scores generated text; this task asks for log-likelihoods")

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        raise NotImplementedError("harness scores generated text; this task asks for log-likelihoods")


def _turn(doc: Any) -> int:
    """Which turn of a conversation a document is; 1 where there is no conversation."""
    return int(doc.get("turn") or 1) if isinstance(doc, dict) else 1
