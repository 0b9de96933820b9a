"""The same model and prompt elsewhere: plain lm-eval, and a real vLLM server where one is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command, **settings):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=500, **settings)
    assert done.returncode == 0, done.stderr[-2000:]


def samples(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def ours(folder, *more):
    run(
        sys.executable,
        "-m",
        "harness",
        "eval",
        "--model",
        "shipped:student",
        "--temperature",
        0,
        "--out",
        folder,
        *more,
    )
    return samples(folder)


@pytest.mark.slow
def test_plain_lm_eval_with_our_task_gives_the_same_verdicts(tmp_path, student, shared_data):
    mine = ours(tmp_path / "ours", "--tasks", "gsm8k", "--data-dir", shared_data, "--limit", 60, "--max-tokens", 160)
    run(
        Path(sys.executable).parent / "lm_eval", "--model", "hf", "--model_args", f"pretrained={student},dtype=float32",
        "--include_path", ROOT / "tasks", "--tasks", "harness_gsm8k", "--limit", 60, "--apply_chat_template",
        "--metadata", json.dumps({"data_dir": str(shared_data)}), "--log_samples", "--output_path", tmp_path / "theirs",
        "--gen_kwargs", "temperature=0,do_sample=False,max_gen_toks=160", "--batch_size", 8, cwd=tmp_path,
    )  # fmt: skip
    log = next((tmp_path / "theirs").rglob("samples_harness_gsm8k*.jsonl"))
    theirs = {row["doc"]["id"]: row for row in map(json.loads, log.read_text().splitlines())}
    assert len(theirs) == len(mine) == 60
    for sample in mine:
        row = theirs[sample["problem_id"]]
        assert row["resps"][0][0] == sample["text"]
        # lm-eval is not told that a text was cut, and may find a number in what we call unfinished.
        if sample["grade"]["verdict"] != "unfinished":
            assert bool(row["acc"]) == (sample["grade"]["verdict"] == "correct")


@pytest.mark.slow
def test_vllm_writes_the_same_tokens(tmp_path):
    program = os.environ.get("HARNESS_TEST_VLLM")
    if not program:
        pytest.skip("HARNESS_TEST_VLLM does not name a vLLM program (docs/evaluation.md says how to run this)")
    common = ("--suite", "embedded", "--limit", 40, "--max-tokens", 256)
    flags = "--max-model-len 1024 --dtype float32 --gpu-memory-utilization 0.2"
    served = ours(tmp_path / "vllm", *common, "--backend", "vllm", "--vllm", program, "--vllm-args", flags)
    here = ours(tmp_path / "hf", *common)
    equal = total = 0
    for a, b in zip(served, here, strict=True):
        pairs = list(zip(a["token_ids"], b["token_ids"], strict=False))
        first = next((i for i, (x, y) in enumerate(pairs) if x != y), len(pairs))
        equal, total = equal + first, total + max(len(a["token_ids"]), len(b["token_ids"]))
    assert equal / total >= 0.99
