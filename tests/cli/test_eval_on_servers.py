"""``harness eval`` on a chat service with a key, 429s and a context of 512."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.models.server.chat_service import Service, serving


@pytest.fixture
def service(tokenizer):
    unknown = ("return_token_ids", "skip_special_tokens", "repeat_penalty")
    with serving(Service(tokenizer=tokenizer, key="sekret-123", busy_every=11, refuses=unknown)) as service:
        yield service


def evaluate(service, folder, *more, **environment):
    command = [
        sys.executable, "-m", "harness", "eval", "--model", "some", "--tokenizer", "shipped:student", "--backend",
        "openai", "--base-url", service.url, "--api", "chat", "--api-key-env", "KEY", "--tasks", "mini_math",
        "--limit", "20", "--max-tokens", "2000", "--out", str(folder), *more,
    ]  # fmt: skip
    clean = {name: value for name, value in os.environ.items() if name not in ("KEY", "OPENAI_API_KEY")}
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False)


def test_every_sample_is_served_and_cut_to_fit(service, tmp_path):
    done = evaluate(service, tmp_path / "run", KEY="sekret-123")
    assert (done.returncode, done.stderr) == (0, "")
    samples = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    assert len(samples) == 20
    assert {sample["text"] for sample in samples} == {"<think>2 + 2 = 4.</think>The answer is \\boxed{4}."}
    assert {sample["thinking_tokens"] for sample in samples} == {6}
    assert service.bodies[0]["max_tokens"] == 8
    assert service.bodies[1]["max_tokens"] == 2000
    assert service.bodies[-1]["max_tokens"] < 512
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["server"]["api"] == "chat"
    assert manifest["server"]["context"] == 512
    assert manifest["server"]["usage"]["completion_tokens"] == 400
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and b"sekret-123" in f.read_bytes()]


def test_without_the_key_it_is_one_line(service, tmp_path):
    done = evaluate(service, tmp_path / "run")
    assert done.returncode == 3
    assert (
        done.stderr == "harness: --api-key-env: the environment variable KEY is not set; export KEY=... and run again\n"
    )


def test_a_run_in_which_nothing_was_served_is_no_result(service, tmp_path):
    service.context = 10
    done = evaluate(service, tmp_path / "run", KEY="sekret-123")
    assert done.returncode == 3
    assert "a context of 10 tokens holds no prompt" in done.stderr
    assert not (tmp_path / "run" / "manifest.json").exists()
