"""In-process completion of any ``AutoModelForCausalLM``: batches whatever is waiting, one seed per request.

Each row of a left-padded batch samples from its own seed by inverting the distribution function: its tokens depend on
its neighbours by rounding alone. On CPU in float32: reduced precision changes one greedy answer in eight at this size.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import ModelError, Usage, first_line
from harness.models.base import Completion, Request, sharing
from harness.models.loading import cache_bytes, context_of, load_model, load_tokenizer, model_digest, resolve
from harness.models.prompts import ends
from harness.models.spec import ModelSpec
from harness.records import Finish

_ROWS_ON_GPU = 512  # more gain little, and each row's distribution over 150,000 tokens takes megabytes
_CACHE_SHARE = 0.4  # of a GPU's memory for keys and values; they double while a step appends to them


class HFCompleter:
    """A model loaded in this process. ``batch_size`` rows at most share a forward pass.

    By default 64 on a CPU; on a GPU as many as its memory holds: ``batch_tokens`` of prompts and answers. A batch for
    which memory is short after all is halved.

    ``device`` and ``dtype`` "auto": CUDA where there is any, in bfloat16, else the CPU, in float32. Raises ModelError,
    and Usage for a device that is not here.
    """

    lockstep = True  # which rows share a batch changes rounding, and so what is sampled

    def __init__(
        self,
        path: str,
        batch_size: int | None = None,
        threads: int | None = None,
        dtype: str = "auto",
        device: str = "auto",
    ) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        try:
            torch.empty(1, device=self.device, dtype=torch.float64)  # tokens are drawn in float64
        except (RuntimeError, AssertionError, TypeError) as error:  # torch without CUDA asserts
            raise Usage(f"--device {device}: torch cannot use it here ({first_line(error)})") from None
        if dtype == "auto":
            dtype = "bfloat16" if self.device.startswith("cuda") else "float32"
        usual = "bfloat16" if torch.cuda.is_available() else "float32"
        self.computed = {"dtype": dtype, "device": self.device}
        self.model = load_model(path, dtype=getattr(torch, dtype)).to(self.device).eval()
        self.tokenizer = load_tokenizer(path)
        self.digest = model_digest(path) + (f"+{dtype}" if dtype != usual else "")
        self.batch_size, self.batch_tokens = batch_size or 64, 0
        if self.device.startswith("cuda"):
            memory = torch.cuda.get_device_properties(self.device).total_memory  # what is free would vary by run
            self.batch_tokens = int(_CACHE_SHARE * memory) // cache_bytes(self.model.config, self.model.dtype.itemsize)
            self.batch_size = batch_size or _ROWS_ON_GPU
        self.context = context_of(self.model.config)
        self.generated_tokens = 0
        self.on_step: Callable[[], None] = lambda: None  # called while a batch runs, about twice a second
        self._told = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        named = self.model.generation_config.eos_token_id
        own = {named} if isinstance(named, int) else {*(named or ())}
        self._eos = own | ends(self.tokenizer)
        if more := self._eos - (own or {self.tokenizer.eos_token_id}):  # samples drawn without these ends are others
            self.digest += f"+ends-{'-'.join(map(str, sorted(more)))}"

    async def complete(self, request: Request) -> Completion:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # nobody waits any more for what an interrupted loop left
            self._loop, self._busy = loop, False
            self._waiting: list[tuple[Request, asyncio.Future[Completion]]] = []
        future: asyncio.Future[Completion] = loop.create_future()
        self._waiting.append((request, future))
        if not self._busy:
            self._busy = True
            loop.call_soon(lambda: asyncio.ensure_future(self._drain()))
        return await future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                size = sharing(
                    [each for each, _ in self._waiting[: self.batch_size]], self.batch_size, self.batch_tokens
                )
                batch, self._waiting = self._waiting[:size], self._waiting[size:]
                try:
                    results = self.generate([request for request, _ in batch])
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for (_, future), result in zip(batch, results, strict=True):
                        if not future.done():
                            future.set_result(result)
                await asyncio.sleep(0)
        finally:
            self._busy = False

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete a batch; the result is a function of the batch alone. Raises ModelError where memory is short."""
        import torch

        rows = [_Row(request, self.context) for request in requests]
        if live := [row for row in rows if row.room > 0]:
            try:
                with torch.inference_mode():
                    self._decode(live)
            except torch.OutOfMemoryError:
                if len(requests) == 1:
                    raise ModelError(
                        f"memory of {self.device} is too small for one prompt of {len(requests[0].prompt_ids)} tokens "
                        f"and an answer of {requests[0].max_tokens}; lower --max-tokens"
                    ) from None
                rows = []  # the halves begin anew, after what this batch held is free
        if not rows:
            torch.cuda.empty_cache()
            half = len(requests) // 2
            return self.generate(requests[:half]) + self.generate(requests[half:])
        return [self._completion(row) for row in rows]

    def _decode(self, live: list[_Row]) -> None:
        import torch
        from transformers import DynamicCache

        width = max(len(row.request.prompt_ids) for row in live)
        pad = self.tokenizer.pad_token_id or 0
        ids = torch.full((len(live), width), pad, dtype=torch.long)
        mask = torch.zeros((len(live), width), dtype=torch.long)
        for i, row in enumerate(live):
            prompt = row.request.prompt_ids
            ids[i, width - len(prompt) :] = torch.tensor(prompt)
            mask[i, width - len(prompt) :] = 1
        ids, mask = ids.to(self.device), mask.to(self.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache(config=self.model.config)
        while live:
            logits = self.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
                use_cache=True, logits_to_keep=1,
            ).logits[:, -1, :]  # fmt: skip
            tokens = _sample(logits, live)
            for row, token in zip(live, tokens, strict=True):
                row.take(token, self._eos, self.tokenizer)
            self.generated_tokens += len(live)
            if (now := time.monotonic()) - self._told >= 0.5:
                self._told = now
                self.on_step()
            keep = [i for i, row in enumerate(live) if row.finish is None]
            if len(keep) < len(live):
                if not keep:
                    return
                index = torch.tensor(keep, device=self.device)
                cache.batch_select_indices(index)
                mask, positions = mask[index], positions[index]
                live = [live[i] for i in keep]
            ids = torch.tensor([[row.ids[-1]] for row in live], device=self.device)
            mask = torch.cat([mask, mask.new_ones((len(live), 1))], dim=1)
            positions = positions[:, -1:] + 1

    def _completion(self, row: _Row) -> Completion:
        text = self.tokenizer.decode(row.ids[: row.text_ids], skip_special_tokens=False)
        for stop in row.request.stop:
            text = text.partition(stop)[0]
        ended = row.text_ids < len(row.ids)
        return Completion(text, tuple(row.ids), row.finish or "context", len(row.request.prompt_ids), ended=ended)


class _Row:
    """One request in a batch: what it has sampled and why it ended."""

    def __init__(self, request: Request, context: int) -> None:
        self.request = request
        self.room = request.room(context)
        self.cut_by = request.cut_by(context)
        self.ids: list[int] = []
        self.text_ids = 0  # how many of the ids belong to the text (an end-of-turn token does not)
        self.finish: Finish | None = None if self.room > 0 else "context"
        self.random = random.Random(request.seed)
        # Vocabularies spell blanks, line ends and bytes beyond ASCII in signs of their own, other characters as they
        # are: only where every stop string ends in one of those does a token show whether it can end one.
        self.readable = all("!" <= stop[-1] <= "~" for stop in request.stop)

    def take(self, token: int, eos: set[int], tokenizer: Any) -> None:
        self.ids.append(token)
        self.text_ids += token not in eos
        if token in eos or (self.request.stop and self._stopped(tokenizer)):
            self.finish = "stop"
        elif len(self.ids) >= self.room:
            self.finish = self.cut_by

    def _stopped(self, tokenizer: Any) -> bool:
        # A stop string of n bytes spans at most n tokens, and a character that it begins in at most four more.
        tail = self.ids[-max(len(stop.encode()) for stop in self.request.stop) - 4 :]
        if self.readable:
            last = tokenizer.convert_ids_to_tokens(tail[-1])
            if last in self.request.stop:
                return True
            if isinstance(last, str) and not any(stop[-1] in last for stop in self.request.stop):
                return False
        text = tokenizer.decode(tail, skip_special_tokens=False)
        return any(stop in text for stop in self.request.stop)


def _sample(logits: Any, rows: Sequence[_Row]) -> list[int]:
    """One token per row: argmax at temperature 0, else the inverse of the distribution function.

    The repetition penalty comes first, then temperature, top-k, top-p and min-p, in the order of vLLM.
    """
    import torch

    requests, streams = [row.request for row in rows], [row.random for row in rows]
    if any(request.repetition_penalty != 1 for request in requests):
        logits = _penalised(logits, rows)
    greedy: list[int] = logits.argmax(-1).tolist()
    hot = [i for i, request in enumerate(requests) if request.temperature > 0]
    if not hot:
        return greedy
    heat = torch.tensor([requests[i].temperature for i in hot], dtype=torch.float64, device=logits.device)
    probabilities = torch.softmax(logits[hot].double() / heat[:, None], dim=-1)
    if any(requests[i].top_k for i in hot):
        for row, i in enumerate(hot):
            if 0 < requests[i].top_k < logits.shape[-1]:
                least = probabilities[row].topk(requests[i].top_k).values[-1]
                probabilities[row].masked_fill_(probabilities[row] < least, 0.0)
        probabilities /= probabilities.sum(-1, keepdim=True)
    if any(requests[i].top_p < 1 for i in hot):
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        before = ordered.cumsum(-1) - ordered
        top = torch.tensor([requests[i].top_p for i in hot], dtype=torch.float64, device=logits.device)
        beyond = before >= top[:, None]
        beyond[:, 0] = False  # the likeliest token always stays
        ordered = ordered.masked_fill(beyond, 0.0)
        probabilities = torch.zeros_like(probabilities).scatter_(-1, order, ordered)
    if any(requests[i].min_p for i in hot):
        least = torch.tensor([requests[i].min_p for i in hot], dtype=torch.float64, device=logits.device)
        probabilities = probabilities.masked_fill(probabilities < least[:, None] * probabilities.amax(-1, True), 0.0)
    total = probabilities.cumsum(-1)
    draws = torch.tensor([streams[i].random() for i in hot], dtype=torch.float64, device=logits.device)
    chosen = torch.searchsorted(total, (draws * total[:, -1])[:, None], right=True).clamp(max=logits.shape[-1] - 1)
    for i, token in zip(hot, chosen[:, 0].tolist(), strict=True):
        greedy[i] = token
    return greedy


def _penalised(logits: Any, rows: Sequence[_Row]) -> Any:
    """Logits where a token that a row's prompt or answer holds is less likely, as transformers and vLLM have it."""
    import torch

    logits = logits.clone()
    for number, row in enumerate(rows):
        if (penalty := row.request.repetition_penalty) != 1:
            seen = torch.tensor(sorted({*row.request.prompt_ids, *row.ids}), device=logits.device)
            values = logits[number, seen]
            logits[number, seen] = torch.where(values < 0, values * penalty, values / penalty)
    return logits


@contextmanager
def running(spec: ModelSpec, folder: Path) -> Iterator[tuple[HFCompleter, Any]]:
    """The model in this process."""
    model = HFCompleter(resolve(spec.located), spec.concurrency, dtype=spec.dtype, device=spec.device)
    yield model, model.tokenizer
