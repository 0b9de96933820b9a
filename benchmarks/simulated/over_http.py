"""One search over real HTTP: the simulated servers in a process of their own, the real grader, time scaled down."""

from __future__ import annotations

import multiprocessing
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.simulated.arms import problems
from benchmarks.simulated.server import SimServer, Times, http_app
from benchmarks.simulated.world import PRESETS, World
from harness.grading.grade import Grader
from harness.models.backends.openai import OpenAICompleter
from harness.models.loading import load_tokenizer, resolve
from harness.search.launch import run as run_search
from harness.search.run.roles import Role
from harness.search.run.work import GraderVerifier, Search
from harness.search.store import Settings, Store

MODEL = "shipped:generator-qwen2"


def serve(port: int, world: World, slots: dict[str, int], scale: float) -> None:
    from aiohttp import web

    servers = {role: SimServer(world, Times(scale=scale), slots[role]) for role in slots}
    web.run_app(http_app(servers, load_tokenizer(resolve(MODEL))), host="127.0.0.1", port=port, print=None)


def measure(settings: Settings, number: int, slots: int, window: int, scale: float = 0.1) -> dict[str, Any]:
    """Processor time of this process (without the grader's and the servers') for each request, and requests/s."""
    shares = {"generator": round(0.7 * slots), "critic": slots - round(0.7 * slots)}
    world, tokenizer, port = World(PRESETS["reflection"], settings.seed), load_tokenizer(resolve(MODEL)), _free_port()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(port, world, shares, scale), daemon=True)
    server.start()
    try:
        _wait(port)
        roles = {}
        for role, n in shares.items():
            completer = OpenAICompleter(
                base_url=f"http://127.0.0.1:{port}/{role}/v1", model=role, tokenizer=tokenizer, concurrency=n
            )
            roles[role] = Role([completer], tokenizer, slots=n)
        with Grader() as grader, tempfile.TemporaryDirectory() as folder:
            grader.grade("number", {"answer": 1}, "1")
            search = Search(settings=settings, roles=roles, verifier=GraderVerifier(grader), window=window)
            with Store(Path(folder) / "warm", settings) as store:  # imports, connections
                run_search(search, problems(world, 2), store)
            before = sum(role.requests for role in roles.values())
            with Store(Path(folder) / "measured", settings) as store:
                cpu, wall = time.process_time(), time.monotonic()
                run_search(search, problems(world, number), store)
                cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        requests = sum(role.requests for role in roles.values()) - before
    finally:
        server.terminate()
    return {
        "requests": requests, "cpu_ms_per_request": round(1000 * cpu / requests, 3), "wall_seconds": round(wall, 2),
        "requests_per_second": round(requests / wall, 1), "client_share_of_a_core": round(cpu / wall, 3),
    }  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the simulated servers did not start")
