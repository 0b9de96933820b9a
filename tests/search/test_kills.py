"""Searches over a real server, killed at random moments: the trees are those of a search that nothing happened to."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.journal import read, write_rows
from harness.models.base import seed_of
from tests.search.scripted import PROBLEMS, reply, state_of


@pytest.fixture
def server(tokenizer):
    """``server.seen`` maps a request's seed to the times at which it came; ``server.latency`` in seconds."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.seen[body["seed"]].append(time.monotonic())
            time.sleep(self.server.latency)
            prompt = tokenizer.decode(body["prompt"])
            text = reply(prompt, body["seed"]) if "<" in prompt else "six"  # to the question of who it is
            for stop in body["stop"] or ():
                text = text.split(stop)[0]
            ids = tokenizer.encode(text, add_special_tokens=False)
            choice = {"text": text, "token_ids": ids, "finish_reason": "stop"}
            data = json.dumps({"choices": [choice]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

        def handle(self):
            with contextlib.suppress(OSError):  # the killed client's connection
                super().handle()

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.seen, http.latency = defaultdict(list), 0.0
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield http
    http.shutdown()


def command(server, student, problems, out, *more):
    url = f"http://127.0.0.1:{server.server_port}/v1"
    options = ["--model", student, "--backend", "openai", "--base-url", url, "--problems", str(problems)]
    goals = ["--correct", "4", "--rollouts", "8", "--concurrency", "6", "--window", "4"]
    return [sys.executable, "-m", "harness", "search", "run", *options, *goals, "--out", str(out), *more]


def run(arguments, code=0):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr[-2000:]
    return done


@pytest.fixture
def problems(tmp_path):
    write_rows(
        tmp_path / "problems.jsonl",
        ({"prompt": p.prompt, "gold": p.gold, "id": p.id, "family": p.family} for p in PROBLEMS),
    )
    return tmp_path / "problems.jsonl"


def kept(folder):
    """(problem, node) of everything on disk."""
    return {(name, row["node"]) for name, (_, rows) in state_of(folder).items() for row in rows}


def seed(problem, node):
    return seed_of(seed_of(0, problem), node) % (1 << 31)


@pytest.mark.slow
def test_killed_twenty_times_the_trees_are_the_same_and_nothing_is_sent_twice(server, student, problems, tmp_path):
    run(command(server, student, problems, tmp_path / "whole"))
    expected = state_of(tmp_path / "whole")
    server.latency = 0.25
    rng = random.Random(0)
    out = tmp_path / "killed"
    journal = out / "journal.jsonl"
    kills = 0
    while kills < 20:
        server.seen.clear()
        before = kept(out) if (out / "search.json").exists() else set()
        size = journal.stat().st_size if journal.exists() else 0
        process = subprocess.Popen(
            command(server, student, problems, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if journal.exists() and journal.stat().st_size > size:
                break
            time.sleep(0.01)
        time.sleep(rng.random() * 0.5)
        assert process.poll() is None, process.stderr.read()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        sent = set(server.seen)
        assert not {seed(*entry) for entry in before} & sent, "a finished expansion was asked for again"
        if kills == 7:  # and once the kill tears a line
            with journal.open("ab") as file:
                file.write(b'{"problem":"torn')
    server.latency = 0.0
    run(command(server, student, problems, out))
    assert state_of(out) == expected
    assert sum(len(rows) for _, rows in expected.values()) > 200


def test_a_torn_line_is_reported_and_repaired(server, student, problems, tmp_path):
    out = tmp_path / "out"
    run(command(server, student, problems, out, "--all-requests", "30"), code=3)
    before = kept(out)
    with (out / "journal.jsonl").open("ab") as file:
        file.write(b'{"problem":"torn')
    server.seen.clear()
    done = run(command(server, student, problems, out))
    assert "the last line was torn (16 bytes)" in done.stderr
    assert not {seed(*entry) for entry in before} & set(server.seen)
    assert all(why for why, _ in state_of(out).values())
    assert list(read(out / "journal.jsonl")) == []
