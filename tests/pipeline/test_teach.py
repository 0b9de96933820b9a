"""A teacher that is a chat service: its split-off thoughts come back between tags, and are graded."""

from __future__ import annotations

import json

from harness.models.spec import ModelSpec
from harness.pipeline.kind import Job
from harness.pipeline.kinds.teach import Teach
from tests.models.server.chat_service import Service, serving


def test_a_chat_service_teaches(tokenizer, student, tmp_path):
    params = {"families": ["mini_math"], "mix": "search", "sources": [], "problems": 3, "seed": 0, "samples": 2,
              "max_tokens": 64,
              "temperature": 0.0, "sampling_seed": 0}  # fmt: skip
    with serving(Service(tokenizer=tokenizer)) as service:
        teacher = ModelSpec(model="some", tokenizer=student, backend="openai", base_url=service.url)
        job = Job(kind="teach", name="teach", params=params, models={"model": teacher}, how={"files": []})
        figures = Teach().run(job, tmp_path, {}, lambda done, total, tokens: None)
    assert figures["outputs"] == 6
    asked = [body["messages"][-1]["content"] for body in service.bodies[1:]]
    taught = [json.loads(line) for line in (tmp_path / "taught.jsonl").read_text().splitlines()]
    assert {each["problem"]["prompt"] for each in taught} == set(asked)
    assert {each["text"] for each in taught} == {"<think>2 + 2 = 4.</think>The answer is \\boxed{4}."}
