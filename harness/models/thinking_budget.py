"""Closing a thought after so many tokens, so that the model answers: the budget forcing of arXiv 2501.19393."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.models.base import Completer, Completion, Request, seed_of
from harness.models.prompts import is_prefilled, whole_text
from harness.thoughts import Tags


class Budgeted:
    """A Completer around another one: it thinks for ``budget`` tokens at most, then gets its closing tag and answers.

    A thought that ends by itself within the budget is left as it is. The tag's tokens count as generated. Needs a
    model whose turn can be continued.
    """

    def __init__(self, model: Completer, tokenizer: Any, tags: Tags, budget: int) -> None:
        self._model, self._tokenizer, self._tags, self._budget = model, tokenizer, tags, budget
        self._closing = tuple(tokenizer.encode(tags[1], add_special_tokens=False))
        self.digest, self.lockstep = f"{model.digest}+thinking-budget-{budget}", model.lockstep
        self.batch_size, self.batch_tokens = model.batch_size, model.batch_tokens

    @property
    def context(self) -> int:
        return self._model.context

    @property
    def generated_tokens(self) -> int:
        return self._model.generated_tokens

    async def complete(self, request: Request) -> Completion:
        """Raises ServerError for a server that speaks chat alone and continues no turn."""
        first = await self._model.complete(replace(request, max_tokens=min(self._budget, request.max_tokens)))
        if first.finish != "length" or request.max_tokens <= self._budget:
            return first
        prompt = self._tokenizer.decode(request.prompt_ids[-16:])
        ids, text = first.token_ids, whole_text(first, prompt, self._tags)  # some servers split the thought off
        opened, closed = (tag in text for tag in self._tags)
        prefilled = is_prefilled(prompt, self._tags)
        forced = (opened or prefilled) and not closed
        if forced:
            ids, text = ids + self._closing, text + self._tags[1]
        left = request.max_tokens - len(ids)
        if left <= 0:
            return replace(first, token_ids=ids, text=text, forced=forced, thought="")
        rest = await self._model.complete(
            replace(
                request, prompt_ids=request.prompt_ids + ids, max_tokens=left, seed=seed_of(request.seed, "answer"),
                conversation=(talk := request.conversation) and (lambda: talk().continued(text)),
            )
        )  # fmt: skip
        return replace(
            rest, text=text + rest.text, token_ids=ids + rest.token_ids, prompt_tokens=first.prompt_tokens,
            forced=forced,
        )  # fmt: skip
