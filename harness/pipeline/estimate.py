"""What a stage would take: tokens, time, memory, disk, from measured rates where there are any, else not told.

Rates come from finished stages of the same kind on the same model: those in the store, else those that ship with the
project (measured on two CPU cores). Sizes follow from parameter counts: of local weights, or as a hub name tells them.
"""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.pipeline.graph import Graph, Job
from harness.shipped import shipped

# Bytes of a parameter: weights to sample from (bfloat16 on a GPU, float32 here), and weights, gradient and two moments.
_SAMPLING, _TRAINING = 4, 16
_TOKEN_BYTES = 12  # of a stored token, text and id, in JSON


@dataclass(frozen=True)
class Estimate:
    """``tokens`` generated, or through the network; ``most``: the bound that budgets set, nothing was measured."""

    tokens: int | None
    most: bool
    seconds: float | None
    memory: int | None
    disk: int | None


@dataclass(frozen=True)
class Rate:
    """Medians over finished stages: tokens of an item (a problem, a row, an answer), seconds of a token."""

    per_item: float
    seconds: float


Rates = dict[tuple[str, str], Rate]


def estimates(graph: Graph, store: Path) -> dict[str, Estimate]:
    """An estimate for every job."""
    rates = measured(store)
    return {digest: _estimate(graph, job, rates) for digest, job in graph.jobs.items()}


def measured(store: Path) -> Rates:
    """Rates by kind and model: shipped ones, with those of the store in their place where it has some."""
    file = shipped("rates.json")
    out: Rates = {}
    if file.exists():
        out = {
            (row["kind"], row["model"]): Rate(row["per_item"], row["seconds"]) for row in json.loads(file.read_text())
        }
    return out | rates_of(store)


def rates_of(store: Path) -> Rates:
    """Rates of the finished stages of a store alone."""
    done = {f.parent.name: json.loads(f.read_text()) for f in (store / "stages").glob("*/done.json")}
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for record in done.values():
        tokens, items = _spent(record)
        if tokens and items:
            key = (record["kind"], _root(record, done))
            found.setdefault(key, []).append((tokens / items, record["seconds"] / tokens))
    return {
        key: Rate(statistics.median(a for a, _ in each), statistics.median(b for _, b in each))
        for key, each in found.items()
    }


def _spent(record: dict[str, Any]) -> tuple[int, int]:
    """(tokens, items) of a finished stage."""
    f = record.get("figures", {})
    if record.get("kind") == "search":
        return sum(f["tokens"].values()), f["problems"]
    if record.get("kind") == "eval":
        return f.get("generated_tokens") or 0, sum(row["samples"] for row in f["rows"].values())
    if record.get("kind") == "teach":
        return f.get("generated_tokens") or 0, f["outputs"]
    return f.get("tokens_in_rows", 0), f.get("rows") or f.get("pairs") or 0


def _root(record: dict[str, Any], done: dict[str, dict[str, Any]]) -> str:
    """The name of the model that a finished stage asked or trained."""
    while record.get("inputs", {}).get("model") in done:
        record = done[record["inputs"]["model"]]
    models = record.get("models", {})
    return str(models.get("model") or models.get("generator") or models.get("teacher") or "")


def _model(graph: Graph, job: Job) -> dict[str, Any]:
    while "model" in job.inputs:
        job = graph.jobs[job.inputs["model"]]
    return job.models.get("model") or job.models.get("generator") or job.models.get("teacher") or {}


def _estimate(graph: Graph, job: Job, rates: Rates) -> Estimate:
    model = _model(graph, job)
    path = str(model.get("model", ""))
    rate = rates.get((job.kind, Path(path).name))
    items, most = _items(graph, job), _most(job)
    tokens, bound = None, False
    if items is not None and rate is not None:
        tokens = round(items * rate.per_item)
    elif items is not None and most is not None:
        tokens, bound = items * most, True
    size = parameters(path)
    served = model.get("backend", "hf") != "hf"
    training = job.kind in ("sft", "preference")
    memory = disk = None
    if size is not None and job.kind not in ("chains", "distil"):
        share = job.params.get("dose", {}).get("lora") and 0.2
        memory = 0 if served else round(size * (_TRAINING * (share or 1) if training else _SAMPLING))
    if training and size is not None:
        disk = round(size * (_SAMPLING + 12))  # the model, and a checkpoint's moments while it trains
    elif tokens is not None:
        disk = tokens * _TOKEN_BYTES
    seconds = tokens * rate.seconds if tokens is not None and rate is not None else None
    return Estimate(tokens, bound, seconds, memory, disk)


def _items(graph: Graph, job: Job) -> int | None:
    """Problems, rows or answers of a job, at most."""
    from harness.problems.registry import select

    p: dict[str, Any] = job.params
    if job.kind == "teach" and "file" in job.how:
        return int(p["problems"]) or None
    if job.kind in ("search", "teach"):
        sources = len(p.get("families", ())) + len(job.how.get("sources", ()))
        each = int(p["problems"]) * max(1, sources)
        return -(-each // int(p["shards"])) if job.kind == "search" else each * int(p.get("samples", 1))
    if job.kind == "eval":
        sizes = [p["count"] if t.group == "embedded" else _size(t.items) for t in select([], p["suite"])]
        if None in sizes:
            return None
        return sum(min(s, p["limit"] or s) for s in sizes if s is not None) * int(p["samples"])
    if job.kind in ("sft", "preference"):
        chains = graph.jobs[job.inputs["chains"]]
        from_ = [graph.jobs[digest] for digest in chains.inputs.values()]
        found = [_items(graph, each) for each in from_]
        if any(number is None for number in found):
            return None
        problems = sum(number for number in found if number is not None)
        if from_[0].kind == "teach":
            problems //= int(from_[0].params.get("samples", 1))
        return problems * int(p["per_problem"])
    return None


def _size(text: str) -> int | None:
    found = re.search(r"\d[\d,]*", text)
    return int(found.group().replace(",", "")) if found else None


def _most(job: Job) -> int | None:
    if job.kind in ("sft", "preference"):
        return round(job.params["dose"]["max_tokens"] * job.params["dose"]["epochs"]) or None
    most: int | None = job.params.get("max_tokens") if job.kind in ("eval", "teach") else None
    return most


def parameters(path: str) -> int | None:
    """Parameters of a local model by its weights' headers, of a hub model by its name (``...-1.5B-...``)."""
    folder = Path(path)
    if folder.is_dir():
        return sum(_in_file(file) for file in folder.glob("*.safetensors")) or None
    found = re.search(r"(\d+(?:\.\d+)?)[bB](?![a-z])", folder.name)
    return round(float(found.group(1)) * 1e9) if found else None


def _in_file(file: Path) -> int:
    from math import prod

    with file.open("rb") as data:
        header = json.loads(data.read(int.from_bytes(data.read(8), "little")))
    return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
