"""``small`` and ``paper`` from end to end on a CPU: models, files and sizes are swapped by ``--set`` alone.

What cannot be here is swapped, too: vLLM for this process, servers of large models for a scripted one, GPUs for two CPU
processes that FSDP2 shards over (with the shipped settings, but for their device and number). The tiny generators know
their own grammar alone, so ``small`` is searched with that; the grammar by source runs at ``paper``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from harness.files import shipped
from harness.journal import write_rows
from harness.models.backends.mock import scripted_text
from harness.problems.embedded import FAMILIES, problems
from tests.commands import here

pytestmark = pytest.mark.slow
ENV = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
FSDP = Path(__file__).parents[1] / "training" / "fsdp_on_cpu.py"
TRAINING = {"batch_size": 4, "micro_batch": 1, "precision": "bfloat16", "save_steps": 2, "max_tokens": 1024}


def settings(**sections):
    """``--set`` for every key of the profile, in words."""
    words = []
    for section, value in sections.items():
        keys = {f"{section}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {section: value}
        words += [word for key, v in keys.items() for word in ("--set", f"profile.{key}={json.dumps(v)}")]
    return words


def run(folder, recipe, profile, *more):
    command = [sys.executable, "-m", "harness", "run-recipe", recipe, "--profile", profile, "--display", "plain", *more]
    done = subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    [file] = (folder / "runs" / "recipes").glob("*/run.json")
    return done.stdout, json.loads(file.read_text())


def stages(folder):
    return [json.loads(file.read_text()) for file in (folder / "runs" / "stages").glob("*/done.json")]


@pytest.fixture(scope="module")
def solvable(tmp_path_factory):
    """A file for each source that tiny generators can solve, in the form of 'harness data'."""
    folder = tmp_path_factory.mktemp("search")
    for family in FAMILIES:
        write_rows(folder / f"{family}.jsonl", (each.document() for each in problems(family, "search", 12)))
    return [{"file": str(folder / f"{family}.jsonl"), "family": family} for family in FAMILIES]


@pytest.fixture
def small(solvable):
    """Sizes and models; roles, sources, decodings, recomputation and all else are the profile's."""
    return settings(
        models={
            "student": "shipped:student",
            "student_b": "shipped:generator-llama",
            "student_c": "shipped:generator-qwen2",
            "generator": {"model": "shipped:generator-qwen2"}, "critic": {"model": "shipped:generator-llama"},
            "teacher": {"model": "shipped:generator-qwen2"},
        },
        search={"problems": 12, "sources": solvable, "grammar": "embedded"},
        distil={"max_tokens": 256},
        eval={"max_tokens": 64, "limit": 4, "dtype": "bfloat16"},
        sft=TRAINING, preference=TRAINING, seeds=[0],
    )  # fmt: skip


def test_the_ablation_runs_at_small(small, tmp_path):
    out, saved = run(tmp_path, "ablation_full", "small", *small, *settings(suite="embedded"))
    assert len(saved["arms"]) == 8
    done = stages(tmp_path)
    trained = {stage["name"]: stage["figures"] for stage in done if stage["kind"] in ("sft", "preference")}
    assert len(trained) == 7
    assert all(figures["steps"] > 0 for figures in trained.values())
    assert "report in runs/recipes/" in out


def test_several_students_run_at_small_on_its_own_suite(small, tmp_path, shared_data):
    _, saved = run(tmp_path, "sft_data", "small", *small, *settings(eval={"data_dir": str(shared_data)}))
    assert {"base c", "long_cot b", "searched c", "teacher"} <= {*saved["arms"]}
    scored = {task for stage in stages(tmp_path) if stage["kind"] == "eval" for task in stage["figures"]["rows"]}
    assert scored == {"gsm8k", "blocksworld", "ifeval"}


@contextmanager
def scripted(tokenizer):
    """A server that takes token ids, as vLLM does, and answers as the scripted model."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = scripted_text(tokenizer.decode(body["prompt"]), body["seed"])
            for stop in body["stop"] or ():
                text = text.split(stop)[0]
            ids = tokenizer.encode(text, add_special_tokens=False)[: body["max_tokens"]]
            data = json.dumps({"choices": [{"text": text, "token_ids": ids, "finish_reason": "stop"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}/v1"
    http.shutdown()


@pytest.fixture
def files(tmp_path):
    """What 'paper' names: problems of three sources, two of them by the commands that it gives, and Sky-T1's form."""
    sums = tmp_path / "sums.jsonl"
    write_rows(sums, ({"question": f"What is {n} + {k}?", "answer": str(n + k)} for n in range(3) for k in range(3)))
    common = ("--against", "letter_count", "--drop")
    here("data", sums, tmp_path / "data/search/math", "--count", 9, "--family", "math500", *common, code=0)
    for source in ("planning", "instructions"):
        here("data", source, tmp_path / "data/search" / source, "--count", 6, *common, code=0)
    thought, solution = (f"<|begin_of_{of}|>\n\n{{n}}\n\n<|end_of_{of}|>" for of in ("thought", "solution"))
    text = f"{thought}\n\n{solution}"
    rows = ([("user", f"What is {n}?"), ("assistant", text.format(n=n))] for n in range(8))
    turns = ([{"from": who, "value": what} for who, what in row] for row in rows)
    write_rows(tmp_path / "data/sky_t1_17k.jsonl", ({"system": "", "conversations": each} for each in turns))


def test_the_paper_scale_runs_over_servers_and_shards(files, tokenizer, tmp_path):
    config = yaml.safe_load((shipped("recipes") / "accelerate" / "fsdp2.yaml").read_text())
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(config | {"num_processes": 2, "use_cpu": True}))
    launch = f"{sys.executable} -m accelerate.commands.launch --config_file {tmp_path / 'two.yaml'} {FSDP}"
    with scripted(tokenizer) as url:
        server = {"model": "some", "backend": "openai", "base_url": url, "tokenizer": "shipped:student"}
        swapped = settings(
            models={"student": "shipped:student", "generator": server, "critic": server, "teacher": server},
            search={"problems": 9, "shards": 2},
            eval={"max_tokens": 64, "limit": 4, "backend": "hf", "count": 4},
            sft=TRAINING | {"launch": launch}, preference=TRAINING | {"launch": launch}, suite="embedded",
        )  # fmt: skip
        arms = ("--arms", "base,sft_long_cot,sft,+masking")
        _, saved = run(tmp_path, "ablation_full", "paper", *swapped, *arms)
        asked = ("--until", "taught", "--display", "none")
        here("run-recipe", "sft_data", "--profile", "paper", *swapped, *asked, cwd=tmp_path, code=0)
    [taught] = [stage for stage in stages(tmp_path) if stage["name"] == "teach taught"]
    assert taught["figures"]["outputs"] == 21  # of every problem that was searched, though there is a file
    assert len(saved["arms"]) == 4
    trained = [stage for stage in stages(tmp_path) if stage["kind"] in ("sft", "preference")]
    assert {stage["figures"]["processes"] for stage in trained} == {2}
    [sft] = [stage for stage in trained if stage["name"] == "train sft"]
    assert sft["params"]["rule"] == "longest"
    [chains] = [stage for stage in stages(tmp_path) if stage["kind"] == "chains"]
    assert {*chains["figures"]["by_family"]} == {"math500", "blocksworld", "ifeval"}
    assert chains["params"]["grammar"] == "paper_tasks"
