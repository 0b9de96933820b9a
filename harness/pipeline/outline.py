"""A recipe and its stages as ``view`` shows them: rows of a table, and a tree of what starts from what."""

from __future__ import annotations

from pathlib import Path

from harness.pipeline.estimate import estimates
from harness.pipeline.job import Graph
from harness.pipeline.kinds import kind_of
from harness.pipeline.recipe import Profile, Recipe
from harness.results.records import StageResult
from harness.results.store import Store
from harness.view.page import Branch, Page
from harness.view.recipes import StageRow


def finished_rows(graph: Graph, folder: Path) -> list[StageRow]:
    """The stages that are done, with their results in words."""
    store, out = Store(folder), []
    for digest, job in graph.jobs.items():
        result = store.result(digest)
        if result is not None:
            details = kind_of(job.kind).details(result.figures)
            out.append(StageRow(
                digest=digest, name=job.name, done=True, seconds=result.seconds, summary=summary(result),
                details=details,
            ))  # fmt: skip
    return out


def planned_rows(graph: Graph, folder: Path) -> list[StageRow]:
    """All stages: finished ones with their seconds, the others with what they would take."""
    store, expected, out = Store(folder), estimates(graph, folder), []
    for digest, job in graph.jobs.items():
        result, e = store.result(digest), expected[digest]
        if result is not None:
            out.append(StageRow(digest=digest, name=job.name, done=True, seconds=result.seconds))
        else:
            out.append(StageRow(
                digest=digest, name=job.name, done=False, seconds=e.seconds, quick=e.quick, tokens=e.tokens,
                at_most=e.most, memory=e.memory, disk=e.disk,
            ))  # fmt: skip
    return out


def summary(result: StageResult) -> str:
    """The result of a stage in one line."""
    return kind_of(result.kind).summary(result.figures)


def tree(recipe: Recipe, profile: Profile) -> Page:
    """Sources of data, then models with what is trained from them and the arms that are scored."""
    title = f"{recipe.name} at {profile.name}, suite {profile.suite or recipe.suite}"
    whole = Branch(spans=[(title, "")])
    data = whole.add("data")
    for name, stage in recipe.stages.items():
        if "model" not in stage.yields:
            data.add(f"{name}: {stage.line(profile)}")
    targets = [*(recipe.arm(arm).model for arm in recipe.arms), *recipe.stages]
    for origin in dict.fromkeys(recipe.origin(target) for target in targets):
        if origin in recipe.stages:
            if "model" in recipe.stages[origin].yields:
                _grow(whole.add(origin), recipe, profile, origin)
        else:
            model = profile.model(origin) if origin in profile.models else None
            _grow(whole.add(f"{origin} ({model.model if model else 'not in this profile'})"), recipe, profile, origin)
    return Page(title=title, blocks=[whole])


def _grow(branch: Branch, recipe: Recipe, profile: Profile, target: str) -> None:
    for name in recipe.arms:
        arm = recipe.arm(name)
        if arm.model == target:
            of = " of a tree" if arm.decode == "mcts" else ""
            drawn = f", {arm.samples} answers{of}" if arm.samples and arm.samples > 1 else ""
            branch.add(f"▸ arm {name}{drawn}" + (" (control)" if name == recipe.control else ""))
    for name, stage in recipe.stages.items():
        if stage.starts_from == target:
            _grow(branch.add(f"{name}: {stage.line(profile)}"), recipe, profile, name)
