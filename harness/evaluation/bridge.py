"""From prompts to samples: every sample is journalled and never generated twice.

Token ids go to the model, with exactly one BOS. Stop strings end the answer and never a
thought: it is cut at them, and they are passed to the engine only where no thought is to be expected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import ModelError
from harness.evaluation.measuring import Generated
from harness.evaluation.plan import Document, Documents, EvalPlan, Progress
from harness.grading.thinking import split, stopped
from harness.journal import Journal, read_records
from harness.models.base import Asked, Completer, Completion, Conversation, Place, Request, seed_of
from harness.models.prompts import (
    encode,
    is_prefilled,
    may_think,
    render,
    template_options,
    think_tags,
    uses_chat,
    whole_text,
)  # fmt: skip
from harness.models.thinking_budget import Budgeted
from harness.records import Drawn, Grade


class Instance(NamedTuple):
    """One prompt, in the words of lm-eval's instances. ``args``: the prompt, and settings such as ``max_gen_toks``."""

    task_name: str
    doc_id: int
    doc: Document
    args: tuple[str, dict[str, Any]]


class Bridge:
    """A Completer as what lm-eval calls a model, without lm-eval. ``generated``: what was sampled.

    ``each`` is called with every sample as soon as it is there (journalled before, or new), from this thread.
    ``visible``: lm-eval's names of tasks that score the visible answer; others get the whole text, as sampled.
    """

    each: Callable[[Generated], None]

    def __init__(
        self, *, completer: Completer, tokenizer: Any, plan: EvalPlan, journal: Path, visible: set[str],
        progress: Progress,
    ) -> None:  # fmt: skip
        super().__init__()
        self.completer, self.tokenizer, self.plan, self.prompting = completer, tokenizer, plan, plan.prompting
        self.tags = think_tags(tokenizer, plan.prompting)
        if limit := plan.decoding.thinking_budget:
            self.completer = Budgeted(completer, tokenizer, self.tags, limit)
        self.chat, self.may_think = uses_chat(tokenizer, plan.prompting), may_think(tokenizer, plan.prompting)
        self.journal, self.visible, self.progress = journal, visible, progress
        self.generated: dict[Place, Generated] = {}
        self._messages: dict[str, list[dict[str, str]]] = {}  # by the prompt that was rendered from them

    def ask(
        self, documents: Documents, picked: dict[str, list[int]] | None, is_correct: Callable[[str, str], bool]
    ) -> tuple[dict[str, float | None], dict[Place, Grade]]:
        """Complete the ``picked`` documents (None: all), with the prompts and scores that lm-eval would give.

        Gives the score of each task, the share of correct first samples, and verdicts where no grader is ours.
        ``is_correct``: our verdict on (id of a problem, text), known once everything is completed.
        """
        scores: dict[str, float | None] = {}
        stops = list(dict.fromkeys(self.plan.decoding.stop))
        settings = {task.lm_eval_name: {"max_gen_toks": task.max_tokens, "until": stops} for task in self.plan.tasks}
        asked = {
            name: [
                Instance(name, number, row, (self._opening(row["prompt"]), settings[name]))
                for number, row in enumerate(rows if picked is None else map(rows.__getitem__, picked[name]))
            ]
            for name, rows in documents.items()
        }
        repeats = {task.lm_eval_name: self.plan.decoding.repeats(task.name) for task in self.plan.tasks}
        self.generate_until([one for name, each in asked.items() for one in each for _ in range(repeats[name])])
        for name, instances in asked.items():
            right = [is_correct(one.doc["id"], self._text(Place(name, one.doc_id, 0))) for one in instances]
            scores[name] = sum(right) / len(right)
        return scores, {}

    def _opening(self, question: str) -> str:
        """The prompt of a conversation's first turn."""
        if not self.chat:
            return (self.prompting.system or "") + question
        system = [{"role": "system", "content": self.prompting.system}] if self.prompting.system else []
        return self.apply_chat_template([*system, {"role": "user", "content": question}])

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        text = render(self.tokenizer, chat_history, self.prompting, add_generation_prompt)
        self._messages[text] = [dict(message) for message in chat_history]
        return text

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        numbers: defaultdict[tuple[str, int], Iterator[int]] = defaultdict(count)
        asked: list[tuple[Any, Place]] = []
        for instance in requests:  # lm-eval repeats the same instance, without a number
            item = (instance.task_name, instance.doc_id)
            asked.append((instance, Place(*item, next(numbers[item]))))
        with Journal(self.journal) as journal:
            known = {drawn.key: drawn for drawn in read_records(self.journal, Drawn)}
            for turn in sorted({_turn(instance.doc) for instance in requests}):
                self._round([each for each in asked if _turn(each[0].doc) == turn], journal, known, len(asked))
        return [self._text(place) for _, place in asked]

    def _round(self, asked: list[tuple[Any, Place]], journal: Journal, known: dict[str, Drawn], total: int) -> None:
        """Complete one turn of every conversation; without conversations, everything.

        Equal requests (one prompt in two tasks) have one key: they are asked once, and all of them get that sample.
        """
        documents, places = [instance.doc for instance, _ in asked], [place for _, place in asked]
        prompts = [self._prompt(*each) for each in asked]
        requests = [self._request(*each, text) for each, text in zip(asked, prompts, strict=True)]
        model = "+".join(filter(None, (self.completer.digest, self.plan.sampler.identity)))
        keys = [request.key(model, place.sample) for request, place in zip(requests, places, strict=True)]
        tokens = sum(len(drawn.ids) for drawn in known.values())

        def take(index: int) -> None:
            drawn, request = known[keys[index]], requests[index]
            prefilled = is_prefilled(prompts[index], self.tags)
            text = stopped(drawn.text, _stops(asked[index][0]), self.tags, prefilled)
            finish = drawn.finish if text == drawn.text else "stop"
            generated = self.generated[places[index]] = Generated(
                key=drawn.key, place=places[index], document=documents[index], seed=request.seed,
                prompt_hash=f"{seed_of(request.prompt_ids):012x}", prefilled=prefilled,
                completion=Completion(
                    text, tuple(drawn.ids), finish, len(request.prompt_ids), forced=drawn.forced
                ),
            )  # fmt: skip
            self.each(generated)

        def done(results: list[tuple[int, Completion]]) -> None:
            nonlocal tokens
            fresh = {
                keys[i]: Drawn(
                    key=keys[i],
                    text=whole_text(c, prompts[i], self.tags),
                    ids=list(c.token_ids),
                    finish=c.finish,
                    forced=c.forced,
                )
                for i, c in results
                if keys[i] not in known
            }
            journal.append(drawn.model_dump() for drawn in fresh.values())
            known.update(fresh)
            tokens += sum(len(drawn.ids) for drawn in fresh.values())
            for index, _ in results:
                take(index)
            self.progress(len(self.generated), total, tokens)

        missing: dict[str, int] = {}
        for index, key in enumerate(keys):
            if key in known:
                take(index)
            else:
                missing.setdefault(key, index)
        self.progress(len(self.generated), total, tokens)
        self.plan.sampler(
            Asked(
                completer=self.completer, tokenizer=self.tokenizer, tags=self.tags, seed=self.plan.decoding.seed,
                folder=self.journal.parent, requests=requests, documents=documents, places=places,
                missing=list(missing.values()), done=done,
            )
        )  # fmt: skip
        for index, place in enumerate(places):
            if place not in self.generated:
                take(index)

    def _prompt(self, instance: Any, place: Place) -> str:
        document = instance.doc
        if _turn(document) == 1:
            return str(instance.args[0])
        # A later turn: the model is given its own earlier answers, without their thinking.
        same = [each for of, each in self.generated.items() if (of.task, of.sample) == (place.task, place.sample)]
        earlier = [each for each in same if each.document.get("conversation") == document["conversation"]]
        turns = [("system", self.prompting.system)] if self.prompting.system else []
        for each in sorted(earlier, key=lambda each: int(each.document["turn"])):
            turns += [("user", each.document["prompt"]), ("assistant", self._answer(each))]
        messages = [{"role": role, "content": text} for role, text in [*turns, ("user", document["prompt"])]]
        if self.chat:
            return self.apply_chat_template(messages)
        return "\n\n".join(message["content"] for message in messages)

    def _request(self, instance: Any, place: Place, prompt: str) -> Request:
        try:
            ids = encode(self.tokenizer, prompt, self.chat)
        except ModelError as error:
            raise ModelError(f"{place.task}: {error}") from None
        decoding = self.plan.decoding
        limit = decoding.max_tokens or int(instance.args[1].get("max_gen_toks", 512))
        return Request(
            ids, limit, decoding.temperature, decoding.top_p, seed=seed_of(decoding.seed, ids, place.sample),
            stop=() if self.may_think or is_prefilled(prompt, self.tags) else _stops(instance),
            top_k=decoding.top_k, min_p=decoding.min_p, repetition_penalty=decoding.repetition_penalty,
            conversation=lambda: Conversation(self._messages_of(prompt), template_options(self.prompting)),
        )  # fmt: skip

    def _messages_of(self, prompt: str) -> list[dict[str, str]]:
        return self._messages.get(prompt) or [{"role": "user", "content": prompt}]

    def _text(self, place: Place) -> str:
        """What lm-eval scores: the text up to its stops for our tasks, the visible answer for others."""
        generated = self.generated[place]
        return generated.completion.text if place.task not in self.visible else self._answer(generated)

    def _answer(self, generated: Generated) -> str:
        return split(generated.completion.text, self.tags, generated.prefilled).answer


def _turn(document: Any) -> int:
    """Which turn of a conversation a document is; 1 where there is no conversation."""
    return int(document.get("turn") or 1) if isinstance(document, dict) else 1


def _stops(instance: Any) -> tuple[str, ...]:
    return tuple(instance.args[1].get("until") or ())
