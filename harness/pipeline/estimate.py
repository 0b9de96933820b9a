"""What a stage would take: tokens, time, memory, disk, from measured rates where there are any, else not known.

Rates come from finished stages of the same kind on the same model: those in the store, else those that ship with the
project (measured on two CPU cores). Sizes follow from parameter counts: of local weights, or as a hub name tells them.
"""

from __future__ import annotations

import json
import re
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.models.spec import ModelSpec
from harness.pipeline.job import Graph, Job
from harness.pipeline.kinds import all_kinds, kind_of
from harness.results.records import StageResult
from harness.results.store import Store
from harness.shipped import shipped


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """``tokens`` generated, or through the network; ``most``: the bound that budgets set, nothing was measured.

    Bytes of ``memory`` and ``disk``. ``quick``: seconds at most, nothing is estimated. None: not known.
    """

    tokens: int | None = None
    most: bool = False
    seconds: float | None = None
    memory: int | None = None
    disk: int | None = None
    quick: bool = False


class Rate(NamedTuple):
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
    rows = json.loads(shipped("rates.json").read_text())
    out = {(row["kind"], row["model"]): Rate(row["per_item"], row["seconds"]) for row in rows}
    return out | rates_of(store)


def rates_of(store: Path) -> Rates:
    """Rates of the finished stages of a store alone."""
    results = dict(Store(store).results())
    rates: dict[tuple[str, str], list[Rate]] = defaultdict(list)
    for result in results.values():
        if result.kind in all_kinds():
            tokens, items = kind_of(result.kind).spent(result.figures)
            if tokens and items:
                rates[result.kind, _model_of(result, results)].append(Rate(tokens / items, result.seconds / tokens))
    return {
        key: Rate(statistics.median(r.per_item for r in each), statistics.median(r.seconds for r in each))
        for key, each in rates.items()
    }


def _model_of(result: StageResult, results: dict[str, StageResult]) -> str:
    """The name of the model that a finished stage asked or trained, before any training."""
    asks = kind_of(result.kind).asks
    while result.inputs.get("model") in results:
        result = results[result.inputs["model"]]
    return result.models.get("model") or result.models.get(asks) or ""


def _asked(graph: Graph, job: Job) -> ModelSpec | None:
    asks = kind_of(job.kind).asks
    while "model" in job.inputs:
        job = graph.jobs[job.inputs["model"]]
    return job.models.get("model") or job.models.get(asks)


def _estimate(graph: Graph, job: Job, rates: Rates) -> Estimate:
    kind, model = kind_of(job.kind), _asked(graph, job)
    path = model.model if model else ""
    rate, items, most = rates.get((job.kind, Path(path).name)), kind.items(graph, job), kind.most(job)
    tokens, bound = None, False
    if items is not None and rate is not None:
        tokens = round(items * rate.per_item)
    elif items is not None and most is not None:
        tokens, bound = items * most, True
    size = parameters(path)
    served = model is not None and model.backend != "hf"
    return Estimate(
        tokens=tokens,
        most=bound,
        seconds=tokens * rate.seconds if tokens is not None and rate is not None else None,
        memory=None if size is None else 0 if served and not kind.quick else kind.memory(job, size),
        disk=kind.disk(job, size, tokens),
        quick=kind.quick,
    )


def parameters(path: str) -> int | None:
    """Parameters of a local model by its weights' headers, of a hub model by its name (``...-1.5B-...``)."""
    folder = Path(path)
    if folder.is_dir():
        return sum(_in_file(file) for file in folder.glob("*.safetensors")) or None
    size = re.search(r"(\d+(?:\.\d+)?)[bB](?![a-z])", folder.name)
    return round(float(size.group(1)) * 1e9) if size else None


def _in_file(file: Path) -> int:
    from math import prod

    with file.open("rb") as data:
        header = json.loads(data.read(int.from_bytes(data.read(8), "little")))
    return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
