"""A model in this process without weights, for tests that need to say what it answers."""

from __future__ import annotations

from harness.models.base import Completion, Request


class MockCompleter:
    """Replies with ``reply(prompt text)``; cuts where the request has no more room; raises what ``reply`` raises."""

    lockstep = False
    batch_size = 64
    batch_tokens = 0
    digest = "mock"

    def __init__(self, tokenizer, reply, context=0):
        self.tokenizer = tokenizer
        self.reply = reply
        self.context = context
        self.generated_tokens = 0
        self.calls = 0

    async def complete(self, request: Request) -> Completion:
        self.calls += 1
        room = request.room(self.context)
        if room <= 0:
            return Completion("", (), "context", len(request.prompt_ids))
        text = self.reply(self.tokenizer.decode(request.prompt_ids))
        for stop in request.stop:
            text = text.split(stop)[0]
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        self.generated_tokens += min(len(ids), room)
        if len(ids) > room:
            ids, finish = ids[:room], request.cut_by(self.context)
            return Completion(self.tokenizer.decode(ids), tuple(ids), finish, len(request.prompt_ids))
        return Completion(text, tuple(ids), "stop", len(request.prompt_ids))
