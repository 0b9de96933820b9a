"""All that a borrowed GPU should tell, in one command of 8 minutes: writes one JSON and prints a table.

    python benchmarks/gpu.py [--out FILE] [--deadline 480] [--only PARTS] [--quick] [--commit TEXT]

1. exactness: loss and gradient of objectives and layouts against float64, in float32 and bfloat16;
2. training: trees and pairs against stock TRL at the shapes of Qwen2.5 0.5B and 1.5B, step time and peak memory;
3. generation: tokens a second of the in-process sampler beside the bare model's generate;
4. family: a few hundred SFT steps of the embedded student's shape at 14M parameters.

Nothing is downloaded: random weights, and the tokenizer of the checkout. The JSON is written after each part, so a kill
loses the part in flight at most. Each part has its share of the deadline, time left over goes to the next, and a part
that uses up its share is ended; what was measured until then stays. A part whose packages are missing is left out, and
the JSON says which. ``--quick``: tiny shapes, on a CPU too, in about a minute. Exit code 1: something failed, or is
further from float64 than it may be; 2: no such run is possible here.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.gpu_parts import PARTS, Part  # noqa: E402

LEAST = 10.0  # seconds; with fewer left a part would only import torch
PACKAGES = (
    "torch", "triton", "transformers", "trl", "datasets", "accelerate", "peft", "tokenizers", "safetensors",
    "pydantic", "numpy",
)  # fmt: skip


def said(*command: str) -> str:
    """What a program prints; empty where it is not here or fails."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else ""


def machine(commit: str) -> dict[str, Any]:
    """Where and what runs. ``sources`` is a digest of the code: a copy without .git has no commit."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    sources = hashlib.sha256()
    for file in sorted(path for room in ("harness", "benchmarks") for path in (ROOT / room).rglob("*.py")):
        sources.update(file.read_bytes())
    card = said("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    name, driver, memory = [*card.splitlines()[0].split(", "), "", ""][:3] if card else ("", "", "")
    return {
        "card": name, "driver": driver, "card_memory": memory, "cores": os.cpu_count(), "system": platform.platform(),
        "python": platform.python_version(), "packages": versions, "sources": sources.hexdigest()[:16],
        "commit": commit or said("git", "describe", "--always", "--dirty", "--abbrev=40"),
    }  # fmt: skip


def run(name: str, limit: float, quick: bool) -> dict[str, Any]:
    """One part in a process of its own, ended after ``limit`` seconds."""
    from harness.processes import kept

    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {"CUDA_VISIBLE_DEVICES": "0"} | os.environ | {"PYTHONPATH": path}  # one card, also among several
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        file = Path(folder) / "found.json"
        command = [sys.executable, "-m", "benchmarks.gpu_parts", name, str(file), str(limit), *["quick"] * quick]
        process = subprocess.Popen(  # noqa: S603 - this repository's own program
            kept(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env=environment,
            start_new_session=True,
        )  # fmt: skip
        cut = False
        try:
            process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            cut = True
        finally:
            process.terminate()  # the keeper, which ends the part
            process.wait()
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"planned": [], "measured": {}}
        found["not_run"] = [what for what in found.pop("planned") if what not in found["measured"]]
        if cut:
            return {"state": "cut", "why": f"its {limit:.0f} s were over"} | found
        if process.returncode:
            log.seek(0)
            lines = [line for line in log.read().splitlines() if line.strip()]
            return {"state": "failed", "why": (lines or ["no word"])[-1], "log": lines[-30:]} | found
        return {"state": "part" if found["not_run"] else "done"} | found


def of_part(name: str, part: Part, limit: float, quick: bool) -> dict[str, Any]:
    if absent := part.absent():
        advice = "pip install --no-deps WHEELS, see docs/training.md"
        return {"state": "left out", "why": f"not installed: {', '.join(absent)} ({advice})"}
    if limit < LEAST:
        return {"state": "not run", "why": "no time was left"}
    return run(name, limit, quick)


def faults_of(name: str, found: dict[str, Any]) -> list[str]:
    own = [f"{name}: {found['why']}"] if found["state"] == "failed" else []
    each = found.get("measured", {}).items()
    return own + [f"{name}, {what}: {result['fault']}" for what, result in each if "fault" in result]


def lines_of(name: str, part: Part, found: dict[str, Any]) -> list[str]:
    """For the screen, of a part."""
    why = f": {found['why']}" if "why" in found else ""
    lines = [f"{name}: {found['state']}{why}"]
    for what, result in found.get("measured", {}).items():
        figures = [f"{key} {result[key]:.4g}" for key in part.shown if isinstance(result.get(key), int | float)]
        lines += [f"  {what} ({result['took']:.0f} s)", f"    {', '.join(figures) or result.get('fault', '')}"]
    if found.get("not_run"):
        lines.append(f"  not run: {'; '.join(found['not_run'])}")
    return lines


def write(file: Path, result: dict[str, Any]) -> None:
    aside = file.with_name(f"{file.name}.{os.getpid()}.part")
    aside.write_text(json.dumps(result, indent=1) + "\n")
    os.replace(aside, file)


def refusal(told: argparse.Namespace, names: list[str]) -> str:
    """Why no run is possible; empty where it is."""
    if unknown := [name for name in names if name not in PARTS]:
        return f"--only {told.only}: no part {', '.join(unknown)}; there are {', '.join(PARTS)}"
    if not told.out.parent.is_dir():
        return f"--out {told.out}: there is no folder {told.out.parent}"
    if told.quick or importlib.util.find_spec("torch") is None:
        return ""
    import torch

    return "" if torch.cuda.is_available() else "torch sees no GPU here; --quick runs tiny shapes on the processor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="where the JSON goes (default gpu.json)")
    parser.add_argument("--deadline", type=float, default=480.0, help="seconds for all parts (default 480)")
    parser.add_argument("--only", default="", help=f"these parts, separated by commas: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, about a minute on one core")
    parser.add_argument("--commit", default="", help="what to note as the commit, in a copy without .git")
    told = parser.parse_args()
    names = told.only.split(",") if told.only else list(PARTS)
    if why := refusal(told, names):
        parser.exit(2, f"{parser.prog}: {why}\n")
    begun, allotted = time.monotonic(), 0.0
    shares = sum(PARTS[name].share for name in names)
    result: dict[str, Any] = {
        "machine": machine(told.commit), "quick": told.quick, "deadline": told.deadline, "device": None, "faults": [],
        "parts": {name: {"state": "not run", "why": "the run ended before it"} for name in names},
    }  # fmt: skip
    write(told.out, result)
    for name in names:
        allotted += PARTS[name].share / shares * told.deadline
        print(f"{name} ...", file=sys.stderr, flush=True)
        started = time.monotonic()
        found = of_part(name, PARTS[name], allotted - (started - begun), told.quick)
        result["device"] = found.pop("device", None) or result["device"]
        result["parts"][name] = found | {"seconds": round(time.monotonic() - started, 1)}
        result["faults"] += faults_of(name, found)
        result["seconds"] = round(time.monotonic() - begun, 1)
        write(told.out, result)
    print(json.dumps(result["device"] or {}))
    for name in names:
        print("\n".join(lines_of(name, PARTS[name], result["parts"][name])))
    print("\n".join([f"FAULT {fault}" for fault in result["faults"]] or ["no faults"]))
    print(f"{result['seconds']:.0f} s; {told.out}")
    sys.exit(1 if result["faults"] else 0)


if __name__ == "__main__":
    main()
