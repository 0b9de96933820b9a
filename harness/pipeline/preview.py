"""A recipe before it runs: what starts from what, and what its stages took, or would take in tokens, time and bytes."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from math import prod
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from harness.files import shipped
from harness.models.spec import ModelSpec
from harness.pipeline.graph import Graph
from harness.pipeline.kind import Job
from harness.pipeline.kinds import all_kinds, kind_of
from harness.pipeline.recipe import Profile, Recipe
from harness.results.records import StageResult
from harness.results.store import Store
from harness.view.page import Branch, Page
from harness.view.recipes import StageRow


class Rate(NamedTuple):
    """Medians over finished stages: tokens of an item (a problem, a row, an answer), seconds of a token."""

    per_item: float
    seconds: float


Rates = dict[tuple[str, str], Rate]  # by kind and model


def summary(result: StageResult) -> str:
    """The result of a stage in one line."""
    return kind_of(result.kind).summary(result.figures).partition("\n")[0]


def stage_rows(graph: Graph, folder: Path) -> list[StageRow]:
    """Every stage: its result in words, or an estimate by the rates of finished stages, in the store or shipped."""
    store, rows, items = Store(folder), list[StageRow](), dict[str, int | None]()
    known = json.loads(shipped("rates.json").read_text())
    rates = {(row["kind"], row["model"]): Rate(row["per_item"], row["seconds"]) for row in known} | rates_of(folder)
    for digest, job in graph.jobs.items():
        items[digest] = kind_of(job.kind).items(job, {role: items[needed] for role, needed in job.inputs.items()})
        if (result := store.result(digest)) is None:
            rows.append(_estimate(graph, job, rates, items[digest]))
        else:
            line, *more = kind_of(job.kind).summary(result.figures).split("\n")
            row = StageRow(digest=digest, name=job.name, done=True, seconds=result.seconds, summary=line, details=more)
            rows.append(row)
    return rows


def rates_of(store: Path) -> Rates:
    """Rates of the finished stages of a store alone."""
    results = dict(Store(store).results())
    rates: dict[tuple[str, str], list[Rate]] = defaultdict(list)
    for result in results.values():
        if result.kind in all_kinds():
            tokens, items = kind_of(result.kind).spent(result.figures)
            if tokens and items:
                model = _asked(result, results) or ""
                rates[result.kind, model].append(Rate(tokens / items, result.seconds / tokens))
    return {key: Rate(median(r.per_item for r in each), median(r.seconds for r in each)) for key, each in rates.items()}


def _asked(stage: Job | StageResult, others: Mapping[str, Job | StageResult]) -> Any:
    """The model that a stage asks or trains, before any training."""
    while stage.inputs.get("model") in others:
        stage = others[stage.inputs["model"]]
    return next(iter(stage.models.values()), None)


def _estimate(graph: Graph, job: Job, rates: Rates, items: int | None) -> StageRow:
    kind = kind_of(job.kind)
    model: ModelSpec | None = _asked(job, graph.jobs)
    path = model.model if model else ""
    rate, most, size = rates.get((job.kind, Path(path).name)), kind.most(job), parameters(path)
    each = most if rate is None else rate.per_item
    tokens = None if items is None or each is None else round(items * each)
    memory, disk = kind.bytes_of(job, size, tokens)
    if size is not None and model is not None and model.backend != "hf" and not kind.quick:
        memory = 0  # of its server
    return StageRow(
        digest=job.digest, name=job.name, done=False, quick=kind.quick, tokens=tokens,
        at_most=tokens is not None and rate is None,
        seconds=tokens * rate.seconds if tokens is not None and rate is not None else None,
        memory=memory, disk=disk,
    )  # fmt: skip


def parameters(path: str) -> int | None:
    """Parameters of a local model by its weights' headers, of a hub model by its name (``...-1.5B-...``)."""
    folder = Path(path)
    if not folder.is_dir():
        size = re.search(r"(\d+(?:\.\d+)?)[bB](?![a-z])", folder.name)
        return round(float(size.group(1)) * 1e9) if size else None
    total = 0
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as data:
            header = json.loads(data.read(int.from_bytes(data.read(8), "little")))
        total += sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total or None


def tree(recipe: Recipe, profile: Profile) -> Page:
    """A recipe as a tree: sources of data, then models with what is trained from them and the arms that are scored."""

    def grow(branch: Branch, target: str) -> None:
        for name in recipe.arms:
            arm = recipe.arm(name)
            if arm.model == target:
                of = " of a tree" if arm.decode == "mcts" else ""
                drawn = f", {arm.samples} answers{of}" if arm.samples and arm.samples > 1 else ""
                drawn += f", thoughts closed at {arm.thinking_budget} tokens" if arm.thinking_budget else ""
                branch.add(f"▸ arm {name}{drawn}" + (" (control)" if name == recipe.control else ""))
        for name, stage in recipe.stages.items():
            if stage.starts_from == target:
                grow(branch.add(f"{name}: {stage.line(profile)}"), name)

    title = f"{recipe.name} at {profile.name}, suite {profile.suite or recipe.suite}"
    whole = Branch(spans=[(title, "")])
    data = whole.add("data")
    for name, stage in recipe.stages.items():
        if "model" not in stage.yields:
            data.add(f"{name}: {stage.line(profile)}")
    targets = [*(recipe.arm(arm).model for arm in recipe.arms), *recipe.stages]
    for origin in dict.fromkeys(recipe.origin(target) for target in targets):
        if origin not in recipe.stages:
            model = profile.model(origin) if origin in profile.models else None
            grow(whole.add(f"{origin} ({model.model if model else 'not in this profile'})"), origin)
        elif "model" in recipe.stages[origin].yields:
            grow(whole.add(origin), origin)
    return Page(title=title, blocks=[whole])
