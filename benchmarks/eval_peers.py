"""What an evaluation costs beside its model: harness, lm-eval, inspect_ai and the bare backend in one run.

Start-up: processor seconds of `harness eval` and its children until the first call of a model, the median.
In process: one model, the same prompts, every answer of so many tokens; seconds of wall clock, lm-eval at its best
batch size. Served: one simulated server in a process of its own, so many requests in flight; processor time of a tool
with all that it started, its own start taken off (a run of 8 samples), and how many of the slots it kept busy from the
first request to the last. `vs_lm_eval` (seconds in process) and `vs_inspect` (processor time of a sample, served) are
how many times what harness takes. inspect_ai needs a Python of its own (--inspect); it is left out without, and in
process, where that would need torch.

    python benchmarks/eval_peers.py [--model FOLDER [--samples N]] [--inspect PYTHON] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
TOKENS, FEW = 60, 8


def side(name: str, **arguments: Any) -> list[str]:
    return [sys.executable, "-m", "benchmarks.peers.sides", name, json.dumps(arguments)]


def run(command: list[str]) -> tuple[str, float, float]:
    """(last line of its output, processor seconds with its children, wall seconds) of a process."""
    from benchmarks.peers.cpu import of_tree

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    started, cpu = time.monotonic(), dict[int, float]()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(command, stdout=out, stderr=complaints, cwd=ROOT, env=environment)  # noqa: S603
        while process.poll() is None:
            for pid, seconds in of_tree(process.pid).items():
                cpu[pid] = max(cpu.get(pid, 0.0), seconds)
            time.sleep(0.05)
        out.seek(0)
        complaints.seek(0)
        text, why = out.read(), complaints.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} ended with {process.returncode}:\n{text}{why[-3000:]}")
    return (text.strip().splitlines() or [""])[-1], sum(cpu.values()), time.monotonic() - started


@contextmanager
def server(seconds: float) -> Iterator[str]:
    """The address of a simulated server."""
    command = [sys.executable, "-m", "benchmarks.peers.served", str(TOKENS), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def served(commands: dict[str, tuple[Any, int]], in_flight: int, seconds: float) -> dict[str, dict[str, float]]:
    """Each tool against a server of its own. ``commands``: of (address, number of samples), and that number."""
    out = {}
    for name, (command, count) in commands.items():
        with server(seconds / 10) as address:
            _, start, _ = run(command(f"{address}/v1", FEW))
        with server(seconds) as address:
            _, cpu, wall = run(command(f"{address}/v1", count))
            with urllib.request.urlopen(f"{address}/meter") as reply:  # noqa: S310 - our own server
                meter = json.load(reply)
        if not count <= meter["requests"] <= count + 2:
            raise SystemExit(f"{name} made {meter['requests']} requests for {count} samples; the comparison is void")
        busy = meter["in_flight"] / in_flight
        each = 1000 * (cpu - start) / (count - FEW)
        out[name] = {"samples": count, "seconds": wall, "cpu_seconds": cpu, "cpu_ms_per_sample": each}
        out[name]["slots_busy"] = busy
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="shipped:student", help="folder of the model in process")
    parser.add_argument("--inspect", default="", help="Python of an environment with inspect_ai")
    parser.add_argument("--in-flight", type=int, default=512)
    parser.add_argument("--samples", type=int, default=0, help="samples in process, for larger models")
    parser.add_argument("--quick", action="store_true", help="fewer samples and rounds")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    rounds, count, samples, times = (3, 2048, 2048, 1) if told.quick else (5, 8192, 1024, 3)
    samples = told.samples or samples

    first = {
        backend: statistics.median(
            json.loads(run(side("first", backend=backend, model="shipped:student"))[0])["cpu"] for _ in range(rounds)
        )
        for backend in ("mock", "openai", "hf")
    }
    batches = [64, 256] if told.quick else [16, 32, 64, 128, 256]
    arguments = {"count": samples, "tokens": TOKENS, "batch": 256, "batches": batches, "rounds": times}
    here = json.loads(run(side("in_process", model=told.model, **arguments))[0])

    def asking(name: str) -> Any:
        return lambda url, n: side(name, url=url, count=n, tokens=TOKENS, in_flight=told.in_flight)

    commands = {name: (asking(name), count) for name in ("bare", "harness", "lm_eval")}
    if find_spec("tenacity") is None:
        del commands["lm_eval"]
        print("lm-eval's client of servers left out: it needs tenacity (pip install lm-eval[api])", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        if told.inspect:
            program = [told.inspect, str(ROOT / "benchmarks/peers/inspect_side.py")]
            commands["inspect_ai"] = (  # it takes ten times as long
                lambda url, n: [*program, prompts(Path(folder), n), url, str(TOKENS), str(told.in_flight)],
                512 if told.quick else count,
            )
        there = served(commands, told.in_flight, 1.5)
    theirs = min((seconds, name) for name, seconds in here.items() if name.startswith("lm-eval"))
    inspect = there.get("inspect_ai")
    result = {
        "cpu_seconds_to_first_request": first,
        "eval_vs_bare": here["harness"] / here["bare"],
        "cpu_ms_per_sample": there["harness"]["cpu_ms_per_sample"],
        "slots_busy": there["harness"]["slots_busy"],
        "vs_lm_eval": theirs[0] / here["harness"],
        "vs_inspect": inspect and inspect["cpu_ms_per_sample"] / there["harness"]["cpu_ms_per_sample"],
        "model": told.model, "in_process": here, "served": there, "load": os.getloadavg()[0],
    }  # fmt: skip
    print(json.dumps(result) if told.json else table(result, samples, told.in_flight))
    if not told.inspect:
        print("inspect_ai left out: name a Python that has it with --inspect", file=sys.stderr)


def prompts(folder: Path, count: int) -> str:
    from harness.problems.load import load

    rows = [{"prompt": one.prompt, "answer": one.gold["answer"]} for one in load("mini_math", count=count)]
    (folder / f"{count}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / f"{count}.jsonl")


def table(result: dict[str, Any], samples: int, in_flight: int) -> str:
    first = ", ".join(f"{name} {seconds:.2f}" for name, seconds in result["cpu_seconds_to_first_request"].items())
    lines = [f"processor seconds to the first request: {first}"]
    lines += [f"\nin process, {result['model']}, {samples} samples of {TOKENS} tokens, one thread:"]
    lines += [f"  {name:20} {seconds:8.2f} s" for name, seconds in result["in_process"].items()]
    lines += [f"\none simulated server, {in_flight} in flight, samples of {TOKENS} tokens:"]
    for name, row in result["served"].items():
        lines.append(
            f"  {name:12} {row['samples']:5} in {row['seconds']:6.2f} s, {row['cpu_seconds']:6.2f} s of processor, "
            f"{row['cpu_ms_per_sample']:.2f} ms a sample, {row['slots_busy']:.1%} of the slots busy"
        )
    lines.append(f"\nharness / bare {result['eval_vs_bare']:.3f}, lm-eval / harness {result['vs_lm_eval']:.2f}")
    if result["vs_inspect"]:
        lines.append(f"inspect_ai / harness, processor time of a sample: {result['vs_inspect']:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
