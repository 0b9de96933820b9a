"""The original as released (AIDC-AI/Marco-o1, src/v2), run unmodified from a user's checkout against the world.

It is sequential, so simulated time is the sum of what its requests would take; nothing has to wait for it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.simulated.arms import Outcome, problems
from benchmarks.simulated.server import Meter, SimServer, Times, original_reply
from benchmarks.simulated.world import World, read_prompt


def source(checkout: Path) -> Path:
    """The folder of the original's main program in a checkout. Raises FileNotFoundError."""
    for folder in (checkout / "src/v2/src", checkout / "v2/src", checkout / "src", checkout):
        if (folder / "tree_search/utils/mcts_engine.py").is_file():
            return folder
    raise FileNotFoundError(f"{checkout}: no src/v2/src/tree_search here; give a checkout of AIDC-AI/Marco-o1")


def run_released(checkout: Path, world: World, number: int) -> Outcome:
    """Search ``number`` problems with the released program and its demo configuration."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "src"
        shutil.copytree(source(checkout), folder)
        listener = _Listener(world)
        try:
            _search(folder, listener, world, number)
        finally:
            listener.stop()
        return _outcome(folder, listener, number)


class _Listener:
    """Both of its servers in one: /a/generate and /b/generate on a free port of loopback, answering at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.times = Times()
        self.servers = {name: SimServer(world, self.times, 10**6) for name in ("a", "b")}
        self.seconds: dict[int, float] = defaultdict(float)
        self.seen: Counter[str] = Counter()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = json.dumps({"response": listener.answer(self.path.split("/")[1], body)}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, name: str, body: dict[str, Any]) -> list[str]:
        server, prompt = self.servers[name], body["user_question"] + body["model_output"]
        self.seen[prompt] += 1
        words, texts = original_reply(self.world, body, self.seen[prompt])
        uncached = server.uncached([hash(word) for word in words])
        seconds = self.times.seconds(uncached, max(t.tokens for t in texts), len(texts))
        self.seconds[read_prompt(prompt)[0]] += seconds
        meter = server.meter
        meter.requests += 1
        meter.prompt_tokens += len(words)
        meter.uncached_tokens += uncached
        meter.generated += sum(t.tokens for t in texts)
        meter.busy += seconds
        return [t.text for t in texts]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{name}/generate"

    def stop(self) -> None:
        self.http.shutdown()


def _search(folder: Path, listener: _Listener, world: World, number: int) -> None:
    config = json.loads((folder / "tree_search/configs/demo_config.json").read_text())
    rows = [{"id": p.id, "problem": p.prompt, "solution": p.gold["answer"]} for p in problems(world, number)]
    (folder / "questions.json").write_text(json.dumps(rows))
    config |= {"mode": "run", "input_path": "questions.json", "output_folder": "out"}
    config |= {"url1": listener.url("a"), "url2": listener.url("b")}
    (folder / "bench_config.json").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "main.py", "--config", "bench_config.json"], cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the original ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")


def _outcome(folder: Path, listener: _Listener, number: int) -> Outcome:
    right = wrong = pairs = nodes = unvisited = reflections = followed = with_correct = 0
    counted = 0.0
    for i in range(number):
        tree = json.loads((folder / f"output/out/tree_output/bench_p{i}.json").read_text())
        chains: dict[bool, set[str]] = {True: set(), False: set()}
        for node in tree:
            if node["parent_id"] is None:
                counted += node["total_reward"]
                continue
            nodes += 1
            unvisited += node["num_visits"] == 0
            if node["node_action_name"] == "reflection":
                reflections += 1
                followed += node["num_visits"] > 0
            if node["is_terminal"] and node["num_visits"]:
                chains[node["total_reward"] > 0].add(" ".join(node["all_path_value"].split()).lower())
        right += len(chains[True])
        wrong += len(chains[False])
        with_correct += bool(chains[True])
        pairs += min(len(chains[True]), len(chains[False]))
    meters: dict[str, Meter] = {name: server.meter for name, server in listener.servers.items()}
    tokens = sum(meter.generated for meter in meters.values())
    figures = {
        "problems": number, "correct_chains": right, "wrong_chains": wrong, "never_visited": unvisited / max(1, nodes),
        "reflections": reflections, "reflections_followed": followed, "with_correct": with_correct / number,
        "pairs_per_1000_tokens": 1000 * pairs / tokens,
    }  # fmt: skip
    seconds = sum(listener.seconds.values())
    idle = 1 - sum(meter.busy for meter in meters.values()) / seconds / 2
    return Outcome(figures, seconds, meters, idle, own_count=counted)
